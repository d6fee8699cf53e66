"""theano.gof: Op and Apply for operations that users write, and walks over the graph."""

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.elsewhere import elsewhere
from symconv.theano.gof import graph as graph
from symconv.theano.gof import utils as utils
from symconv.theano.gof.fg import FunctionGraph
from symconv.theano.gof.op import Apply, Op, PureOp
from symconv.theano.gof.type import Generic, Type, generic
from symconv.theano.inputs import MissingInputError
from symconv.theano.variable import Constant, Variable


def __getattr__(name: str) -> Any:
    """Names of other modules, modules that were not imported yet, and what only rewrites need."""
    from symconv.theano.gof import opt

    found = elsewhere("gof", name)
    if found is not None:
        return found
    return getattr(opt, name) if name in opt.INNER else missing("gof", name)


__all__ = [
    "Apply",
    "Constant",
    "FunctionGraph",
    "Generic",
    "MissingInputError",
    "Op",
    "PureOp",
    "Type",
    "Variable",
    "generic",
]
