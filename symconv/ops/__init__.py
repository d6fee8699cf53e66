"""The operations, one file per family."""

from symconv.ops import elementwise, reduce
from symconv.ops import operators as operators
from symconv.ops.axes import dimshuffle, expand_dims, moveaxis, squeeze, swapaxes
from symconv.ops.complex_numbers import angle, complex_from_polar, conj, imag, make_complex, real
from symconv.ops.conv import conv2d, conv_transpose2d
from symconv.ops.create import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    one_hot,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from symconv.ops.cumulative import cumprod, cumsum
from symconv.ops.dense import batched_dot, dense, dot, matmul, outer, tensordot
from symconv.ops.diagonal import diag, diagonal, tril, triu
from symconv.ops.elementwise import *  # noqa: F403
from symconv.ops.gather import take, take_along_axis
from symconv.ops.index import inc_subtensor, index_add, index_update, set_subtensor
from symconv.ops.join import concatenate, repeat, roll, split, stack, tile
from symconv.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    categorical_crossentropy,
    cross_entropy_with_logits,
    log_likelihood,
    nll,
    squared_error,
)
from symconv.ops.nonzero import nonzero
from symconv.ops.norm import batch_norm, batch_norm_inference, local_response_norm, running_average
from symconv.ops.pad import pad
from symconv.ops.pool import (
    avg_pool2d,
    global_avg_pool2d,
    global_max_pool2d,
    l2_pool2d,
    lp_pool2d,
    max_pool2d,
    sum_pool2d,
)
from symconv.ops.random import RandomStream, dropout
from symconv.ops.reduce import *  # noqa: F403
from symconv.ops.reverse import flip
from symconv.ops.shape import broadcast_to, flatten, reshape, transpose
from symconv.ops.softmax import log_softmax, softmax
from symconv.ops.sort import argsort, sort
from symconv.ops.warp import random_warp

all, any, max, min, sum = (  # NumPy's names; inside the package they stay Python's
    reduce.reduce_all,
    reduce.reduce_any,
    reduce.reduce_max,
    reduce.reduce_min,
    reduce.reduce_sum,
)

__all__ = [
    "RandomStream",
    "angle",
    "arange",
    "argsort",
    "avg_pool2d",
    "batch_norm",
    "batch_norm_inference",
    "batched_dot",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "categorical_crossentropy",
    "complex_from_polar",
    "concatenate",
    "conj",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy_with_logits",
    "cumprod",
    "cumsum",
    "dense",
    "diag",
    "diagonal",
    "dimshuffle",
    "dot",
    "dropout",
    "expand_dims",
    "eye",
    "flatten",
    "flip",
    "full",
    "full_like",
    "global_avg_pool2d",
    "global_max_pool2d",
    "imag",
    "inc_subtensor",
    "index_add",
    "index_update",
    "l2_pool2d",
    "linspace",
    "local_response_norm",
    "log_likelihood",
    "log_softmax",
    "lp_pool2d",
    "make_complex",
    "matmul",
    "max_pool2d",
    "moveaxis",
    "nll",
    "nonzero",
    "one_hot",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "random_warp",
    "real",
    "repeat",
    "reshape",
    "roll",
    "running_average",
    "set_subtensor",
    "softmax",
    "sort",
    "split",
    "squared_error",
    "squeeze",
    "stack",
    "sum_pool2d",
    "swapaxes",
    "take",
    "take_along_axis",
    "tensordot",
    "tile",
    "transpose",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
    *elementwise.__all__,
    *reduce.__all__,
    "all",
    "any",
    "max",
    "min",
    "sum",
]
