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
from symconv.theano.tensor.elementwise import tensor_copy
from symconv.theano.tensor.extra_classes import CumOp, DiffOp, RepeatOp, SearchsortedOp
from symconv.theano.tensor.op_classes import (  # noqa: F401
    Bartlett,
    CpuContiguous,
    FillDiagonal,
    FillDiagonalOffset,
    RavelMultiIndex,
    SqueezeOp,
    UnravelIndex,
)
from symconv.theano.tensor.shape_ops import repeat, squeeze
from symconv.theano.tensor.sort import cumprod, cumsum, diff, fill_diagonal, fill_diagonal_offset, to_one_hot
from symconv.theano.tensor.subtensor import compress

cpu_contiguous = tensor_copy

__all__ = [
    "CumOp",
    "DiffOp",
    "RepeatOp",
    "SearchsortedOp",
    "Unique",
    "bartlett",
    "bincount",
    "compress",
    "cpu_contiguous",
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
