"""theano.tensor.extra_ops."""

from symconv.theano.tensor.shape_ops import repeat, squeeze
from symconv.theano.tensor.sort import bincount, cumprod, cumsum, diff, fill_diagonal, to_one_hot
from symconv.theano.tensor.subtensor import compress

__all__ = [
    "bincount",
    "compress",
    "cumprod",
    "cumsum",
    "diff",
    "fill_diagonal",
    "repeat",
    "squeeze",
    "to_one_hot",
]
