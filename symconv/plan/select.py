"""Kernel selection: the first descriptor that accepts a node; every refusal is kept with its reason.

With config.autotune the kernel that was measured to be the fastest comes first, where it accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from symconv.config import config
from symconv.graph import Apply, Kernel
from symconv.graph.kernel import Slower
from symconv.graph.registry import kernels_of
from symconv.plan import tuning

FROM = ", from "  # a refusal of a user's kernel names its line


@dataclass(frozen=True, slots=True)
class Choice:
    kernel: Kernel | None  # None: the reference
    refusals: tuple[tuple[str, str], ...]

    def inplace_pairs(self, node: Apply) -> tuple[tuple[int, int], ...]:
        return () if self.kernel is None else self.kernel.inplace_pairs(node)


_forced: ContextVar[tuple[type, Kernel | None] | None] = ContextVar("symconv_forced", default=None)


@contextmanager
def forcing(op: type, kernel: Kernel | None) -> Iterator[None]:
    """Nodes of `op` get this kernel (None: the reference), to measure it."""
    token = _forced.set((op, kernel))
    try:
        yield
    finally:
        _forced.reset(token)


def select(
    node: Apply, device: str, available: frozenset[str] | None = None, without: Sequence[Kernel] = ()
) -> Choice:
    """The kernel for `node` on `device`, none of `without`; `available`: the entries that the core has."""
    forced = _forced.get()
    if forced is not None and forced[0] is type(node.op):
        return Choice(forced[1], ())
    refusals: list[tuple[str, str]] = []
    found: Kernel | None = None
    kernel_device = "cuda" if device == "emulated" else device  # the same kernels
    for kernel in kernels_of(type(node.op)):
        if kernel.device != kernel_device or kernel in without:
            continue
        reason = _refusal(kernel, node, available)
        if reason is None:
            found = kernel
            break
        refusals.append((f"{kernel.name}{FROM}{kernel.origin}" if kernel.origin else kernel.name, reason))
    if found is not None:
        if config.autotune != "off":
            found = _measured(node, device, available) or found
        return Choice(found, tuple(refusals))
    if not refusals:
        refusals.append(("-", node.op.no_kernel or f"{node.op.name} has no {kernel_device} kernel"))
    return Choice(None, tuple(refusals))


def candidates(node: Apply, device: str, available: frozenset[str] | None = None) -> list[Kernel]:
    """Every kernel that can run the node, with its variants: first those that accept it, as they would be
    taken, then those that refuse for speed alone (`Slower`)."""
    device = "cuda" if device == "emulated" else device
    kernels = [k for k in kernels_of(type(node.op)) if k.device == device]
    reasons = [_refusal(k, node, available) for k in kernels]
    groups = (
        [k for k, why in zip(kernels, reasons) if why is None],
        [k for k, why in zip(kernels, reasons) if isinstance(why, Slower)],
    )
    return [each for group in groups for k in group for each in (k, *k.variants_of(node))]


def _refusal(kernel: Kernel, node: Apply, available: frozenset[str] | None) -> str | None:
    if available is not None and not kernel.origin and kernel.entry not in available:
        return f"entry {kernel.entry!r} is not in this build of the core"
    if not kernel.origin and not kernel.every_dtype:
        for v in (*node.inputs, *node.outputs):
            if not v.type.in_kernels:
                return f"compiled kernels do not know {v.dtype}"
    return kernel.supports(node)


def _measured(node: Apply, device: str, available: frozenset[str] | None) -> Kernel | None:
    """The kernel that tuning found to be the fastest, if it is still there and accepts."""
    record = tuning.record_of(node, tuning.machine(device, machine_detail(device)))
    if record is None:
        return None
    return next((k for k in candidates(node, device, available) if k.name == record["kernel"]), None)


def machine_detail(device: str) -> str:
    """What else of the machine a measurement depends on; a backend may have set it."""
    return _details[device]() if device in _details else ""


_details: dict[str, Callable[[], str]] = {}


def set_machine_detail(device: str, detail: Callable[[], str]) -> None:
    """How a backend tells its instruction set, threads or model."""
    _details[device] = detail
