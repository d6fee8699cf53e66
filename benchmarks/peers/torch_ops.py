"""Single operators in PyTorch: the library's own kernels, with preallocated outputs where it takes them, and
torch.compile for chains of element-wise operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.opcases import CHAIN, OpCase
from benchmarks.peers.base import OpRunner


def configs(case: OpCase) -> list[str]:
    if case.kind.startswith("conv"):
        return ["nchw", "channels_last"]
    if case.kind.startswith("max_pool"):
        return ["nchw", "channels_last"]
    return {"chain": ["eager", "compile", "compile_out"], "softmax_xent": ["eager", "compile"]}.get(
        case.kind, ["eager"]
    )


class TorchOp(OpRunner):
    def __init__(self, case: OpCase, config: str, device: str) -> None:
        import torch

        self.device = device
        self.inputs = [torch.from_numpy(a).to(device) for a in case.inputs()]
        if config == "channels_last":
            self.inputs = [a.contiguous(memory_format=torch.channels_last) for a in self.inputs]
        self.apply = getattr(self, "_" + case.kind)(case, config)

    def _conv_forward(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        x, w = self.inputs
        return lambda: torch.conv2d(x, w, None, case.stride, case.padding, 1, case.groups)

    def _conv_backward(self, case: OpCase, x: Any, w: Any, dy: Any, mask: list[bool]) -> Callable[[], Any]:
        import torch

        stride, padding = [case.stride] * 2, [case.padding] * 2
        which = mask.index(True)
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, stride, padding, [1, 1], False, [0, 0], case.groups, mask
        )[which]

    def _conv_dgrad(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        dy, w = self.inputs
        x = torch.empty(case.shape[:4], device=self.device)
        if config == "channels_last":
            x = x.contiguous(memory_format=torch.channels_last)
        return self._conv_backward(case, x, w, dy, [True, False, False])

    def _conv_wgrad(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        x, dy = self.inputs
        w = torch.empty(case.w_shape, device=self.device)
        if config == "channels_last":
            w = w.contiguous(memory_format=torch.channels_last)
        return self._conv_backward(case, x, w, dy, [False, True, False])

    def _max_pool(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch.nn.functional as F

        (x,) = self.inputs
        return lambda: F.max_pool2d(x, 2)

    def _max_pool_both(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch
        import torch.nn.functional as F

        x, dy = self.inputs
        x.requires_grad_()

        def both() -> Any:
            y = F.max_pool2d(x, 2)
            return y.detach(), torch.autograd.grad(y, x, dy)[0]

        return both

    def _copy(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        (x,) = self.inputs
        out = torch.empty_like(x)
        return lambda: out.copy_(x)

    def _softmax_xent(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch
        import torch.nn.functional as F

        x, labels = self.inputs[0], self.inputs[1].long()
        if config == "compile":
            function = torch.compile(torch.func.grad_and_value(lambda x: F.cross_entropy(x, labels)))

            def compiled() -> Any:
                dx, cost = function(x)
                return cost, dx

            return compiled
        x.requires_grad_()

        def eager() -> Any:
            cost = F.cross_entropy(x, labels)
            return cost.detach(), torch.autograd.grad(cost, x)[0]

        return eager

    def _chain(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        (x,) = self.inputs
        a, b, c, d = CHAIN

        def chain(x: Any) -> Any:
            return torch.sigmoid(x * a + b) * c + d

        if config == "eager":
            return lambda: chain(x)
        if config == "compile":
            compiled = torch.compile(chain)
            return lambda: compiled(x)
        out = torch.empty_like(x)

        @torch.compile
        def into(x: Any, out: Any) -> None:
            out.copy_(chain(x))

        def reuse() -> Any:
            into(x, out)
            return out

        return reuse

    def _sgemm(self, case: OpCase, config: str) -> Callable[[], Any]:
        import torch

        a, b = self.inputs
        out = torch.empty(case.shape[:2], device=self.device)
        return lambda: torch.mm(a, b, out=out)

    def run(self, n: int) -> None:
        import torch

        apply = self.apply
        with torch.set_grad_enabled(self.inputs[0].requires_grad):
            for _ in range(n):
                apply()
        if self.device == "cuda":
            torch.cuda.synchronize()

    def output(self) -> list[np.ndarray]:
        result = self.apply()
        results = result if isinstance(result, tuple) else (result,)
        return [r.detach().cpu().contiguous().numpy() for r in results]
