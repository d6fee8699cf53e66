"""theano.gof: Op and Apply for operations that users write, and walks over the graph."""

from symconv.theano.gof import graph as graph
from symconv.theano.gof import utils as utils
from symconv.theano.gof.fg import FunctionGraph
from symconv.theano.gof.op import Apply, Op, PureOp
from symconv.theano.gof.type import Generic, Type, generic
from symconv.theano.inputs import MissingInputError
from symconv.theano.variable import Constant, Variable

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
