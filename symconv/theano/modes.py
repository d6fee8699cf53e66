"""Mode names of Theano: how a function's calls are compiled and checked."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.config import config as native
from symconv.debug import mode as native_modes
from symconv.errors import ArgumentError, ExecutionError, NonFiniteError, SymconvError
from symconv.function import function as native_function
from symconv.theano.configuration import as_boolean, config


class Mode:
    """FAST_RUN: all rewrites and kernels. Optimizers and linkers by name; other objects have no effect."""

    name = "FAST_RUN"

    def __init__(self, linker: Any = None, optimizer: Any = "default", **_: Any) -> None:
        self.linker = linker
        self.optimizer = optimizer

    @property
    def rewrites(self) -> bool:
        return self.optimizer not in (None, "None", "fast_compile", "o0")

    @property
    def native(self) -> native_modes.Mode | None:
        """How the native function runs; None is symconv's own setting."""
        return None

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        """The outputs of a call."""
        if self.rewrites:
            return self._call(function, values)
        with native(optimize=False):
            return self._call(function, values)

    def _call(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        try:
            outputs: list[np.ndarray] = function(*values)
        except Exception as caught:
            error = in_kind(caught)
            if config.exception_verbosity == "high":
                from symconv.graph.printing import debugprint

                roots = [*function.outputs, *(v for _, v in function.updates)]
                text = f"{error}\ngraph as written:\n{debugprint(roots)}"
                raise type(error)(text).with_traceback(caught.__traceback__) from None
            if error is not caught:
                raise error from caught.__cause__
            raise
        return outputs

    def including(self, *names: str) -> Mode:
        return self

    excluding = register = including

    def clone(self, **_: Any) -> Mode:
        return self

    def __repr__(self) -> str:
        return f"Mode({self.name})"


_kinds: dict[type[Exception], type[Exception]] = {}


def _both(kind: type[Exception], message: str) -> Exception:
    """An ExecutionError that is of that kind, too; a plain one where Python cannot have both."""
    if kind not in _kinds:
        body = {
            "__module__": __name__,
            "message": property(lambda self: self.args[0]),
            "__reduce__": lambda self: (_both, (kind, self.args[0])),
        }
        try:
            # a label out of range was a ValueError in Theano, an IndexError where p[arange(n), y] was written
            kinds = (IndexError, ValueError) if kind is IndexError else (kind,)
            _kinds[kind] = type(kind.__name__, (ExecutionError, *kinds), body)
            _kinds[kind](message)
        except TypeError:
            _kinds[kind] = ExecutionError
    return _kinds[kind](message)


def in_kind(error: Exception) -> Exception:
    """An ExecutionError that is also of the kind that an Assert, or the perform of a user's Op, raised.

    Programs catch what their Op raises, as in Theano; an index or a label out of range is an IndexError and a
    ValueError. Any other error as it is.
    """
    cause: BaseException | None = error.__cause__
    while isinstance(cause, ExecutionError):
        cause = cause.__cause__
    if type(error) is not ExecutionError or not isinstance(cause, Exception):
        return error
    return error if isinstance(cause, SymconvError) else _both(type(cause), error.message)


class FastCompile(Mode):
    """FAST_COMPILE: no rewrites."""

    name = "FAST_COMPILE"

    def __init__(self) -> None:
        super().__init__(optimizer="fast_compile")


class DebugMode(Mode):
    """Every call is checked as by symconv.DebugMode: each kernel by itself on guarded memory against the
    NumPy reference, and all results against the graph as it was written.

    check_isfinite also looks for NaN and infinities, by the reference, before the call. The other arguments
    of Theano's class have no effect. Raises the errors of symconv.theano.compile.debugmode.
    """

    name = "DebugMode"

    def __init__(self, optimizer: Any = "default", check_isfinite: bool | None = None, **_: Any) -> None:
        super().__init__(optimizer=optimizer)
        self.check_isfinite = bool(check_isfinite)

    @property
    def native(self) -> native_modes.Mode:
        return native_modes.DebugMode()

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        if self.check_isfinite:
            found = function.find_nonfinite(*values)
            if found is not None:
                raise NonFiniteError(f"DebugMode(check_isfinite=True): {found}")
        return super().run(function, values)


_nan_log = logging.getLogger("theano.compile.nanguardmode")
_without_guard: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


class NanGuardError(NonFiniteError, AssertionError):
    """Cause: a value that mode NanGuardMode looks for. Cure: the text names the node, its line, its operands.

    An AssertionError, as in Theano.
    """


class NanGuardMode(Mode):
    """A call that meets NaN, infinities or values beyond 1e10 raises, naming the node, and changes nothing.

    Each of the three can be left out; None takes config.NanGuardMode.nan_is_error and its kin, True unless
    set otherwise. With config.NanGuardMode.action = "warn" the node is named in the log, with "pdb" in the
    debugger, and the call goes on.
    """

    name = "NanGuardMode"

    def __init__(
        self, nan_is_error: bool | None = None, inf_is_error: bool | None = None,
        big_is_error: bool | None = None, optimizer: Any = "default", linker: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(linker, optimizer)
        flags = config.NanGuardMode
        self.nan_is_error = as_boolean(flags.nan_is_error if nan_is_error is None else nan_is_error)
        self.inf_is_error = as_boolean(flags.inf_is_error if inf_is_error is None else inf_is_error)
        self.big_is_error = as_boolean(flags.big_is_error if big_is_error is None else big_is_error)

    @property
    def native(self) -> native_modes.Mode:
        return native_modes.NanGuardMode(self.nan_is_error, self.inf_is_error, self.big_is_error)

    def run(self, function: Any, values: Sequence[Any]) -> list[np.ndarray]:
        try:
            return super().run(function, values)
        except NonFiniteError as error:
            message = f"NanGuardMode: {error.message}"
        action = config.NanGuardMode.action
        if action not in ("raise", "warn", "pdb"):
            raise ArgumentError(f"config.NanGuardMode.action must be raise, warn or pdb, got {action!r}")
        if action == "raise":
            raise NanGuardError(message)
        if action == "warn":
            _nan_log.error(message)
        else:
            import pdb

            print(message)
            pdb.set_trace()  # noqa: T100 - what was asked for
        return super().run(_unguarded(function), values)


def _unguarded(function: Any) -> Any:
    """The same function without a guard, for calls that go on."""
    if function not in _without_guard:
        _without_guard[function] = native_function(
            function.inputs, function.outputs, function.updates, on_unused_input="ignore",
            no_default_updates=True, mode="normal",
        )  # fmt: skip
    return _without_guard[function]


_NAMED: dict[str, type[Mode]] = {
    "Mode": Mode, "FAST_RUN": Mode, "FAST_COMPILE": FastCompile, "DebugMode": DebugMode,
    "DEBUG_MODE": DebugMode, "NanGuardMode": NanGuardMode, "ProfileMode": Mode,
}  # fmt: skip


_REGISTERED: dict[str, Mode] = {}


def register(name: str, mode: Mode) -> None:
    """Let get_mode find a mode by a name. Raises ArgumentError for one that is taken."""
    if name in _NAMED or name in _REGISTERED:
        raise ArgumentError(f"register_mode: there is a mode {name!r} already")
    _REGISTERED[name] = mode


def get_mode(mode: Any = None) -> Mode:
    """A Mode for a name or a Mode; None is config.mode."""
    if isinstance(mode, Mode):
        return mode
    name = config.mode if mode is None else mode
    if name in _REGISTERED:
        return _REGISTERED[name]
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
    "NanGuardError",
    "NanGuardMode",
    "get_default_mode",
    "get_mode",
]
