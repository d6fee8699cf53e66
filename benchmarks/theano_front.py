"""A training step written for Theano, on symconv.theano, beside the same net in native symconv.

    python benchmarks/theano_front.py           measure; writes benchmarks/results/symconv/theano_front.json
    python benchmarks/theano_front.py --page    write the table of that file into docs/theano.md

The program for Theano is written as the book's network3.py is: layers with weights of their own, flipped
filters with shape hints, max-pooling, dropout by RandomStreams, the cost's logarithm at the labels, L2,
labels kept as floats and cast, givens that slice mini-batches out of shared data, and updates. Both forms
are called once for each mini-batch and hand out its cost. Every timing is a process of its own, the two
forms by turns; the ratio is that of the medians. Before, nets without dropout are trained for 20 steps by
both, and their weights compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.beyond import ROOT, table
from benchmarks.own import read, seconds_per_step, spread, steps_for, write
from benchmarks.peers.symconv_peer import net_probabilities
from benchmarks.run import training_data
from benchmarks.workloads import Conv, Data, Workload, initial_weights, workload

FORMS = ("native", "front")


def native_step(
    net: Workload, batch: int, data: Data, weights: Sequence[np.ndarray]
) -> tuple[Any, list[Any]]:
    """(the step, a function of the mini-batch's number that gives its cost; the parameters)."""
    import symconv as sc

    ps = [sc.shared(w) for w in weights]
    images, labels = sc.shared(data.images), sc.shared(data.labels)
    i, x, y = sc.lscalar("i"), sc.matrix("x"), sc.ivector("y")
    p = net_probabilities(net, ps, x, sc.RandomStream(seed=0) if net.drops else None)
    cost = -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y])
    if decay := net.decay(batch, len(data.labels)):
        cost = cost + 0.5 * decay * sum(sc.sum(w**2) for w in ps[::2])
    updates = [(w, w - net.eta * g) for w, g in zip(ps, sc.grad(cost, ps))]
    rows = slice(i * batch, (i + 1) * batch)
    return sc.function([i], cost, updates, givens={x: images[rows], y: labels[rows]}), ps


def front_step(net: Workload, batch: int, data: Data, weights: Sequence[np.ndarray]) -> tuple[Any, list[Any]]:
    """The same as a program for Theano; `weights` are those of filters that are not flipped."""
    import symconv.theano as theano
    import symconv.theano.tensor as T
    from symconv.theano.tensor import shared_randomstreams
    from symconv.theano.tensor.nnet import conv
    from symconv.theano.tensor.signal import downsample

    activations = {"relu": lambda z: T.maximum(0.0, z), "sigmoid": T.nnet.sigmoid, "softmax": T.nnet.softmax}

    def shared(array: np.ndarray) -> Any:
        return theano.shared(np.asarray(array, dtype=theano.config.floatX), borrow=True)

    ps = [shared(w[..., ::-1, ::-1].copy() if w.ndim == 4 else w) for w in weights]
    images, labels = shared(data.images), T.cast(shared(data.labels), "int32")
    i, x, y = T.lscalar(), T.matrix("x"), T.ivector("y")
    out = x
    if net.convs:
        out = x.reshape((batch, 1, net.convs[0].size, net.convs[0].size))
    for layer, w, b in zip(net.layers, ps[::2], ps[1::2]):
        if isinstance(layer, Conv):
            shape = (batch, layer.channels, layer.size, layer.size)
            z = conv.conv2d(input=out, filters=w, filter_shape=layer.w_shape, image_shape=shape)
            z = downsample.max_pool_2d(input=z, ds=(layer.pool, layer.pool), ignore_border=True)
            z = z + b.dimshuffle("x", 0, "x", "x")
        else:
            out = out.reshape((batch, layer.n_in))
            if layer.dropout:
                stream = shared_randomstreams.RandomStreams(np.random.RandomState(0).randint(999999))
                mask = stream.binomial(n=1, p=1 - layer.dropout, size=out.shape)
                out = out * T.cast(mask, theano.config.floatX)
            z = T.dot(out, w) + b
        out = activations[layer.activation](z)
    cost = -T.mean(T.log(out)[T.arange(y.shape[0]), y])
    if net.lmbda:
        n_batches = images.get_value(borrow=True).shape[0] / batch
        cost = cost + 0.5 * net.lmbda * sum([(w**2).sum() for w in ps[::2]]) / n_batches
    updates = [(p, p - net.eta * g) for p, g in zip(ps, T.grad(cost, ps))]
    rows = slice(i * batch, (i + 1) * batch)
    return theano.function([i], cost, updates=updates, givens={x: images[rows], y: labels[rows]}), ps


def built(form: str, name: str, batch: int, data: Data) -> tuple[Any, list[Any]]:
    net = workload(name)
    if form == "native":
        return native_step(net, batch, data, initial_weights(net))
    import symconv.theano as theano

    with theano.config.change_flags(floatX="float32"):
        return front_step(net, batch, data, initial_weights(net))


def difference(name: str, batch: int, data: Data, steps: int = 20) -> float:
    """The largest difference of a weight after some steps by both forms."""
    found = []
    for form in FORMS:
        step, ps = built(form, name, batch, data)
        for k in range(steps):
            step(k % (len(data.labels) // batch))
        found.append([p.get_value() for p in ps])
    pairs = ((a, b[..., ::-1, ::-1] if b.ndim == 4 else b) for a, b in zip(*found))
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def child(form: str, name: str, batch: int, threads: int, target: float, path: Path) -> float:
    """Microseconds of a step, in this process."""
    import symconv as sc

    sc.config.num_threads = threads
    with np.load(path) as arrays:
        data = Data(arrays["images"], arrays["labels"])
    step, _ = built(form, name, batch, data)
    n_batches = len(data.labels) // batch

    def run(n: int) -> None:
        for k in range(n):
            step(k % n_batches)

    run(min(n_batches, 300))  # weights that have left their start
    return 1e6 * seconds_per_step(run, steps_for(run, target))


def measured(name: str, batch: int, args: argparse.Namespace, path: Path) -> dict[str, Any]:
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    for turn in range(args.rounds):
        for form in FORMS[:: -1 if turn % 2 else 1]:
            command = [sys.executable, __file__, "--child", form, "--nets", name, "--batches", str(batch)]
            command += ["--threads", str(args.threads), "--target", str(args.target), "--data", str(path)]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            times[form].append(float(found.stdout))
    us = {form: spread(values) for form, values in times.items()}
    return {"net": name, "batch": batch, "us": us, "ratio": us["front"]["median"] / us["native"]["median"]}


def page() -> tuple[Path, str]:
    """docs/theano.md with the table of the results."""
    from symconv.book.report import replaced

    results, path = read("theano_front"), ROOT / "docs" / "theano.md"
    head = ["net", "mini-batch", "native symconv", "symconv.theano", "ratio"]
    rows = [
        [
            f"{r['net']}, {workload(r['net']).title}",
            str(r["batch"]),
            *(f"{r['us'][form]['median']:,.0f} us" for form in FORMS),
            f"{r['ratio']:.2f}",
        ]
        for r in results["rows"]
    ]
    source = (
        f"Medians on {results['cpu']}, threads: {results['settings']['threads']}, at {results['commit']}.\n\n"
    )
    old = path.read_text(encoding="utf-8")
    return path, replaced(
        old, source + table(head, rows), path.name, "<!-- front:begin -->", "<!-- front:end -->"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--page", action="store_true", help="write the table of the results file into the docs"
    )
    parser.add_argument("--child", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--nets", type=lambda text: text.split(","), default=["W1", "W2", "W3", "W4"])
    parser.add_argument("--batches", type=lambda text: [int(t) for t in text.split(",")], default=[10, 100])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--target", type=float, default=0.5, help="seconds of one timing")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/symconv/theano_front.json")
    args = parser.parse_args(argv)
    if args.page:
        path, text = page()
        path.write_text(text, encoding="utf-8")
        return 0
    if args.child:
        print(child(args.child, args.nets[0], args.batches[0], args.threads, args.target, args.data))
        return 0
    data, rows = training_data("mnist", args.images), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        np.savez(path, images=data.images, labels=data.labels)
        for name in args.nets:
            for batch in args.batches:
                if not workload(name).drops and (apart := difference(name, batch, data)) > 1e-3:
                    raise SystemExit(f"{name}: the weights of the two forms differ by {apart}")
                rows.append(measured(name, batch, args, path))
                print(json.dumps(rows[-1]), flush=True)
    kept = ("nets", "batches", "threads", "rounds", "target", "images")
    write("theano_front", {k: getattr(args, k) for k in kept}, rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
