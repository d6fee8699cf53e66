"""theano.tensor.nnet.blocksparse: products of chosen blocks of a layer."""

from __future__ import annotations

from typing import Any

from symconv.errors import ShapeError
from symconv.theano.tensor import reductions, shape_ops
from symconv.theano.variable import as_tensor_variable


def sparse_block_dot(W: Any, h: Any, inputIdx: Any, b: Any, outputIdx: Any) -> Any:  # noqa: N803
    """out[n, j] = b[o] + sum over k of h[n, k] W[inputIdx[n, k], o], o = outputIdx[n, j].

    W [input blocks, output blocks, input size, output size], h [batch, k, input size] or one example's
    [k, input size], b [output blocks, output size]; gives [batch, j, output size].
    """
    W, h, b = as_tensor_variable(W), as_tensor_variable(h), as_tensor_variable(b)  # noqa: N806
    into, out = as_tensor_variable(inputIdx), as_tensor_variable(outputIdx)
    if h.ndim not in (2, 3) or into.ndim != h.ndim - 1 or out.ndim != into.ndim:
        raise ShapeError(
            f"sparse_block_dot: h with {h.ndim} dimensions takes block numbers with {h.ndim - 1}, got "
            f"{into.ndim} and {out.ndim}\n  hint: h [batch, k, size], inputIdx [batch, k]"
        )
    if h.ndim == 2:
        h, into, out = (shape_ops.shape_padleft(v) for v in (h, into, out))
    chosen = W[into.dimshuffle(0, 1, "x"), out.dimshuffle(0, "x", 1)]
    return reductions.sum(h.dimshuffle(0, 1, "x", 2, "x") * chosen, axis=(1, 3)) + b[out]


__all__ = ["sparse_block_dot"]
