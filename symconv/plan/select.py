"""Kernel selection: the first descriptor that accepts a node; every refusal is kept with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from symconv.graph import Apply, Kernel


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
    for kernel in node.op.kernels:
        if kernel.device != device:
            continue
        if available is not None and kernel.entry not in available:
            reason: str | None = f"entry {kernel.entry!r} is not in this build of the core"
        else:
            reason = kernel.supports(node)
        if reason is None:
            return Choice(kernel, tuple(refusals))
        refusals.append((kernel.name, reason))
    if not refusals:
        refusals.append(("-", f"{node.op.name} has no {device} kernel"))
    return Choice(None, tuple(refusals))
