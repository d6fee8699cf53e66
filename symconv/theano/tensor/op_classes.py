"""Names of Theano's op classes in theano.tensor: the native classes, to be looked for among the nodes of a
graph. Those without a counterpart are nobody's class, and making one says what to write instead."""

from __future__ import annotations

from typing import Any

from symconv.ops.create import Arange as ARange
from symconv.ops.create import Eye
from symconv.ops.dense import Dot
from symconv.ops.join import Concatenate as Join
from symconv.ops.reduce import ArgMax as Argmax
from symconv.ops.reduce import Max as MaxAndArgmax
from symconv.ops.reduce import Prod, Reduce, Sum
from symconv.ops.shape import BroadcastTo as Alloc
from symconv.ops.shape import Reshape
from symconv.ops.shape import ShapeOf as Shape
from symconv.ops.shape import ShapeOf as Shape_i
from symconv.ops.sort import ArgSort as ArgSortOp
from symconv.ops.sort import Sort as SortOp
from symconv.theano.absent import absent
from symconv.theano.declared import Declare as Rebroadcast
from symconv.theano.declared import Declare as SpecifyShape

# class -> the function that does its work
_WITHOUT = {
    "AllocDiag": "T.diag", "AllocEmpty": "T.zeros", "Bartlett": "T.bartlett", "Choose": "T.choose",
    "CpuContiguous": "x itself", "Default": "theano.In(x, value=...)",
    "Dot22": "T.dot", "ExtractDiag": "T.diagonal", "FillDiagonal": "T.fill_diagonal",
    "FillDiagonalOffset": "T.fill_diagonal_offset", "Gemm": "T.blas.gemm", "Gemv": "T.blas.gemv",
    "MakeVector": "T.stack", "Mean": "T.mean", "PermuteRowElements": "T.permute_row_elements",
    "RavelMultiIndex": "T.ravel_multi_index", "ScalarFromTensor": "x itself",
    "Split": "T.split", "SqueezeOp": "T.squeeze",
    "TensorFromScalar": "x itself", "Tile": "T.tile", "TopKOp": "T.topk", "Tri": "T.tri",
    "UnravelIndex": "T.unravel_index",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _WITHOUT:
        raise AttributeError(name)
    globals()[name] = made = absent(f"theano.tensor.{name}", _WITHOUT[name])
    return made


__all__ = [
    "ARange", "Alloc", "ArgSortOp", "Argmax", "Dot", "Eye", "Join", "MaxAndArgmax", "Prod",
    "Rebroadcast", "Reduce", "Reshape", "Shape", "Shape_i", "SortOp", "SpecifyShape", "Sum", *_WITHOUT,
]  # fmt: skip
