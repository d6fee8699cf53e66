"""What lies beyond the book's own training steps: augmentation, replicas, the record nets.

    python benchmarks/beyond.py                 measure, and write benchmarks/results/symconv/beyond.json
    python benchmarks/beyond.py --page          write the tables of that file into docs

augmentation: a training step of W3 with and without it. replicas: a step of five nets, one after the other
(in turn), side by side in one function (together), and as one net with an axis of replicas (stacked: layers
that see the images as one product, or convolution, of five times the width; grouped convolutions; batched
products). Before it is timed, the stacked net's cost is held against the sum of the five. record: one step of
the nets of `symconv book record` and `record_small`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from benchmarks.own import read, seconds_per_step, spread, steps_for, write
from benchmarks.run import training_data

ROOT = Path(__file__).resolve().parents[1]
REPLICAS, ETA = 5, 0.03
NAMES = ("augmentation", "replicas", "record")
Run = Callable[[int], None]


def in_turns(runs: dict[str, Run], rounds: int, target: float) -> dict[str, dict[str, float]]:
    """Microseconds of a step of each, taken alternately."""
    steps = {name: steps_for(run, target) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name in sorted(runs, reverse=turn % 2 == 1):
            times[name].append(1e6 * seconds_per_step(runs[name], steps[name]))
    return {name: spread(values) for name, values in times.items()}


def mapped(step: Any, n_batches: int, *others: Any) -> Run:
    """run(n): n steps over the mini-batches, again and again."""

    def run(n: int) -> None:
        step.map(np.arange(n) % n_batches, *(np.full(n, v) for v in others))

    return run


def augmentation(data: Any, batches: Sequence[int], rounds: int, target: float) -> list[dict[str, Any]]:
    from symconv import nn
    from symconv.nn.trainer import training_step

    kinds = {
        "none": None,
        "affine": nn.Augmentation(rotation=10, translation=1, scale=0.1, shear=5),
        "crop, elastic, rotation": nn.Augmentation(rotation=10, crop=25, elastic=34),
    }
    rows = []
    for batch in batches:
        runs = {}
        for name, augment in kinds.items():
            model = nn.net("dbl_conv_relu").build(seed=0)
            step = training_step(model, nn.SGD(ETA), (data.images, data.labels), batch, 0.1, augment=augment)
            runs[name] = mapped(step, len(data.labels) // batch, *([] if augment is None else [1]))
        rows.append({"part": "augmentation", "batch": batch, "us": in_turns(runs, rounds, target)})
    return rows


def stacked(models: Sequence[Any], data: Any, batch: int) -> Any:
    """The step of all models as one graph with an axis of replicas; its output is the sum of their costs."""
    import symconv as sc

    given = [[p.get_value() for p in m.params] for m in models]
    r, (x, y, i) = len(models), (sc.shared(data.images), sc.shared(data.labels), sc.lscalar("i"))
    h, labels = x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]
    layers = [[np.stack(each) for each in zip(*given)][k : k + 2] for k in range(0, len(given[0]), 2)]
    params, first = [], True
    for k, (w, b) in enumerate(layers):
        if w.ndim == 5:  # [replicas, filters, channels, 5, 5]
            weights, bias = sc.shared(w.reshape(-1, *w.shape[2:])), sc.shared(b.reshape(1, -1, 1, 1))
            h = h.reshape((batch, 1, 28, 28)) if first else h
            h = sc.relu(sc.max_pool2d(sc.conv2d(h, weights, groups=1 if first else r), 2) + bias)
        else:
            if first:
                weights = sc.shared(np.ascontiguousarray(np.moveaxis(w, 0, 1)).reshape(w.shape[1], -1))
                bias = sc.shared(b.reshape(-1))
                h = (sc.dot(h, weights) + bias).reshape((batch, r, w.shape[2])).transpose(1, 0, 2)
            else:
                h = h if h.ndim == 3 else h.reshape((batch, r, w.shape[1])).transpose(1, 0, 2)
                weights, bias = sc.shared(w), sc.shared(b[:, None, :])
                h = sc.batched_dot(h, weights) + bias
            if k < len(layers) - 1:
                h = (sc.sigmoid if len(layers) == 2 else sc.relu)(h)
        params += [weights, bias]
        first = False
    scores = h.reshape((r * batch, h.type.shape[2]))
    cost = sc.cross_entropy_with_logits(scores, sc.tile(labels, r)).sum() / batch
    updates = [(p, p - ETA * g) for p, g in zip(params, sc.grad(cost, params))]
    return sc.function([i], cost, updates)


def replicas(data: Any, batches: Sequence[int], rounds: int, target: float) -> list[dict[str, Any]]:
    from symconv import nn
    from symconv.nn.replicas import together_step
    from symconv.nn.trainer import training_step

    rows, pair = [], (data.images, data.labels)
    for name in ("shallow", "dbl_conv_relu"):
        for batch in batches:

            def build(name: str = name) -> list[Any]:
                return [nn.net(name).build(seed=s) for s in range(REPLICAS)]

            n = len(data.labels) // batch
            alone = [training_step(m, nn.SGD(ETA), pair, batch) for m in build()]
            side = together_step(build(), [nn.SGD(ETA) for _ in range(REPLICAS)], pair, batch)
            one = stacked(build(), data, batch)
            expected = [sum(float(step(k)) for step in alone) for k in range(2)]
            np.testing.assert_allclose([float(one(k)) for k in range(2)], expected, rtol=1e-4)
            np.testing.assert_allclose([float(sum(side(k))) for k in range(2)], expected, rtol=1e-4)

            def in_turn(count: int, steps: list[Any] = alone, n: int = n) -> None:
                for step in steps:
                    mapped(step, n)(count)

            runs = {"in turn": in_turn, "together": mapped(side, n), "stacked": mapped(one, n)}
            us = in_turns(runs, rounds, target)
            rows.append({"part": "replicas", "net": name, "batch": batch, "us": us})
    return rows


def record(data: Any, names: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    from symconv.book import experiment
    from symconv.nn.trainer import training_step

    rows = []
    for name in names:
        e = experiment(name)
        assert e.recipe is not None
        model = e.recipe.build(e.net, (1, 28, 28), 10, 0)
        batch = min(e.net.mini_batch_size, len(data.labels))
        pair = (data.images, data.labels)
        step = training_step(model, e.recipe.optimizer(11), pair, batch, augment=e.recipe.augment)
        run = mapped(step, len(data.labels) // batch, np.float32(1e-4), 1)
        run(1)
        times = [1e6 * seconds_per_step(run, 2) for _ in range(rounds)]
        rows.append({"part": "record", "net": name, "batch": batch, "us": {"step": spread(times)}})
    return rows


# ---- the tables in docs


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tables() -> dict[str, tuple[str, str]]:
    """{name between markers: (page, text)} of the results."""
    results = read("beyond")
    parts: dict[str, list[dict[str, Any]]] = {
        n: [r for r in results["rows"] if r["part"] == n] for n in NAMES
    }
    threads = results["settings"]["threads"]
    source = f"Medians on {results['cpu']}, {threads} threads, at {results['commit']}.\n\n"

    def times(row: dict[str, Any]) -> list[str]:
        return [f"{v['median']:,.0f} us" for v in row["us"].values()]

    first, second = parts["augmentation"][0]["us"], parts["replicas"][0]["us"]
    cost = table(
        ["W3, step of", *first], [[f"{r['batch']} images", *times(r)] for r in parts["augmentation"]]
    )
    five = table(
        ["five nets", "mini-batch", *second],
        [[r["net"], str(r["batch"]), *times(r)] for r in parts["replicas"]],
    )
    steps = table(
        ["net", "mini-batch", "step", "50,000 images"],
        [
            [r["net"], str(r["batch"]), f"{us / 1e3:,.0f} ms", f"{us * 50_000 / r['batch'] / 6e7:.1f} min"]
            for r in parts["record"]
            for us in [r["us"]["step"]["median"]]
        ],
    )
    return {
        "augmentation": ("augmentation.md", source + cost),
        "replicas": ("book.md", source + five),
        "record": ("book.md", source + steps),
    }


def pages() -> dict[Path, str]:
    """The pages with their tables."""
    from symconv.book.report import replaced

    found: dict[Path, str] = {}
    for name, (page, text) in tables().items():
        path = ROOT / "docs" / page
        old = found.get(path) or path.read_text(encoding="utf-8")
        found[path] = replaced(old, text, page, f"<!-- {name}:begin -->", f"<!-- {name}:end -->")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="write the tables of the results file into docs")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(NAMES))
    parser.add_argument("--batches", type=lambda text: [int(t) for t in text.split(",")], default=[10, 100])
    parser.add_argument("--nets", type=lambda text: text.split(","), default=["record_small", "record"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--target", type=float, default=0.15, help="seconds of one timing")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/beyond.json")
    args = parser.parse_args(argv)
    if args.page:
        for path, text in pages().items():
            path.write_text(text, encoding="utf-8")
        return 0
    data, rows = training_data("mnist", args.images), []
    if "augmentation" in args.parts:
        rows += augmentation(data, args.batches, args.rounds, args.target)
    if "replicas" in args.parts:
        rows += replicas(data, args.batches, args.rounds, args.target)
    if "record" in args.parts:
        rows += record(data, args.nets, max(1, args.rounds // 2))
    for row in rows:
        shown = ", ".join(f"{k} {v['median']:.0f} us" for k, v in row["us"].items())
        print(row["part"], row.get("net", ""), row["batch"], shown, flush=True)
    settings = {k: v for k, v in vars(args).items() if k not in ("json", "page")}
    write("beyond", {**settings, "threads": report.usable_cores()}, rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
