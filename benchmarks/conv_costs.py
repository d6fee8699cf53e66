"""Measures the CPU's convolution kernels on random shapes, and fits what their work costs.

    python benchmarks/conv_costs.py measure --isa avx2 --shapes 1000 --seed 1 FILE
    python benchmarks/conv_costs.py fit --isa avx2 FILE...      the costs, and how well they choose
    python benchmarks/conv_costs.py check --isa avx2 FILE...    how well symconv/ops/conv_cpu_costs.py does

Times are of one thread, the least of some, on data that lie in the caches. The fit is of costs that are not
negative (SciPy), with the least sum of relative errors to the power of 3/2; `choice`: the time of the kernel
with the least estimate, over that of the fastest one, in the mean over the shapes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

Row = dict[str, Any]
Costs = dict[str, dict[str, float]]

WINDOWS = (1, 1, 2, 3, 3, 3, 3, 5, 5, 7, 11)
CHANNELS = (1, 1, 3, 3, 4, 6, 8, 10, 16, 20, 24, 32, 40, 48, 64, 96, 128, 256, 512)
SIDES = (4, 7, 8, 12, 14, 14, 20, 28, 28, 32, 56, 64, 112, 224)
IMAGES = (1, 2, 4, 8, 10, 16, 32, 64, 128)
# n, c, side, k, window, stride, padding, side of the pooling windows: the book, LeNet, CIFAR-10, ResNet, VGG
TYPICAL = (
    *((n, 1, 28, 20, 5, 1, 0, 2) for n in (1, 10, 128)),
    *((n, 20, 12, 40, 5, 1, 0, 2) for n in (1, 10, 128)),
    *((32, c, side, k, 5, 1, padding, 2) for c, side, k, padding in ((1, 28, 6, 2), (6, 14, 16, 0))),
    *(
        (10, c, side, k, r, 1, r // 2, 2)
        for c, side, k, r in ((3, 32, 32, 3), (3, 32, 64, 5), (32, 32, 32, 3))
    ),
    (32, 32, 16, 64, 3, 1, 1, 2),
    (2, 3, 224, 64, 7, 2, 3, 2),
    (1, 3, 224, 64, 3, 1, 1, 2),
    *((2, c, side, c, 3, 1, 1, 2) for c, side in ((64, 56), (128, 28), (256, 14), (512, 7))),
    *((2, c, side, 2 * c, 3, 2, 1, 2) for c, side in ((64, 56), (128, 28), (256, 14))),
    *(
        (2, c, side, k, 1, 1, 0, 2)
        for c, side, k in ((64, 56, 256), (256, 56, 64), (256, 14, 1024), (512, 7, 2048))
    ),
    *((2, c, side, 2 * c, 1, 2, 0, 2) for c, side in ((256, 56), (512, 28), (1024, 14))),
    *((8, c, side, k, 1, 1, 0, 2) for c, side, k in ((64, 56, 256), (256, 56, 64), (256, 14, 256))),
    (8, 512, 28, 1024, 1, 2, 0, 2),
    (8, 64, 56, 64, 3, 1, 1, 2),
    (2, 64, 112, 128, 3, 1, 1, 2),
)
WEIGHT = 20  # of a typical shape among the random ones
LEAST_FLOPS, MOST_FLOPS, MOST_VALUES = 1e3, 6e8, 8e6
TIMINGS, SECONDS = 5, 0.002  # of each kernel and shape, and of each timing


def shapes(count: int, seed: int) -> Iterator[tuple[int, ...]]:
    """The typical ones, and `count` at random."""
    yield from TYPICAL
    rng = random.Random(seed)
    while count:
        r, c, k = rng.choice(WINDOWS), rng.choice(CHANNELS), rng.choice(CHANNELS)
        side, n, stride = rng.choice(SIDES), rng.choice(IMAGES), rng.choice((1, 1, 1, 1, 2, 2, 3, 4))
        padding = rng.choice((0, r // 2))
        p = (side + 2 * padding - r) // stride + 1
        flops = 2 * n * c * k * r * r * p * p
        if p < 2 or (stride > r > 1) or (stride > 2 and r < 3) or not LEAST_FLOPS < flops < MOST_FLOPS:
            continue
        if n * max(c * side * side, k * p * p) > MOST_VALUES or (
            flops > MOST_FLOPS / 10 and rng.random() < 0.6
        ):
            continue
        count -= 1
        yield n, c, side, k, r, stride, padding, rng.choice((2, 2, 2, 4))


def _seconds(run: Callable[[], None]) -> float:
    run()
    begin = time.perf_counter()
    run()
    turns = max(1, int(SECONDS / max(time.perf_counter() - begin, 1e-7)))
    best = math.inf
    for _ in range(TIMINGS):
        begin = time.perf_counter()
        for _ in range(turns):
            run()
        best = min(best, (time.perf_counter() - begin) / turns)
    return best


def _nodes(shape: Sequence[int]) -> Iterator[tuple[str, Any, list[np.ndarray]]]:
    """The kind, the node, and its operands."""
    import symconv as sc
    from symconv.ops.conv import Conv2dDgrad, Conv2dWgrad
    from symconv.ops.conv_pool import ConvPool

    n, c, side, k, r, stride, padding, pool = shape
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s, np.float32) for s in ((n, c, side, side), (k, c, r, r)))
    node = sc.conv2d(*(sc.tensor("float32", a.shape) for a in (x, w)), stride=stride, padding=padding).owner
    yield "fprop", node, [x, w]
    attributes = dict(stride=(stride, stride), padding=(padding,) * 4)
    dy = rng.standard_normal(node.out.type.dims, np.float32)
    dims, window = ([np.asarray(side)] * 2, [np.asarray(r)] * 2)
    for kind, op, arrays in (
        ("dgrad", Conv2dDgrad(**attributes), [dy, w, *dims]),
        ("wgrad", Conv2dWgrad(**attributes), [x, dy, *window]),
    ):
        operands = [sc.tensor("float32", a.shape) for a in arrays[:2]]
        yield kind, op(*operands, *map(sc.constant, arrays[2:])).owner, arrays
    if stride == 1 and min(dy.shape[2:]) >= pool:
        arrays = [x, w, rng.standard_normal(k, np.float32)]
        op = ConvPool((pool, pool), padding=(padding,) * 4)
        yield "pooled", op.make(*(sc.tensor("float32", a.shape) for a in arrays)), arrays


def measure(count: int, seed: int) -> list[Row]:
    import symconv as sc
    from symconv import _core as core

    rows = []
    for shape in shapes(count, seed):
        for kind, node, arrays in _nodes(shape):
            outputs = [np.zeros(v.type.dims, v.dtype) for v in node.outputs]
            times = {}
            for kernel in node.op.kernels:
                refusal = kernel.supports(node) if kernel.device == "cpu" else "not measured"
                if refusal is not None and not isinstance(refusal, sc.Slower):
                    continue
                run = partial(core.call_kernel, kernel.entry, kernel.launch(node).params, arrays, outputs)
                times[kernel.name] = 1e9 * _seconds(run)
            rows.append({"shape": shape, "kind": kind, "times": times})
    return rows


def _works(rows: Sequence[Row], isa: str) -> list[dict[str, tuple[dict[str, float], float]]]:
    """Of each row, by the name that costs have: the work and the time."""
    from symconv.ops.conv_cpu_costs import VECTORS, cost_name
    from symconv.ops.conv_cpu_work import work_of

    found = []
    for row in rows:
        n, c, side, k, r, stride, padding, pool = row["shape"]
        p = (side + 2 * padding - r) // stride + 1
        g = dict(n=n, c=c, h=side, w=side, k=k, r=r, s=r, stride_h=stride, stride_w=stride, groups=1)
        own = {}
        for kernel, time_ns in row["times"].items():
            kind, form = row["kind"], kernel.removesuffix(f"_{row['kind']}")
            if form.startswith("depthwise"):
                continue
            q = p // pool * pool if kind == "pooled" and form != "winograd_columns_conv_pool" else p
            sizes = {**g, "p": q, "q": q}
            kind = "fprop" if kind == "pooled" else kind
            own[cost_name(kernel, sizes)] = (work_of(form, kind, sizes, VECTORS[isa]), time_ns)
        found += [own] * (WEIGHT if tuple(row["shape"]) in TYPICAL else 1)
    return found


def fitted(works: Sequence[dict[str, tuple[dict[str, float], float]]]) -> tuple[Costs, dict[str, float]]:
    """The costs, and the mean error of each kernel's estimates."""
    from scipy.optimize import nnls

    samples = defaultdict(list)
    for own in works:
        for name, sample in own.items():
            samples[name].append(sample)
    costs, errors = {}, {}
    for name, of_kernel in samples.items():
        keys = list(of_kernel[0][0])
        a = np.array([[work[key] for key in keys] for work, _ in of_kernel], float)
        t = np.array([time_ns for _, time_ns in of_kernel])
        a /= t[:, None]
        weights = np.ones(len(t))
        for _ in range(12):  # iteratively reweighted, for the sum of the errors to the power of 3/2
            found, _ = nnls(a * weights[:, None], weights)
            weights = np.maximum(np.abs(a @ found - 1), 0.05) ** -0.25
        costs[name] = {key: float(f"{cost:.3g}") for key, cost in zip(keys, found) if cost > 0}
        errors[name] = float(np.mean(np.abs(a @ found - 1)))
    return costs, errors


def choice(works: Sequence[dict[str, tuple[dict[str, float], float]]], costs: Costs) -> float:
    from symconv.ops.conv_cpu_costs import time_of

    ratios = []
    for own in works:
        times = {name: time_ns for name, (_, time_ns) in own.items()}
        chosen = min(own, key=lambda name: time_of(own[name][0], costs[name]))
        ratios.append(times[chosen] / min(times.values()))
    return sum(ratios) / len(ratios)


def text_of(costs: Costs) -> str:
    """Lines of the table in symconv/ops/conv_cpu_costs.py."""
    lines = []
    for name, own in sorted(costs.items()):
        values = ", ".join(f"{key}={cost:g}" for key, cost in own.items())
        lines += textwrap.wrap(
            f'"{name}": dict({values}),', 108, initial_indent=" " * 8, subsequent_indent=" " * 12
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "fit", "check"])
    parser.add_argument("--isa", choices=["avx2", "avx512"], required=True)
    parser.add_argument("--shapes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    args = parser.parse_args(argv)
    if args.what == "measure":
        os.environ.update(SYMCONV_ISA=args.isa, SYMCONV_NUM_THREADS="1")
        args.files[0].write_text(json.dumps(measure(args.shapes, args.seed)))
        return 0
    works = _works([row for file in args.files for row in json.loads(file.read_text())], args.isa)
    if args.what == "check":
        from symconv.ops.conv_cpu_costs import NANOSECONDS

        print(f"choice {choice(works, NANOSECONDS[args.isa]):.4f}")
        return 0
    costs, errors = fitted(works)
    print(text_of(costs))
    for name, error in errors.items():
        print(f"{name}: {100 * error:.0f} % off", file=sys.stderr)
    print(f"choice {choice(works, costs):.4f}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
