"""Kernel descriptors: plain data that says which compiled routine can run which node, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symconv.graph.core import Apply

InplacePairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """What one launch hands to the kernel: the packed parameter struct of kernels/params.h."""

    params: bytes = b""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One way of running an op on one device.

    `supports(node)` returns None to accept, else the reason of its refusal, which explain()
    prints. `launch(node)` packs the parameters. `inplace` lists (output, input) pairs that may
    share one buffer, or computes them from the node. Node shapes are concrete and inputs dense and
    C-contiguous.
    """

    name: str
    device: str
    source: str
    entry: str
    supports: Callable[[Apply], str | None]
    launch: Callable[[Apply], Launch]
    inplace: InplacePairs | Callable[[Apply], InplacePairs] = ()

    def inplace_pairs(self, node: Apply) -> InplacePairs:
        return self.inplace(node) if callable(self.inplace) else self.inplace


@dataclass(frozen=True, slots=True)
class View:
    """Output 0 shares input 0's memory, `offset` bytes in.

    With `start` (an input index holding an int64 scalar) the offset grows by start * stride bytes
    at run time, within the bounds of input 0.
    """

    offset: int = 0
    start: int | None = None
    stride: int = 0
