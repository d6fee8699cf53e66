"""Where the time of a training step goes: the share of every kernel, and how near it comes to the roofline.

    python benchmarks/breakdown.py --workloads W3 --batches 10,128 --threads 1,2

The executor measures each step of the plan (CpuExecutable.profile). The roofline of a kernel is the larger
of FLOPs / peak and bytes / bandwidth, both measured here at the same number of threads: symconv's matrix
product of 1024^3, and its copy of 4 MB. FLOPs are those of the plain algorithm, so Winograd's transforms and
kernels that skip zeros may come above 100 %.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import report
from benchmarks.cores import Wanted, add_wanted
from benchmarks.own import settled_weights, steps_for, write
from benchmarks.peers.symconv_peer import SymconvTrainer
from benchmarks.run import training_data
from benchmarks.workloads import workload


def best_rate(amount: float, run: Any, seconds: float = 0.3) -> float:
    """amount per second in the fastest of many runs."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        best = max(best, amount / (time.perf_counter() - begin))
    return best


def peaks(threads: int) -> dict[str, float]:
    """FLOP/s of a matrix product and bytes/s of a copy, for that many threads at once."""
    import symconv as sc

    n = 1024
    rng = np.random.default_rng(0)
    a, b = (sc.shared(rng.standard_normal((n, n), np.float32)) for _ in range(2))
    out = sc.shared(np.zeros((n, n), "float32"))
    x, y = (sc.shared(np.ones(2**20, "float32")) for _ in range(2))
    with sc.config(num_threads=threads):
        product = sc.function([], None, updates=[(out, sc.dot(a, b))])
        copy = sc.function([], None, updates=[(y, x + 0)])
        flops, moved = 2.0 * n**3, 16 * 2.0 * 2**22
        return {"flops": best_rate(flops, product), "bytes": best_rate(moved, lambda: copy.loop(16))}


def shares(
    net: str, batch: int, threads: int, data: Any, weights: Any, peak: dict[str, float], wanted: Wanted
) -> list[dict]:
    """A row per kernel and op, the longest first."""
    import symconv as sc

    with sc.config(num_threads=threads):
        trainer = SymconvTrainer(workload(net), "map", batch, data, weights)
        n = steps_for(trainer.run, 0.2)
        plan = trainer.f.prepare(0)
        plain = []
        ns = np.zeros(len(plan.plan.steps))
        for _ in range(5):
            if threads > 1:
                wanted.settle()
            plan.profile(False)
            begin = time.perf_counter()
            trainer.run(n)
            plain.append((time.perf_counter() - begin) / n)
            plan.profile(True)  # starts from zero
            trainer.run(n)
            ns += np.array(plan.profile_ns()) / n / 5
        plan.profile(False)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for step, t in zip(plan.plan.steps, ns):
        kernel = step.kernel.name if step.kernel is not None else step.kind
        flops, bytes_ = step.node.op.flops(step.node), step.node.op.bytes(step.node)
        limit = 0.0 if step.kind == "view" else max(flops / peak["flops"], bytes_ / peak["bytes"])
        key = (kernel, step.node.op.name)
        row = rows.setdefault(
            key, {"kernel": kernel, "op": step.node.op.name, "steps": 0, "us": 0.0, "limit_us": 0.0}
        )
        row["steps"] += 1
        row["us"] += t / 1e3
        row["limit_us"] += 1e6 * limit
    total = sum(row["us"] for row in rows.values())
    common = {"workload": net, "batch": batch, "threads": threads, "step_us": 1e6 * float(np.median(plain))}
    ordered = sorted(rows.values(), key=lambda row: -row["us"])
    return [{**common, **row, "share": row["us"] / total} for row in ordered]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names, numbers = (lambda text: text.split(",")), (lambda text: [int(t) for t in text.split(",")])
    parser.add_argument("--workloads", type=names, default=["W1", "W2", "W3", "W4"])
    parser.add_argument("--batches", type=numbers, default=[10, 128])
    parser.add_argument("--threads", type=numbers, default=sorted({1, report.usable_cores()}))
    parser.add_argument("--inputs", choices=["mnist", "gaussian"], default="mnist")
    add_wanted(parser)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/breakdown.json")
    args = parser.parse_args(argv)
    data = training_data(args.inputs, args.images)
    wanted, limits = Wanted.of(args), {}
    for t in args.threads:
        if t > 1:
            wanted.settle()
        limits[t] = peaks(t)
    rows: list[dict[str, Any]] = []
    for net in args.workloads:
        weights = settled_weights(workload(net), data)
        for batch in args.batches:
            for threads in args.threads:
                new = shares(net, batch, threads, data, weights, limits[threads], wanted)
                rows += new
                print(f"{net} batch {batch}, {threads} threads: {new[0]['step_us']:.1f} us")
                for r in new:
                    near = f"{100 * r['limit_us'] / r['us']:4.0f} % of roofline" if r["us"] else ""
                    share = f"{100 * r['share']:5.1f} % {r['us']:9.2f} us"
                    print(f"  {share}  {r['kernel']:<28} {r['op']:<24} {near}")
    settings = {k: v for k, v in vars(args).items() if k != "json"}
    write("breakdown", {**settings, "peaks": {str(t): p for t, p in limits.items()}}, rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
