"""Mode names of Theano: how a function's calls are compiled and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.backends.reference import evaluate
from symconv.config import config as native
from symconv.errors import ArgumentError, ExecutionError, NonFiniteError
from symconv.graph import SharedVariable
from symconv.graph.traversal import leaves
from symconv.theano.configuration import config


class Mode:
    """FAST_RUN: all rewrites and kernels. Optimizers and linkers by name; other objects have no effect."""

    name = "FAST_RUN"

    def __init__(self, linker: Any = None, optimizer: Any = "default", **_: Any) -> None:
        self.linker = linker
        self.optimizer = optimizer

    @property
    def rewrites(self) -> bool:
        return self.optimizer not in (None, "None", "fast_compile", "o0")

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        """The outputs of a call."""
        if self.rewrites:
            return self._call(function, values)
        with native(optimize=False):
            return self._call(function, values)

    def _call(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        try:
            outputs: list[np.ndarray] = function(*values)
        except Exception as error:
            if config.exception_verbosity == "high":
                from symconv.graph.printing import debugprint

                roots = [*function.outputs, *(v for _, v in function.updates)]
                text = f"{error}\ngraph as written:\n{debugprint(roots)}"
                raise type(error)(text).with_traceback(error.__traceback__) from None
            raise
        return outputs

    def including(self, *names: str) -> Mode:
        return self

    excluding = register = including

    def clone(self, **_: Any) -> Mode:
        return self

    def __repr__(self) -> str:
        return f"Mode({self.name})"


class FastCompile(Mode):
    """FAST_COMPILE: no rewrites."""

    name = "FAST_COMPILE"

    def __init__(self) -> None:
        super().__init__(optimizer="fast_compile")


class DebugMode(Mode):
    """Every call is computed a second time, as written, by the NumPy reference, and the results compared."""

    name = "DebugMode"

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        roots = [*function.outputs, *(v for _, v in function.updates)]
        known: dict[Any, Any] = dict(zip(function._variables, (np.asarray(v) for v in values)))
        for v in leaves(roots):
            if isinstance(v, SharedVariable):
                known[v] = v.get_value()
        expected = evaluate(roots, known)
        with native(verify_rewrites=True):
            outputs = self._call(function, values)
        states = [s.get_value(borrow=True) for s, _ in function.updates]
        for v, got, want in zip(roots, [*outputs, *states], expected):
            if not _close(got, want):
                raise ExecutionError(
                    f"DebugMode: {v!r} from {v.origin} differs from the reference by "
                    f"{float(np.max(np.abs(np.asarray(got, 'float64') - want)))}"
                )
        return outputs


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    loose = 1e-3 if a.dtype == np.float32 else 1e-8
    scale = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))) if b.dtype.kind == "f" else 0.0
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=loose, atol=loose * scale, equal_nan=True))


class NanGuardMode(Mode):
    """A call that meets NaN, Inf or huge values raises, naming the node, and changes nothing."""

    name = "NanGuardMode"

    def __init__(
        self, nan_is_error: bool = True, inf_is_error: bool = True, big_is_error: bool = True, **_: Any
    ) -> None:
        super().__init__()

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        found = function.find_nonfinite(*values)
        if found is not None:
            raise NonFiniteError(f"NanGuardMode: {found}")
        return self._call(function, values)


_NAMED: dict[str, type[Mode]] = {
    "Mode": Mode, "FAST_RUN": Mode, "FAST_COMPILE": FastCompile, "DebugMode": DebugMode,
    "DEBUG_MODE": DebugMode, "NanGuardMode": NanGuardMode, "ProfileMode": Mode, "MonitorMode": Mode,
}  # fmt: skip


def get_mode(mode: Any = None) -> Mode:
    """A Mode for a name or a Mode; None is config.mode."""
    if isinstance(mode, Mode):
        return mode
    name = config.mode if mode is None else mode
    if name not in _NAMED:
        raise ArgumentError(f"unknown mode {name!r}; there are {', '.join(_NAMED)}")
    if _NAMED[name] is Mode and config.optimizer in ("None", "fast_compile"):
        return FastCompile()
    return _NAMED[name]()


def get_default_mode() -> Mode:
    """The mode that config.mode names."""
    return get_mode(None)


__all__ = [
    "DebugMode",
    "Mode",
    "NanGuardMode",
    "get_default_mode",
    "get_mode",
]
