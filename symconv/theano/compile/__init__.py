"""theano.compile: functions, modes and shared variables under Theano's names."""

from symconv.errors import GraphError as UnusedInputError
from symconv.theano.compile import debugmode as debugmode
from symconv.theano.compile.ops import as_op
from symconv.theano.functions import Function, In, Out, Param, SymbolicInput, SymbolicOutput, function
from symconv.theano.modes import DebugMode, Mode, NanGuardMode, get_default_mode, get_mode
from symconv.theano.sharedvar import SharedVariable, shared

FAST_RUN, FAST_COMPILE = get_mode("FAST_RUN"), get_mode("FAST_COMPILE")

__all__ = [
    "FAST_COMPILE",
    "FAST_RUN",
    "DebugMode",
    "Function",
    "In",
    "Mode",
    "NanGuardMode",
    "Out",
    "Param",
    "SharedVariable",
    "SymbolicInput",
    "SymbolicOutput",
    "UnusedInputError",
    "as_op",
    "function",
    "get_default_mode",
    "get_mode",
    "shared",
]
