"""theano.compile: functions, modes and shared variables under Theano's names."""

from typing import Any

import symconv.theano.compile.function  # noqa: F401 - first: the name is that of the function below
import symconv.theano.compile.pfunc  # noqa: F401 - likewise
from symconv.theano.absent import absent, missing
from symconv.theano.compile import builders as builders
from symconv.theano.compile import debugmode as debugmode
from symconv.theano.compile import mode as mode
from symconv.theano.compile.ops import OpFromGraph, ViewOp, as_op, view_op
from symconv.theano.compile.pfunc import pfunc
from symconv.theano.compile.profiling import ProfileStats
from symconv.theano.configuration import config
from symconv.theano.elsewhere import elsewhere
from symconv.theano.functions import Function, In, Out, Param, SymbolicInput, SymbolicOutput, function
from symconv.theano.inputs import UnusedInputError
from symconv.theano.modes import DebugMode, Mode, NanGuardMode, get_default_mode, get_mode
from symconv.theano.sharedvar import SharedVariable, shared


def __getattr__(name: str) -> Any:
    """Names of other modules, and modules, that are imported when they are first asked for."""
    found = elsewhere("compile", name)
    return missing("compile", name) if found is None else found


_OWN_COPIES = "outputs are always the caller's own, and symconv's plans decide what shares memory"
DeepCopyOp = absent("theano.compile.DeepCopyOp", _OWN_COPIES)
Rebroadcast = absent("theano.compile.Rebroadcast", "T.patternbroadcast")
FAST_RUN, FAST_COMPILE = get_mode("FAST_RUN"), get_mode("FAST_COMPILE")

__all__ = [
    "FAST_COMPILE",
    "FAST_RUN",
    "DebugMode",
    "Function",
    "In",
    "Mode",
    "NanGuardMode",
    "OpFromGraph",
    "Out",
    "Param",
    "ProfileStats",
    "SharedVariable",
    "SymbolicInput",
    "SymbolicOutput",
    "UnusedInputError",
    "ViewOp",
    "as_op",
    "config",
    "function",
    "get_default_mode",
    "get_mode",
    "pfunc",
    "shared",
    "view_op",
]
