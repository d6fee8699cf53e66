"""The speed of the kernels that docs/adding_a_kernel.md walks through, and the table on that page.

python benchmarks/kernels.py             measure, write results/symconv/kernel_bench.json and the table
python benchmarks/kernels.py --page      write the table anew from that file
python benchmarks/kernels.py --check     exit with 1 if the table is not what the file says
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import table
from benchmarks.own import read, write
from benchmarks.performance import source
from benchmarks.workers import ROOT
from symconv.workbench.bench import Measured, from_json, measure_file, text_of, to_json
from symconv.workbench.load import load_kernels

PAGE = ROOT / "docs" / "adding_a_kernel.md"
FILES = ("examples/10_squeeze_excite_scale.py", "examples/11_conv_gelu.py")
MARKERS = "<!-- kernel_bench:begin -->", "<!-- kernel_bench:end -->"


def measure(rounds: int, path: Path | None) -> None:
    """Every row of BENCH in FILES."""
    rows, roofs = [], []
    for file in FILES:
        for found in measure_file(load_kernels(ROOT / file), rounds):
            if isinstance(found, Measured):
                rows += [{"file": file, **row} for row in to_json([found])]
            else:
                roofs.append(str(found))
                print(f"measured now: {found}", flush=True)
    write("kernel_bench", {"rounds": rounds, "peaks": roofs}, rows, path)


def section() -> str:
    """The table as text, below a line that says where and when it was measured."""
    results = read("kernel_bench")
    text = [source(results, "kernel_bench.json")]
    for _, group in groupby(results["rows"], lambda row: row["file"]):
        rows = from_json([{k: v for k, v in row.items() if k != "file"} for row in group])
        text += ["", *(f"    {line}" for line in text_of(rows, ()))]
    text += ["", *(f"    measured in the same run: {roof}" for roof in results["settings"]["peaks"])]
    return "\n".join(text) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/kernel_bench.json")
    args = parser.parse_args(argv)
    if not (args.check or args.page):
        measure(args.rounds, args.json)
        if args.json is not None:
            return 0
    old = PAGE.read_text()
    new = table.replaced(old, section(), *MARKERS)
    if args.check:
        if old != new:
            print(f"{PAGE} is not what benchmarks/results says: run python benchmarks/kernels.py --page")
        return int(old != new)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
