"""theano.tensor.elemwise: the classes of ops that programs look for among the nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.ops.elementwise_base import Elementwise as Elemwise
from symconv.ops.reduce import Prod, Reduce, Sum
from symconv.theano.absent import absent
from symconv.theano.tensor.shape_ops import dimshuffle

CAReduce = CAReduceDtype = Reduce
ProdWithoutZeros = absent("theano.tensor.elemwise.ProdWithoutZeros", "T.prod")


class DimShuffle:
    """DimShuffle(flags of the input, order)(x) is x.dimshuffle(order)."""

    def __init__(
        self, input_broadcastable: Sequence[bool], new_order: Sequence[Any], inplace: bool = True
    ) -> None:
        self.input_broadcastable, self.new_order = tuple(input_broadcastable), tuple(new_order)

    def __call__(self, x: Any) -> Any:
        return dimshuffle(x, *self.new_order)


__all__ = ["CAReduce", "CAReduceDtype", "DimShuffle", "Elemwise", "Prod", "ProdWithoutZeros", "Sum"]
