"""PyTorch: eager, torch.compile of the loss or of the whole step; NCHW or channels-last; inference_mode.

A dense layer is kept in PyTorch's own layout [n_out, n_in].
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.opcases import OpCase
from benchmarks.peers.base import OpRunner, Peer, Predictor, Resident, Trainer
from benchmarks.workloads import Conv, Data, Workload


def net_logits(net: Workload, ps: Sequence[Any], x: Any, train: bool, channels_last: bool) -> Any:
    import torch
    import torch.nn.functional as F

    act = {"relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softmax": lambda z: z}
    if net.convs:
        size = net.convs[0].size
        x = x.view(-1, 1, size, size)
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
    for layer, w, b in zip(net.layers, ps[::2], ps[1::2]):
        if isinstance(layer, Conv):
            z = F.max_pool2d(F.conv2d(x, w), layer.pool) + b.view(-1, 1, 1)
        else:
            x = x.flatten(1)
            if layer.dropout and train:
                x = F.dropout(x, layer.dropout)
            z = F.linear(x, w, b)
        x = act[layer.activation](z)
    return x


def parameters(net: Workload, weights: Sequence[np.ndarray], device: str, channels_last: bool) -> list[Any]:
    import torch

    ps = []
    for w in weights:
        p = torch.from_numpy(w.T.copy() if w.ndim == 2 else w.copy()).to(device)
        if channels_last and w.ndim == 4:
            p = p.contiguous(memory_format=torch.channels_last)
        ps.append(p)
    return ps


def _to_torch(array: np.ndarray) -> Any:
    import torch

    tensor = torch.from_numpy(array).to(PEER.device)
    return tensor if tensor.is_floating_point() else tensor.long()  # cross_entropy takes int64 labels


resident = Resident(_to_torch)


def compiled(function: Callable[..., Any], config: str, device: str) -> Callable[..., Any]:
    import torch

    if not config.startswith("compile"):
        return function
    # Every net and batch size is a specialisation of its own, as a user's script would have it.
    torch._dynamo.reset()
    mode = "max-autotune" if "max" in config else "reduce-overhead" if device == "cuda" else None
    result: Callable[..., Any] = torch.compile(function, mode=mode, dynamic=False, fullgraph=True)
    return result


class TorchTrainer(Trainer):
    def __init__(
        self,
        net: Workload,
        config: str,
        batch: int,
        data: Data,
        weights: Sequence[np.ndarray],
        device: str,
    ) -> None:
        import torch
        import torch.nn.functional as F

        self.device, self.batch, self.step = device, batch, 0
        self.n_batches = len(data.labels) // batch
        self.x, self.y = resident(data)
        channels_last = config.endswith("_cl")
        self.ps = parameters(net, weights, device, channels_last)
        decay, eta = net.decay(batch, len(data.labels)), net.eta

        def cost(ps: Sequence[Any], x: Any, y: Any) -> Any:
            return F.cross_entropy(net_logits(net, ps, x, True, channels_last), y)

        if "step" in config or "max" in config:
            gradient = torch.func.grad(cost)

            def update(ps: Sequence[Any], x: Any, y: Any) -> None:
                grads = gradient(ps, x, y)
                for i, (p, g) in enumerate(zip(ps, grads)):
                    p.sub_(eta * (g + decay * p) if decay and i % 2 == 0 else eta * g)

            self.update = compiled(update, config, device)
        else:
            for p in self.ps:
                p.requires_grad_()
            loss = compiled(cost, config, device)

            def update_eagerly(ps: Sequence[Any], x: Any, y: Any) -> None:
                grads = torch.autograd.grad(loss(ps, x, y), ps)
                with torch.no_grad():
                    if decay:
                        torch._foreach_mul_(ps[::2], 1 - eta * decay)
                    torch._foreach_add_(ps, grads, alpha=-eta)

            self.update = update_eagerly

    def run(self, n: int) -> None:
        import torch

        x, y, batch, n_batches, ps, update = self.x, self.y, self.batch, self.n_batches, self.ps, self.update
        for step in range(self.step, self.step + n):
            first = step % n_batches * batch
            update(ps, x[first : first + batch], y[first : first + batch])
        self.step += n
        if self.device == "cuda":
            torch.cuda.synchronize()

    def weights(self) -> list[np.ndarray]:
        arrays = [p.detach().cpu().contiguous().numpy() for p in self.ps]
        return [np.ascontiguousarray(a.T) if a.ndim == 2 else a for a in arrays]


class TorchPredictor(Predictor):
    def __init__(
        self,
        net: Workload,
        config: str,
        batch: int,
        data: Data,
        weights: Sequence[np.ndarray],
        device: str,
    ) -> None:
        import torch

        self.device, self.batch, self.n_batches = device, batch, len(data.labels) // batch
        self.x = resident(data)[0]
        channels_last = config.endswith("_cl")
        ps = parameters(net, weights, device, channels_last)

        if "freeze" in config:
            # Weights as constants of a module: the inductor may then prepack them for oneDNN.
            class Net(torch.nn.Module):
                def __init__(self) -> None:
                    super().__init__()
                    self.ps = torch.nn.ParameterList(torch.nn.Parameter(p, requires_grad=False) for p in ps)

                def forward(self, x: Any) -> Any:
                    return torch.softmax(net_logits(net, list(self.ps), x, False, channels_last), 1)

            torch._inductor.config.freezing = True
            module = compiled(Net().eval(), config, device)
            with torch.no_grad():
                module(self.x[:batch])
            torch._inductor.config.freezing = False
            self.predict = module
        else:

            def probabilities(x: Any) -> Any:
                return torch.softmax(net_logits(net, ps, x, False, channels_last), 1)

            self.predict = compiled(probabilities, config, device)
        # inductor's freezing acts under no_grad only
        self.guard = torch.no_grad if "freeze" in config else torch.inference_mode

    def run(self, n: int) -> None:
        import torch

        x, batch, n_batches, predict = self.x, self.batch, self.n_batches, self.predict
        with self.guard():
            for step in range(n):
                first = step % n_batches * batch
                predict(x[first : first + batch])
        if self.device == "cuda":
            torch.cuda.synchronize()

    def probabilities(self) -> np.ndarray:
        with self.guard():
            p: np.ndarray = self.predict(self.x[: self.batch]).cpu().numpy()
        return p


class TorchPeer(Peer):
    name = "torch"

    def available(self, device: str) -> str | None:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed in this environment"
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            return f"torch {torch.__version__} sees no CUDA device"
        return None

    def versions(self) -> dict[str, str]:
        import torch

        return {"torch": torch.__version__}

    def environment(self, threads: int, device: str) -> dict[str, str]:
        return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}

    def set_up(self, threads: int, device: str) -> None:
        import torch

        self.device = device
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32 on every peer
        torch.manual_seed(0)

    def configs(self, net: Workload, mode: str, device: str) -> list[str]:
        names = ["eager", "eager_cl"]
        if mode == "train":
            names += ["compile_loss", "compile_loss_cl", "compile_step", "compile_step_cl", "compile_max"]
        else:
            names += ["compile", "compile_cl", "compile_freeze"]
        return [n for n in names if net.convs or not n.endswith("_cl")]

    def make_trainer(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Trainer:
        return TorchTrainer(net, config, batch, data, weights, self.device)

    def make_predictor(
        self, net: Workload, config: str, batch: int, data: Data, weights: Sequence[np.ndarray]
    ) -> Predictor:
        return TorchPredictor(net, config, batch, data, weights, self.device)

    def op_configs(self, case: OpCase, device: str) -> list[str]:
        from benchmarks.peers import torch_ops

        return torch_ops.configs(case)

    def make_op(self, case: OpCase, config: str) -> OpRunner:
        from benchmarks.peers import torch_ops

        return torch_ops.TorchOp(case, config, self.device)


PEER = TorchPeer()
