"""The operations, one file per family."""

from symconv.ops import operators as operators
from symconv.ops.elementwise import add, cast, mul, neg, sub, true_div
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import broadcast_to, flatten, reshape, transpose

__all__ = [
    "add",
    "broadcast_to",
    "cast",
    "flatten",
    "mul",
    "neg",
    "reduce_sum",
    "reshape",
    "sub",
    "transpose",
    "true_div",
]
