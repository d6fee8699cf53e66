"""Theano's descendants. Aesara: every net, C code and OpenBLAS. PyTensor: dense nets, through C or Numba.

"call" is one call from Python per step; "vm" keeps the number of the step in a shared variable and lets the C
virtual machine run all steps of a run in one call.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Peer, Predictor, Resident, Trainer
from benchmarks.workloads import Conv, Data, Workload

BLAS_NAMES = [p + n for p in "sd" for n in ("gemm_", "gemv_", "ger_", "dot_", "axpy_", "scal_")]


def use_blas_of_scipy(config: Any) -> None:
    """Link the OpenBLAS in SciPy's wheel if no BLAS was found: else products run through NumPy's C API."""
    spec = importlib.util.find_spec("scipy")
    if config.blas__ldflags or spec is None or spec.origin is None:
        return
    for library in sorted((Path(spec.origin).parents[1] / "scipy.libs").glob("lib*openblas*.so")):
        config.blas__ldflags = f"-L{library.parent} -l:{library.name} -Wl,-rpath,{library.parent}"
        if library.name.startswith("libscipy_"):  # its functions have the same prefix
            config.gcc__cxxflags = " ".join(f"-D{n}=scipy_{n}" for n in BLAS_NAMES)


def repair_convolution() -> None:
    """Aesara 2.9.3 and 2.9.4 compile no convolution, as CorrMM.make_node gives tuple() four arguments."""
    from aesara.graph.basic import Apply
    from aesara.tensor.nnet.corr import CorrMM
    from aesara.tensor.type import TensorType

    def make_node(op: Any, img: Any, kern: Any) -> Any:
        img, kern = op.as_common_dtype(img, kern)
        return Apply(op, [img, kern], [TensorType(img.type.dtype, shape=(None,) * 4)()])

    CorrMM.make_node = make_node


class Family:
    """The module of one descendant, and what has another name in it."""

    def __init__(self, name: str) -> None:
        self.module = importlib.import_module(name)
        self.tensor = importlib.import_module(f"{name}.tensor")
        self.resident = Resident(lambda array: self.module.shared(array, borrow=True))
        self.convs = name == "aesara"
        if self.convs:
            nnet = importlib.import_module(f"{name}.tensor.nnet")
            self.conv2d = nnet.conv2d
            repair_convolution()
            self.pool = importlib.import_module(f"{name}.tensor.signal.pool").pool_2d
            basic = importlib.import_module(f"{name}.tensor.nnet.basic")
            self.relu, self.sigmoid = basic.relu, self.tensor.sigmoid
            self.softmax = lambda z: basic.softmax(z, axis=1)
            mrg = importlib.import_module(f"{name}.sandbox.rng_mrg")
            self.keep = mrg.MRG_RandomStream(1).binomial
        else:
            special = importlib.import_module(f"{name}.tensor.special")
            self.relu = lambda z: self.tensor.maximum(z, np.float32(0))
            self.sigmoid = self.tensor.sigmoid
            self.softmax = lambda z: special.softmax(z, axis=1)

    def probabilities(self, net: Workload, ps: Sequence[Any], x: Any, train: bool) -> Any:
        act = {"relu": self.relu, "sigmoid": self.sigmoid, "tanh": self.tensor.tanh, "softmax": self.softmax}
        if net.convs:
            x = x.reshape((x.shape[0], 1, net.convs[0].size, net.convs[0].size))
        for layer, w, b in zip(net.layers, ps[::2], ps[1::2]):
            if isinstance(layer, Conv):
                shape = (None, layer.channels, layer.size, layer.size)
                y = self.conv2d(x, w, input_shape=shape, filter_shape=layer.w_shape, filter_flip=False)
                z = self.pool(y, ws=(layer.pool, layer.pool), ignore_border=True)
                z = z + b.dimshuffle("x", 0, "x", "x")
            else:
                x = x.flatten(2)
                if layer.dropout and train:
                    keep = np.float32(1 - layer.dropout)
                    x = x * self.keep(size=x.shape, n=1, p=float(keep), dtype="float32") / keep
                z = self.tensor.dot(x, w) + b
            x = act[layer.activation](z)
        return x

    def function(self, config: str, outputs: Any, updates: list[Any], step: Any, x: Any, y: Any) -> Any:
        """A function without inputs if the steps run in the virtual machine, else one of the step."""
        form = config.partition("_")[0]
        modes = self.module.compile.mode
        mode = "NUMBA" if form == "numba" else modes.Mode(linker="cvm", optimizer="fast_run")
        shared = form == "vm"
        if shared:
            updates = [*updates, (step, step + 1)]
        return self.module.function([] if shared else [step], outputs, updates=updates, mode=mode)


class TheanoTrainer(Trainer):
    def __init__(
        self,
        family: Family,
        net: Workload,
        config: str,
        batch: int,
        data: Data,
        weights: Sequence[np.ndarray],
    ) -> None:
        shared, tensor = family.module.shared, family.tensor
        self.vm, self.step, self.n_batches = config == "vm", 0, len(data.labels) // batch
        self.ps = [shared(w) for w in weights]
        step = shared(np.int64(0)) if self.vm else tensor.lscalar("step")
        first = (step % self.n_batches) * batch
        images, labels = family.resident(data)
        x, y = images[first : first + batch], labels[first : first + batch]
        p = family.probabilities(net, self.ps, x, True)
        cost = -tensor.mean(tensor.log(p)[tensor.arange(batch), y])
        if decay := net.decay(batch, len(data.labels)):
            cost = cost + np.float32(0.5 * decay) * sum((w**2).sum() for w in self.ps[::2])
        grads = tensor.grad(cost, self.ps)
        updates = [(w, w - np.float32(net.eta) * g) for w, g in zip(self.ps, grads)]
        self.f = family.function(config, [], updates, step, x, y)
        self.f.trust_input = True

    def run(self, n: int) -> None:
        if self.vm:
            self.f.vm(n_calls=n)
        else:
            for step in range(self.step, self.step + n):
                self.f(np.asarray(step))
        self.step += n

    def weights(self) -> list[np.ndarray]:
        return [p.get_value() for p in self.ps]


class TheanoPredictor(Predictor):
    def __init__(
        self,
        family: Family,
        net: Workload,
        config: str,
        batch: int,
        data: Data,
        weights: Sequence[np.ndarray],
    ) -> None:
        shared, tensor = family.module.shared, family.tensor
        self.n_batches = len(data.labels) // batch
        step = tensor.lscalar("step")
        images = family.resident(data)[0]
        x = images[step * batch : (step + 1) * batch]
        p = family.probabilities(net, [shared(w) for w in weights], x, False)
        self.f = family.function(config, p, [], step, x, None)
        self.f.trust_input = True

    def run(self, n: int) -> None:
        f, n_batches = self.f, self.n_batches
        for step in range(n):
            f(np.asarray(step % n_batches))

    def probabilities(self) -> np.ndarray:
        return np.asarray(self.f(np.asarray(0)))


class TheanoPeer(Peer):
    def __init__(self, name: str) -> None:
        self.name = name

    def available(self, device: str) -> str | None:
        if device != "cpu":
            return f"{self.name} runs on the CPU only"
        if importlib.util.find_spec(self.name) is None:
            return f"{self.name} is not installed in this environment"
        flags = f"{self.name.upper()}_FLAGS"
        os.environ[flags] = ",".join(filter(None, ["floatX=float32", os.environ.get(flags)]))
        self.family = Family(self.name)
        use_blas_of_scipy(self.family.module.config)
        return None

    def versions(self) -> dict[str, str]:
        # the library's name alone: where it lies is this machine's own affair
        blas = " ".join(re.findall(r"(?<!\S)-l\S+", str(self.family.module.config.blas__ldflags)))
        return {self.name: self.family.module.__version__, f"{self.name} blas": blas or "NumPy"}

    def environment(self, threads: int, device: str) -> dict[str, str]:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        return dict.fromkeys(names, str(threads))

    def set_up(self, threads: int, device: str) -> None:
        pass

    def configs(self, net: Workload, mode: str, device: str) -> list[str]:
        if self.family.convs:
            return ["call", "vm"] if mode == "train" else ["call"]
        if net.convs or (net.drops and mode == "train"):
            return []
        return ["call", "vm", "numba"] if mode == "train" else ["call", "numba"]

    def make_trainer(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Trainer:
        return TheanoTrainer(self.family, net, config, batch, data, weights)

    def make_predictor(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Predictor:
        return TheanoPredictor(self.family, net, config, batch, data, weights)


AESARA, PYTENSOR = TheanoPeer("aesara"), TheanoPeer("pytensor")
