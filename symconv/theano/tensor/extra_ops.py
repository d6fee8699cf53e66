"""theano.tensor.extra_ops."""

from symconv.theano.tensor.counting import (
    Unique,
    bartlett,
    bincount,
    ravel_multi_index,
    searchsorted,
    unique,
    unravel_index,
)
from symconv.theano.tensor.shape_ops import repeat, squeeze
from symconv.theano.tensor.sort import cumprod, cumsum, diff, fill_diagonal, fill_diagonal_offset, to_one_hot
from symconv.theano.tensor.subtensor import compress

__all__ = [
    "Unique",
    "bartlett",
    "bincount",
    "compress",
    "cumprod",
    "cumsum",
    "diff",
    "fill_diagonal",
    "fill_diagonal_offset",
    "ravel_multi_index",
    "repeat",
    "searchsorted",
    "squeeze",
    "to_one_hot",
    "unique",
    "unravel_index",
]
