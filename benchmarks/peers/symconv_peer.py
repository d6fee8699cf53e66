"""symconv through its public API: each step a call from Python, or all steps of a run in one map()."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.opcases import OpCase
from benchmarks.peers.base import OpRunner, Peer, Predictor, Resident, Trainer
from benchmarks.workloads import Conv, Data, Workload


def _to_symconv(array: np.ndarray) -> Any:
    import symconv as sc

    return sc.shared(array, borrow=True)


resident = Resident(_to_symconv)


def net_probabilities(net: Workload, ps: Sequence[Any], x: Any, rng: Any) -> Any:
    """Class probabilities; `rng` is None in inference."""
    import symconv as sc

    act = {"relu": sc.relu, "sigmoid": sc.sigmoid, "tanh": sc.tanh, "softmax": sc.softmax}
    if net.convs:
        x = x.reshape((-1, 1, net.convs[0].size, net.convs[0].size))
    for layer, w, b in zip(net.layers, ps[::2], ps[1::2]):
        if isinstance(layer, Conv):
            z = sc.max_pool2d(sc.conv2d(x, w), layer.pool) + b.dimshuffle("x", 0, "x", "x")
        else:
            if x.ndim > 2:
                x = x.flatten(2)
            if layer.dropout and rng is not None:
                x = sc.dropout(x, layer.dropout, rng=rng)
            z = sc.dot(x, w) + b
        x = act[layer.activation](z)
    return x


class SymconvTrainer(Trainer):
    def __init__(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> None:
        import symconv as sc

        self.step, self.n_batches = 0, len(data.labels) // batch
        self.mapped = config == "map"
        self.ps = [sc.shared(w, name=f"{'wb'[i % 2]}{i // 2}") for i, w in enumerate(weights)]
        images, labels = resident(data)
        i, x, y = sc.lscalar("i"), sc.matrix("x"), sc.ivector("y")
        rng = sc.RandomStream(seed=0) if net.drops else None
        p = net_probabilities(net, self.ps, x, rng)
        cost = -sc.mean(sc.log(p)[sc.arange(y.shape[0]), y])
        if decay := net.decay(batch, len(data.labels)):
            cost = cost + 0.5 * decay * sum(sc.sum(w**2) for w in self.ps[::2])
        updates = [(w, w - net.eta * g) for w, g in zip(self.ps, sc.grad(cost, self.ps))]
        rows = slice(i * batch, (i + 1) * batch)
        self.f = sc.function([i], None, updates=updates, givens={x: images[rows], y: labels[rows]})

    def run(self, n: int) -> None:
        steps = np.arange(self.step, self.step + n) % self.n_batches
        if self.mapped:
            self.f.map(steps)
        else:
            f = self.f
            for step in steps.tolist():
                f(step)
        self.step += n

    def weights(self) -> list[np.ndarray]:
        return [p.get_value() for p in self.ps]


class SymconvPredictor(Predictor):
    def __init__(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> None:
        import symconv as sc

        self.n_batches = len(data.labels) // batch
        self.mapped = config == "map"
        ps = [sc.shared(w) for w in weights]
        i, x = sc.lscalar("i"), sc.matrix("x")
        p = net_probabilities(net, ps, x, None)
        self.f = sc.function([i], p, givens={x: resident(data)[0][i * batch : (i + 1) * batch]})

    def run(self, n: int) -> None:
        steps = np.arange(n) % self.n_batches
        if self.mapped:
            self.f.map(steps)
        else:
            f = self.f
            for step in steps.tolist():
                f(step)

    def probabilities(self) -> np.ndarray:
        p: np.ndarray = self.f.map(np.arange(1))[0] if self.mapped else self.f(0)
        return p


class SymconvPeer(Peer):
    name = "symconv"

    def available(self, device: str) -> str | None:
        if importlib.util.find_spec("symconv") is None:
            return "symconv is not importable in this environment"
        import symconv as sc

        try:
            with sc.config(device=device):
                x = sc.vector("x")
                sc.function([x], x + 1.0)(np.zeros(2, "float32"))
        except Exception as why:
            return f"symconv {sc.__version__} does not run on {device}: {str(why).splitlines()[0]}"
        return None

    def versions(self) -> dict[str, str]:
        import symconv as sc

        return {"symconv": sc.__version__}

    def environment(self, threads: int, device: str) -> dict[str, str]:
        return {"SYMCONV_NUM_THREADS": str(threads), "SYMCONV_DEVICE": device}

    def set_up(self, threads: int, device: str) -> None:
        import symconv as sc

        sc.config.num_threads = threads
        sc.config.device = device  # type: ignore[assignment]

    def configs(self, net: Workload, mode: str, device: str) -> list[str]:
        return ["map", "call"]

    def make_trainer(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Trainer:
        return SymconvTrainer(net, config, batch, data, weights)

    def make_predictor(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Predictor:
        return SymconvPredictor(net, config, batch, data, weights)

    def op_configs(self, case: OpCase, device: str) -> list[str]:
        from benchmarks.peers import symconv_ops

        return symconv_ops.configs(case)

    def make_op(self, case: OpCase, config: str) -> OpRunner:
        from benchmarks.peers import symconv_ops

        return symconv_ops.SymconvOp(case, config)


PEER = SymconvPeer()
