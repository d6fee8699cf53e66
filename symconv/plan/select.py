"""Kernel selection: the first descriptor that accepts a node; every refusal is kept with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from symconv.graph import Apply, Kernel
from symconv.graph.registry import kernels_of


@dataclass(frozen=True, slots=True)
class Choice:
    kernel: Kernel | None  # None: the reference
    refusals: tuple[tuple[str, str], ...]

    def inplace_pairs(self, node: Apply) -> tuple[tuple[int, int], ...]:
        return () if self.kernel is None else self.kernel.inplace_pairs(node)


def select(node: Apply, device: str, available: frozenset[str] | None = None) -> Choice:
    """The kernel for `node` on `device`; `available` are the entries that the core was built with."""
    refusals: list[tuple[str, str]] = []
    device = "cuda" if device == "emulated" else device  # the same kernels
    for kernel in kernels_of(type(node.op)):
        if kernel.device != device:
            continue
        if available is not None and not kernel.origin and kernel.entry not in available:
            reason: str | None = f"entry {kernel.entry!r} is not in this build of the core"
        else:
            reason = kernel.supports(node)
        if reason is None:
            return Choice(kernel, tuple(refusals))
        refusals.append((kernel.name, reason))
    if not refusals:
        refusals.append(("-", node.op.no_kernel or f"{node.op.name} has no {device} kernel"))
    return Choice(None, tuple(refusals))
