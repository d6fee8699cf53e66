"""Kernels that users have registered for ops: for the process, or for the length of a `with` block.

A registration never changes `Op.kernels`. What is registered is one immutable tuple; `state()` gives it, and
compiled functions keep it with their plans: one that was made under other registrations is made again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from symconv.errors import ArgumentError
from symconv.graph.core import Apply, Op
from symconv.graph.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Registered:
    """One kernel of one op; `last`: behind the op's own kernels instead of before them."""

    op: type[Op]
    kernel: Kernel
    last: bool = False


State = tuple[tuple[Registered, ...], tuple[Registered, ...]]

_lock = threading.Lock()
_process: tuple[Registered, ...] = ()
_scoped: ContextVar[tuple[Registered, ...]] = ContextVar("symconv_kernels", default=())


def state() -> State:
    """All registrations: those of this thread's `with` blocks, and those of the process. Newest first."""
    return _scoped.get(), _process


def register_kernel(op: type[Op] | str, *kernels: Kernel, last: bool = False) -> None:
    """Offer kernels to every node of `op` (a class, or an op's name) that is compiled from now on.

    They are asked before the op's own kernels, newest first, or after them with `last`. A node that one of
    them accepts is not fused with others. Functions that have been compiled already make their plans again at
    their next call. Raises ArgumentError for a name that the op has already on that device.
    """
    global _process
    with _lock:
        _process = (*_entries(op, kernels, last), *_process)


def unregister_kernel(op: type[Op] | str, *names: str) -> None:
    """Take back what `register_kernel` did, for all devices. Raises ArgumentError for an unknown name."""
    global _process
    cls = op_class(op)
    with _lock:
        for name in names:
            if not any(r.op is cls and r.kernel.name == name for r in _process):
                known = ", ".join(r.kernel.name for r in _process if r.op is cls)
                raise ArgumentError(
                    f"unregister_kernel: no kernel {name!r} is registered for {cls.name} "
                    f"(registered: {known or 'none'})"
                )
        _process = tuple(r for r in _process if not (r.op is cls and r.kernel.name in names))


@contextmanager
def use_kernel(op: type[Op] | str, *kernels: Kernel, last: bool = False) -> Iterator[None]:
    """`register_kernel` for this thread (or async task), undone at the end of the block."""
    token = _scoped.set((*_entries(op, kernels, last), *_scoped.get()))
    try:
        yield
    finally:
        _scoped.reset(token)


def registered_kernels(op: type[Op]) -> list[Kernel]:
    """What is registered for `op` to come before its own kernels, in the order in which it is asked."""
    return [r.kernel for part in state() for r in part if r.op is op and not r.last]


def kernels_of(op: type[Op]) -> list[Kernel]:
    """Every kernel of `op` in the order in which it is asked."""
    last = [r.kernel for part in state() for r in part if r.op is op and r.last]
    return [*registered_kernels(op), *op.kernels, *last]


def keeps(node: Apply, device: str) -> Kernel | None:
    """The registered kernel for whose sake `node` must stay as it is, if there is one."""
    for kernel in registered_kernels(type(node.op)):
        if kernel.device == device and kernel.supports(node) is None:
            return kernel
    return None


def all_ops(base: type[Op] = Op) -> Iterator[type[Op]]:
    """Every op class there is."""
    for cls in base.__subclasses__():
        yield cls
        yield from all_ops(cls)


def op_class(op: Any) -> type[Op]:
    """The class, also from an op's name. Raises ArgumentError."""
    if isinstance(op, type) and issubclass(op, Op):
        return op
    if isinstance(op, str):
        found = [cls for cls in all_ops() if cls.name == op]
        if len(found) == 1:
            return found[0]
        named = "no op has" if not found else f"{len(found)} ops have"
        raise ArgumentError(f"{named} the name {op!r}\n  hint: give its class")
    raise ArgumentError(f"an op is a class derived from sc.Op, or its name; got {op!r}")


def _entries(op: Any, kernels: tuple[Kernel, ...], last: bool) -> tuple[Registered, ...]:
    cls = op_class(op)
    taken = {(k.device, k.name): k for k in kernels_of(cls)}
    for kernel in kernels:
        if not isinstance(kernel, Kernel):
            raise ArgumentError(
                f"{cls.name}: {kernel!r} is no kernel\n  hint: make one with sc.cuda_kernel or sc.cpu_kernel"
            )
        other = taken.get((kernel.device, kernel.name))
        if other is not None:
            raise ArgumentError(
                f"{cls.name} already has a {kernel.device} kernel {kernel.name!r}, from {other.place}\n"
                "  hint: choose another name, or unregister_kernel first"
            )
        taken[kernel.device, kernel.name] = kernel
    return tuple(Registered(cls, k, last) for k in kernels)
