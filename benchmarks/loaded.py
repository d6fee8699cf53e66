"""Two threads on a loaded machine: a training step beside neighbours that keep every core busy.

    python benchmarks/loaded.py --busy 2

The time with all cores' threads against that of one thread, in the same circumstances and in turn, must not
exceed 1.3: a helper that the system does not let run may not hold up the one that does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.cores import Wanted, add_wanted
from benchmarks.own import seconds_per_step, settled_weights, spread, steps_for, write
from benchmarks.peers.symconv_peer import SymconvTrainer
from benchmarks.run import neighbours, training_data
from benchmarks.workloads import workload

LIMIT = 1.3


def measure(trainers: dict[int, SymconvTrainer], busy: int, rounds: int, target: float) -> dict[str, Any]:
    """Microseconds per step for each number of threads, in turn, and the ratio of the last to the first."""
    import symconv as sc

    with neighbours(busy):
        for t in sorted(trainers, reverse=True):
            with sc.config(num_threads=t):
                n = steps_for(trainers[t].run, target)
        times: dict[int, list[float]] = {t: [] for t in trainers}
        for turn in range(rounds):
            for t in sorted(trainers, reverse=turn % 2 == 1):
                with sc.config(num_threads=t):
                    times[t].append(1e6 * seconds_per_step(trainers[t].run, n))
    threads = max(trainers)
    ratios = [many / one for many, one in zip(times[threads], times[1])]
    medians = statistics.median(times[threads]) / statistics.median(times[1])
    return {
        "busy": busy,
        "threads": threads,
        "us": {str(t): spread(v) for t, v in times.items()},
        "ratio": medians,
        "ratios": spread(ratios),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=["W3"])
    parser.add_argument("--batches", type=lambda text: [int(t) for t in text.split(",")], default=[10, 128])
    parser.add_argument("--threads", type=int, default=report.usable_cores())
    parser.add_argument("--busy", type=lambda text: [int(t) for t in text.split(",")], default=[0, 1, 2])
    add_wanted(parser)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--target", type=float, default=0.2, help="seconds of one timing")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/loaded.json")
    args = parser.parse_args(argv)
    if args.threads < 2:
        print("one core: nothing to compare")
        return 0
    data, rows = training_data("mnist", args.images), []
    for net in args.workloads:
        weights = settled_weights(workload(net), data)
        for batch in args.batches:
            trainers = {
                t: SymconvTrainer(workload(net), "map", batch, data, weights) for t in (1, args.threads)
            }
            for busy in args.busy:
                Wanted.of(args).settle()
                result = measure(trainers, busy, args.rounds, args.target)
                rows.append({"workload": net, "batch": batch, **result})
                us = {t: v["median"] for t, v in result["us"].items()}
                print(
                    f"{net} batch {batch}, {busy} busy neighbours: "
                    + ", ".join(f"{t} threads {v:.0f} us" for t, v in us.items()),
                    f"ratio {result['ratio']:.2f}",
                    flush=True,
                )
    write("loaded", {k: v for k, v in vars(args).items() if k != "json"}, rows, args.json)
    return int(any(r["ratio"] > LIMIT for r in rows))


if __name__ == "__main__":
    sys.exit(main())
