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
from symconv.graph.kernel import Kernel, Launch, View, blocks, on_cuda
from symconv.graph.types import (
    COMPLEX,
    DTYPES,
    FLOATS,
    INEXACT,
    KERNEL_DTYPES,
    KERNEL_FLOATS,
    TensorType,
    broadcast_shapes,
    promote,
)

__all__ = [
    "COMPLEX",
    "DTYPES",
    "FLOATS",
    "INEXACT",
    "KERNEL_DTYPES",
    "KERNEL_FLOATS",
    "Apply",
    "Constant",
    "Kernel",
    "Launch",
    "Op",
    "SharedVariable",
    "TensorType",
    "Variable",
    "View",
    "blocks",
    "broadcast_shapes",
    "constant",
    "on_cuda",
    "op_error",
    "promote",
]
