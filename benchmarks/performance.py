"""The tables and the plot of docs/performance.md, made from the files in benchmarks/results/.

python benchmarks/performance.py             rewrite what stands between the page's markers, and the plot
python benchmarks/performance.py --check     exit with 1 if the page is not what the files say
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

from benchmarks import report, table
from benchmarks.loaded import LIMIT
from benchmarks.own import FIGURES, read
from benchmarks.scaling import TOLERANCE, costs, outliers
from benchmarks.workers import ROOT

PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance_scaling.svg"


def source(results: Mapping[str, Any], name: str) -> str:
    versions = ", ".join(f"{k} {v}" for own in results["versions"].values() for k, v in own.items())
    versions = f"{versions}; " if versions else ""
    apart, whole = results.get("handover_ns"), results.get("whole")
    versions += f"cores {apart:.0f} ns apart; " if apart else ""
    versions += f"together worth {whole:.1f} of one; " if whole else ""
    others = results["settings"].get("other runs")
    return (
        f"{results['cpu']}, {results['cores']} cores; {versions}commit {results['commit']}, "
        f"{results['date'][:10]} (`{name}`).{f' Other runs: {others}.' if others else ''}"
    )


def lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [table.row_of(head), table.row_of(["---"] * len(head)), *map(table.row_of, rows)]


def breakdown(folder: Path = FIGURES) -> str:
    """A table per workload: its kernels, with their shares at every batch size and number of threads."""
    results = read("breakdown", folder)
    text = [source(results, f"{folder.name}/breakdown.json")]
    peaks = results["settings"]["peaks"]
    for threads, peak in peaks.items():
        rate = f"{peak['flops'] / 1e9:.0f} GFLOP/s, {peak['bytes'] / 1e9:.0f} GB/s"
        text.append(f"Measured peak with {threads} thread{'s' if threads != '1' else ''}: {rate}.")
    for net in dict.fromkeys(r["workload"] for r in results["rows"]):
        rows = [r for r in results["rows"] if r["workload"] == net]
        forms = list(dict.fromkeys((r["batch"], r["threads"], r["step_us"]) for r in rows))
        by_key = {(r["kernel"], r["op"], r["batch"], r["threads"]): r for r in rows}
        kernels = dict.fromkeys((r["kernel"], r["op"]) for r in rows)
        shown, rest = [], [0.0] * len(forms)
        for kernel, op in kernels:
            found = [by_key.get((kernel, op, batch, threads)) for batch, threads, _ in forms]
            if max(r["share"] for r in found if r) < 0.02:
                rest = [t + (r["share"] if r else 0.0) for t, r in zip(rest, found)]
                continue
            shown.append([f"`{kernel}`", op, *(share_cell(r) for r in found)])
        if any(rest):
            shown.append(["others", "", *(f"{100 * r:.0f} %" for r in rest)])
        head = [f"batch {b}, {t} thr.: {report.figure(us, 'us')}" for b, t, us in forms]
        text += ["", f"**{net}**", "", *lines([f"{net}: kernel", "op", *head], shown)]
    return "\n".join(text) + "\n"


def share_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    near = f" ({100 * row['limit_us'] / row['us']:.0f})" if row["us"] and row["limit_us"] else ""
    return f"{100 * row['share']:.0f} %{near}"


def scaling() -> str:
    results = read("scaling")
    rows = results["rows"]
    table_rows = [
        [
            r["series"],
            str(r["n"]),
            report.figure(r["us"]["median"], "us"),
            f"{r['flops'] / 1e6:,.1f}",
            f"{r['flops'] / r['us']['median'] / 1e3:.1f}",
            "" if cost is None else f"{1e6 * cost:.1f}",
            f"{r['build_s']:.2f} s",
        ]
        for r, cost in zip(rows, costs(rows))
    ]
    bad = [f"{r['series']} {r['n']} ({r['times']:.2f} times)" for r in outliers(rows)]
    found = f"Outliers: {', '.join(bad)}." if bad else "There is no outlier."
    text = [
        f"{source(results, 'symconv/scaling.json')} {results['settings']['threads']} thread(s).",
        "",
        *lines(["series", "n", "step", "MFLOP", "GFLOP/s", "cost, ps / FLOP", "compiled in"], table_rows),
        "",
        f"An outlier costs over {TOLERANCE} times as much as a smaller one of its series. {found}",
    ]
    return "\n".join(text) + "\n"


def plot() -> None:
    """Time per FLOP over batch and depth: a line that falls or stays level grows no faster than the work."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "symconv"
    from matplotlib import pyplot

    rows = read("scaling")["rows"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    for series in dict.fromkeys(r["series"] for r in rows):
        own = [r for r in rows if r["series"] == series]
        axes = left if series == "batch" else right
        known = [(r["n"], 1e6 * c) for r, c in zip(own, costs(own)) if c is not None]
        label = "W3" if series == "batch" else series
        axes.loglog([n for n, _ in known], [c for _, c in known], marker="o", label=label)
    left.set(xlabel="images in a batch", ylabel="time per work, ps / FLOP", ylim=(1, 100))
    right.set(xlabel="layers, batch 10: what they add to the first")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3, which="both")
    figure.savefig(PLOT, metadata={"Date": None})


def loaded(folder: Path = FIGURES) -> str:
    """Steps beside processes that keep cores busy, with one thread and with all."""
    results = read("loaded", folder)
    rows = []
    for r in results["rows"]:
        one, many = r["us"]["1"]["median"], r["us"][str(r["threads"])]["median"]
        rows.append(
            [
                r["workload"],
                str(r["batch"]),
                str(r["busy"]),
                report.figure(one, "us"),
                report.figure(many, "us"),
            ]
            + [f"{r['ratio']:.2f}", f"{r['ratios']['min']:.2f} to {r['ratios']['max']:.2f}"]
        )
    head = ["net", "batch", "busy neighbours", "1 thread", "all threads", "ratio", "of single rounds"]
    text = [f"{source(results, f'{folder.name}/loaded.json')} Limit: {LIMIT}.", "", *lines(head, rows)]
    return "\n".join(text) + "\n"


def compilation() -> str:
    """Seconds from a net to the end of its first step, by depth, beside the peers."""
    path = table.RESULTS / "cpu_compile.json"
    if not path.exists():
        return "No results have been recorded yet.\n"
    results = json.loads(path.read_text())
    rows = results["rows"]
    peers = list(dict.fromkeys(r["peer"] for r in rows))
    by_key = {(r["workload"], r["peer"]): r for r in rows}
    shown = []
    for r in rows:
        if r["peer"] == "symconv" and r["median"] is not None:
            others = [by_key.get((r["workload"], peer)) for peer in peers[1:]]
            layer = report.figure(1e6 * r["median"] / r["depth"], "us") if r["depth"] > 1 else ""
            net = r["workload"].rsplit("_", 1)[0]
            shown.append([net, str(r["depth"]), *map(_duration, [r, *others]), layer])
    head = ["net", "layers", *peers, "symconv, a layer"]
    return "\n".join([source(results, "cpu_compile.json"), "", *lines(head, shown)]) + "\n"


def _duration(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return row["note"] if row["median"] is None else report.figure(1e6 * row["median"], "us")


def operators(folder: str = "operators") -> str:
    """Every operator at every number of threads: times, speed, and how many times faster than PyTorch."""
    files = sorted((table.RESULTS / folder).glob("cpu_*.json"))
    read_files = [json.loads(f.read_text()) for f in files]
    text = []
    for f, r in zip(files, read_files):
        versions = ", ".join(f"{name} {own.get(name, '')}" for name, own in r["versions"].items())
        link = f"[{f.name}](../benchmarks/results/{folder}/{f.name})"
        text.append(f"{link}: {r['cpu']}; {versions}; commit {r['commit']}, {r['date'][:10]}.")
    found = {
        (line["workload"], line["threads"]): line
        for r in read_files
        for line in report.compared(r["rows"])
        if line["threads"] != "any"
    }
    threads = sorted({t for _, t in found})
    rows = []
    for name in dict.fromkeys(workload for workload, _ in found):
        cells = [name]
        for t in threads:
            line = found.get((name, t))
            ours = line["peers"].get(report.OURS) if line else None
            if line is None or ours is None:
                cells += ["-", "-", "-"]
                continue
            near = f" ({100 * ours['rate'] / ours['copy_rate']:.0f} %)" if "copy_rate" in ours else ""
            cells += [
                report.figure(ours["median"], ours["unit"]),
                f"{ours['rate']:.1f} {ours['rate_unit']}{near}",
                f"**{line['ratio']:.2f}**" if line["ratio"] is not None else "",
            ]
        rows.append(cells)
    head = ["operator"]
    for t in threads:
        head += [f"{t} thr.", "rate", "times faster"]
    return "\n".join([*text, "", *lines(head, rows)]) + "\n"


def compared(name: str) -> str:
    """The table of a file of run.py."""
    if not (table.RESULTS / name).exists():
        return "No results have been recorded yet.\n"
    text = table.markdown(json.loads((table.RESULTS / name).read_text()), name)
    return text.replace("](benchmarks/", "](../benchmarks/")


def machine(name: str) -> str:
    """What is recorded of a processor of another kind than that of the other tables."""
    folder = table.RESULTS / name
    files = ("cpu_training", "cpu_inference", "cpu_dense", "cpu_memory")
    parts = [compared(f"{name}/{file}.json") for file in files if (folder / f"{file}.json").exists()]
    parts.append(operators(f"{name}/operators"))
    parts += [part(folder) for part in (loaded, breakdown) if (folder / f"{part.__name__}.json").exists()]
    return "\n".join(parts)


PARTS = {
    "breakdown": breakdown,
    "scaling": scaling,
    "dense": lambda: compared("cpu_dense.json"),
    "memory": lambda: compared("cpu_memory.json"),
    "loaded": loaded,
    "operators": operators,
    "zen5": lambda: machine("zen5"),
    "zen3": lambda: machine("zen3"),
    "compilation": compilation,
}


def page(text: str) -> str:
    """`text` with every part between its markers made anew. Raises ValueError if markers are missing."""
    for name, make in PARTS.items():
        text = table.replaced(text, make(), f"<!-- {name}:begin -->", f"<!-- {name}:end -->")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    old = PAGE.read_text()
    new = page(old)
    if args.check:
        if old != new:
            print(f"{PAGE} is not what benchmarks/results says: run python benchmarks/performance.py")
        return int(old != new)
    PAGE.write_text(new)
    plot()
    return 0


if __name__ == "__main__":
    sys.exit(main())
