"""How time grows with the work: training steps of growing batches, and of nets of growing depth.

    python benchmarks/scaling.py --threads 1

Three series: W3 at batches 1 to 1000; dense nets (784-100, n layers 100-100, softmax) and residual
convolutional nets (n blocks x + relu(conv 16@3x3(x)) on 14x14) of 1 to 100 layers at batch 10. FLOPs are
those of the plain algorithms, forward and backward.

The cost of a batch is its time per FLOP; that of a depth the time per FLOP of what the layers after the first
add, since the first sees MNIST's zeros and has another shape. An outlier costs more than 1.2 times as much as
a smaller one of its series.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.own import seconds_per_step, settled_weights, spread, steps_for, write
from benchmarks.peers.symconv_peer import SymconvTrainer, resident
from benchmarks.run import training_data
from benchmarks.workloads import CLASSES, Data, Workload, initial_weights, workload

TOLERANCE = 1.2
CHANNELS, SIZE = 16, 14


@dataclass
class Point:
    series: str
    n: int  # images or layers
    flops: int  # of a step
    build_s: float
    run: Callable[[int], None]
    times: list[float] = field(default_factory=list)
    steps: int = 1


class ResidualTrainer:
    """n blocks x + relu(conv(x) + b) behind a convolution and a pooling, at a small learning rate."""

    def __init__(self, depth: int, batch: int, data: Data) -> None:
        import symconv as sc

        rng = np.random.RandomState(0)

        def weights(*shape: int, scale: float) -> Any:
            return sc.shared((rng.standard_normal(shape) * scale).astype("float32"))

        images, labels = resident(data)
        i, x, y = sc.lscalar("i"), sc.matrix("x"), sc.ivector("y")
        ps = [weights(CHANNELS, 1, 3, 3, scale=0.3)]
        h = sc.max_pool2d(sc.conv2d(x.reshape((-1, 1, 28, 28)), ps[0], padding=1), 2)
        for _ in range(depth):
            w, b = (
                weights(CHANNELS, CHANNELS, 3, 3, scale=0.1 / depth),
                sc.shared(np.zeros(CHANNELS, "float32")),
            )
            h = h + sc.relu(sc.conv2d(h, w, padding=1) + b.dimshuffle("x", 0, "x", "x"))
            ps += [w, b]
        last = sc.shared(np.zeros((CHANNELS * SIZE**2, CLASSES), "float32"))
        p = sc.softmax(sc.dot(h.flatten(2), last))
        cost = -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y])
        ps.append(last)
        updates = [(w, w - 1e-4 * g) for w, g in zip(ps, sc.grad(cost, ps))]
        rows = slice(i * batch, (i + 1) * batch)
        self.f = sc.function([i], None, updates=updates, givens={x: images[rows], y: labels[rows]})
        self.n_batches = len(data.labels) // batch

    def run(self, n: int) -> None:
        self.f.map(np.arange(n) % self.n_batches)

    @staticmethod
    def flops(depth: int) -> int:
        """Per image of a training step."""
        first, dense = 2 * CHANNELS * 9 * 28**2, 2 * CHANNELS * SIZE**2 * CLASSES
        return 2 * first + 3 * (depth * 2 * CHANNELS * CHANNELS * 9 * SIZE**2 + dense)


def points(args: argparse.Namespace, data: Data) -> list[Point]:
    def built(series: str, n: int, flops: int, make: Callable[[], Any]) -> Point:
        begin = time.perf_counter()
        trainer = make()
        trainer.run(1)
        seconds = time.perf_counter() - begin
        print(f"{series} {n}: built in {seconds:.2f} s", file=sys.stderr, flush=True)
        return Point(series, n, flops, seconds, trainer.run)

    def dense(name: str, batch: int, weights: Sequence[np.ndarray]) -> Callable[[], Any]:
        net: Workload = workload(name)
        return lambda: SymconvTrainer(net, "map", batch, data, weights)

    w3 = workload("W3")
    start = settled_weights(w3, data)
    result = [built("batch", b, b * w3.flops()[1], dense("W3", b, start)) for b in args.batches]
    for d in args.depths:
        net = workload(f"D{d}")
        make = dense(net.name, args.batch, initial_weights(net))
        result.append(built("dense layers", d, args.batch * net.flops()[1], make))
    for d in args.depths:
        flops = args.batch * ResidualTrainer.flops(d)
        result.append(built("residual blocks", d, flops, lambda d=d: ResidualTrainer(d, args.batch, data)))
    return result


def costs(rows: Sequence[dict[str, Any]]) -> list[float | None]:
    """Microseconds per FLOP, as the banner defines them; None for the first depth of a series."""
    first: dict[str, dict[str, Any]] = {}
    result: list[float | None] = []
    for row in rows:
        us, flops = row["us"]["median"], row["flops"]
        if row["series"] == "batch":
            result.append(us / flops)
        else:
            base = first.setdefault(row["series"], row)
            added = flops - base["flops"]
            result.append((us - base["us"]["median"]) / added if added else None)
    return result


def outliers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose cost is more than TOLERANCE times the least of the smaller ones of their series."""
    found, least = [], {}
    for row, cost in zip(rows, costs(rows)):
        if cost is None:
            continue
        before = least.get(row["series"], cost)
        if cost > TOLERANCE * before:
            found.append({**row, "times": cost / before})
        least[row["series"]] = min(before, cost)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = lambda text: [int(t) for t in text.split(",")]  # noqa: E731
    parser.add_argument("--batches", type=numbers, default=[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    parser.add_argument("--depths", type=numbers, default=[1, 2, 5, 10, 20, 50, 100])
    parser.add_argument("--batch", type=int, default=10, help="of the series of depths")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--target", type=float, default=0.05, help="seconds of one timing")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/scaling.json")
    args = parser.parse_args(argv)
    import symconv as sc

    with sc.config(num_threads=args.threads):
        every = points(args, training_data("mnist", args.images))
        for p in every:
            p.steps = steps_for(p.run, args.target)
        for _ in range(args.rounds):
            for p in every:
                p.times.append(1e6 * seconds_per_step(p.run, p.steps))
    rows: list[dict[str, Any]] = [
        {"series": p.series, "n": p.n, "flops": p.flops, "build_s": p.build_s, "us": spread(p.times)}
        for p in every
    ]
    for r in rows:
        rate = r["flops"] / r["us"]["median"] / 1e3
        print(f"{r['series']:<16} {r['n']:>5} {r['us']['median']:>12.1f} us {rate:8.2f} GFLOP/s")
    for r in outliers(rows):
        print(f"outlier: {r['series']} {r['n']}, {r['times']:.2f} times the cost of a smaller one")
    write("scaling", {k: v for k, v in vars(args).items() if k != "json"}, rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
