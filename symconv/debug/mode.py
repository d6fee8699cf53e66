"""How a function runs: plainly, or checked as mode "debug" and "nan_guard" do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from symconv.backends.executable import Executable
from symconv.config import config
from symconv.errors import ArgumentError
from symconv.graph import SharedVariable


class Mode(Protocol):
    """What function(mode=...) takes beside names: it wraps a checking Executable around the compiled one."""

    def wrap(self, inner: Executable, shared: Sequence[SharedVariable], device: str) -> Executable: ...


@dataclass(frozen=True)
class DebugMode:
    """Check every call of a function; what Theano's DebugMode does.

    nodes: run each node's kernel by itself on guarded memory and compare it with the op's NumPy reference;
    look for writes outside outputs, writes into inputs, wrong in-place and view claims, results that depend
    on unwritten memory or change from run to run. rewrites: compare the results of the whole plan with the
    graph as it was written, and name the rewrite that changed them. Raises KernelMismatchError,
    MemoryClaimError or RewriteMismatchError; shared variables then hold what they held before the call.
    """

    nodes: bool = True
    rewrites: bool = True

    def wrap(self, inner: Executable, shared: Sequence[SharedVariable], device: str) -> Executable:
        from symconv.debug.checked import CheckedExecutable

        return CheckedExecutable(inner, shared, device, self.nodes, self.rewrites)


@dataclass(frozen=True)
class NanGuardMode:
    """Stop at the first value that is NaN, infinite or large; what Theano's NanGuardMode does.

    Raises NonFiniteError naming the node, its line and its operands; shared variables then hold what they
    held before the call. big: the magnitude that counts as large.
    """

    nan_is_error: bool = True
    inf_is_error: bool = True
    big_is_error: bool = True
    big: float = 1e10

    def __post_init__(self) -> None:
        if not (isinstance(self.big, (int, float)) and self.big > 0):
            raise ArgumentError(f"NanGuardMode: big is a positive number, got {self.big!r}")

    def wrap(self, inner: Executable, shared: Sequence[SharedVariable], device: str) -> Executable:
        from symconv.debug.nan import Bounds, GuardedExecutable

        limit = float(self.big) if self.big_is_error else float("inf")
        bounds = Bounds(self.nan_is_error, self.inf_is_error, limit)
        return GuardedExecutable(inner, shared, bounds)


MODES: dict[str, Mode | None] = {"normal": None, "debug": DebugMode(), "nan_guard": NanGuardMode()}


def resolve_mode(mode: str | Mode | None) -> Mode | None:
    """The mode for a request: a name, a mode, or None for config.mode. Raises ArgumentError."""
    if mode is None:
        mode = config.mode
    if not isinstance(mode, str):
        if not callable(getattr(mode, "wrap", None)):
            raise ArgumentError(f"mode: not a mode: {mode!r}\n  names: {', '.join(MODES)}")
        return mode
    if mode not in MODES:
        near = difflib.get_close_matches(mode, MODES, 1)
        hint = f"\n  hint: did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"mode: there is no mode {mode!r}\n  names: {', '.join(MODES)}{hint}")
    return MODES[mode]
