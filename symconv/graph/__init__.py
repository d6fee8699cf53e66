"""Pure data: types, variables, Apply nodes, the Op protocol, traversal, verification, printing."""

from symconv.graph.core import (
    Apply,
    Constant,
    Op,
    SharedVariable,
    Variable,
    constant,
    op_error,
)
from symconv.graph.kernel import Kernel, Launch, View
from symconv.graph.types import DTYPES, FLOATS, TensorType, broadcast_shapes, promote

__all__ = [
    "DTYPES",
    "FLOATS",
    "Apply",
    "Constant",
    "Kernel",
    "Launch",
    "Op",
    "SharedVariable",
    "TensorType",
    "Variable",
    "View",
    "broadcast_shapes",
    "constant",
    "op_error",
    "promote",
]
