"""README's table of measured results, made from the files in benchmarks/results/.

python benchmarks/table.py             rewrite the part of README.md between its markers
python benchmarks/table.py --check     exit with 1 if that part is not what the files say
python benchmarks/table.py FILE...     print the tables of these files
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.workers import ROOT

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
RESULTS = ROOT / "benchmarks" / "results"
SHOWN = ("gpu_training", "gpu_inference", "cpu_training", "cpu_inference")  # docs/performance.md has the rest
METRICS = {
    "step": "training step",
    "inference": "inference",
    "time": "operator",
    "peak memory": "peak memory",
}
METHODS = {
    "times faster": "Median of interleaved rounds, each peer in its fastest form",
    "times smaller": "Each peer's smallest form, in a process of its own",
}


def markdown(results: Mapping[str, Any], source: str) -> str:
    """One file as a line and a table: each peer's fastest form, and the ratio with the fastest peer."""
    lines = [
        line
        for line in report.compared(results["rows"])
        if line["metric"] in METRICS and (line["threads"] == "any" or one_threads(results["rows"], line))
    ]
    timed = dict.fromkeys(p for line in lines for p, row in line["peers"].items() if row is not None)
    names = [p for p in timed if p != report.OURS]
    versions = {p: v.get(p, "") for p, v in results.get("versions", {}).items()}
    title = {p: f"{p} {versions.get(p, '')}".strip() for p in names}
    settings = results.get("settings", {})
    data = f", {settings['inputs']} inputs" if "inputs" in settings else ""
    device = results["cpu"] if results["device"] == "cpu" else results["device"]
    others = settings.get("other runs")  # what a file put together from several runs says of itself
    better = "times smaller" if all(line["metric"] == "peak memory" for line in lines) else "times faster"
    text = [
        f"{device}, {results['cores']} cores{data}; commit {results['commit'] or 'unknown'}, "
        f"{results['date'][:10]} ([{source}](benchmarks/results/{source}))."
        f" {METHODS[better]} (form/threads).{f' Other runs: {others}.' if others else ''}",
        "",
        row_of(["", "batch", "", report.OURS, *title.values(), better]),
        row_of(["---"] * (5 + len(names))),
    ]
    for line in lines:
        text.append(
            row_of(
                [
                    str(line["workload"]),
                    "" if line["batch"] is None else str(line["batch"]),
                    METRICS[line["metric"]],
                    entry(line["peers"].get(report.OURS)),
                    *(entry(line["peers"].get(p)) for p in names),
                    f"**{line['ratio']:.1f}**" if line["ratio"] is not None else "",
                ]
            )
        )
    return "\n".join(text) + "\n"


def one_threads(rows: Sequence[Mapping[str, Any]], line: Mapping[str, Any]) -> bool:
    """Whether the rows of this line know one number of threads only; then there is no line for "any"."""
    return len({r["threads"] for r in rows if all(r[k] == line[k] for k in report.GROUP)}) == 1


def entry(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return f"{report.figure(row['median'], row['unit'])} ({row['config']}/{row['threads']})"


def row_of(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def section(files: Sequence[Path]) -> str:
    """The tables of the files."""
    parts = [markdown(json.loads(f.read_text()), f.name) for f in files]
    return "\n".join(parts) if parts else "No results have been recorded yet.\n"


def replaced(text: str, new: str, begin: str = BEGIN, end: str = END) -> str:
    """`text` with what stands between the markers replaced. Raises ValueError if it lacks the markers."""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"no {begin} ... {end} in the file")
    return f"{before}{begin}\n{new}{end}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="print these results instead")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    args = parser.parse_args(argv)
    if args.files:
        print(section(args.files), end="")
        return 0
    old = args.readme.read_text()
    try:
        new = replaced(old, section([f for name in SHOWN if (f := RESULTS / f"{name}.json").exists()]))
    except ValueError as why:
        parser.error(f"{args.readme}: {why}")
    if args.check:
        if old != new:
            print(f"{args.readme} is not what benchmarks/results says: run python benchmarks/table.py")
        return int(old != new)
    args.readme.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
