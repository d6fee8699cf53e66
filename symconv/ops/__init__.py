"""The operations, one file per family."""

from symconv.ops import operators as operators
from symconv.ops.conv import conv2d, conv_transpose2d
from symconv.ops.dense import batched_dot, dense, dot, matmul, outer, tensordot
from symconv.ops.elementwise import add, cast, mul, neg, sub, true_div
from symconv.ops.pool import (
    avg_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    l2_pool2d,
    lp_pool2d,
    max_pool2d,
    sum_pool2d,
)
from symconv.ops.reduce import reduce_sum
from symconv.ops.shape import broadcast_to, flatten, reshape, transpose

__all__ = [
    "add",
    "avg_pool2d",
    "batched_dot",
    "broadcast_to",
    "cast",
    "conv2d",
    "conv_transpose2d",
    "dense",
    "dot",
    "flatten",
    "global_avg_pool2d",
    "global_max_pool2d",
    "l2_pool2d",
    "lp_pool2d",
    "matmul",
    "max_pool2d",
    "mul",
    "neg",
    "outer",
    "reduce_sum",
    "reshape",
    "sub",
    "sum_pool2d",
    "tensordot",
    "transpose",
    "true_div",
]
