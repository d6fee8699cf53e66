"""theano.compile.debugmode: the mode and the errors that it raises, under Theano's names."""

from symconv.errors import (
    DebugModeError,
    KernelMismatchError,
    MemoryClaimError,
    NonFiniteError,
    RewriteMismatchError,
)
from symconv.theano.modes import DebugMode

BadThunkOutput = KernelMismatchError
BadDestroyMap = BadViewMap = MemoryClaimError
BadOptimization = RewriteMismatchError
InvalidValueError = NonFiniteError

__all__ = [
    "BadDestroyMap",
    "BadOptimization",
    "BadThunkOutput",
    "BadViewMap",
    "DebugMode",
    "DebugModeError",
    "InvalidValueError",
]
