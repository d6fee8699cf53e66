"""Theano's ops of softmax and its costs as classes: an instance is called as the function is."""

from __future__ import annotations

from typing import Any

from symconv.ops.softmax import put_label
from symconv.theano.tensor import basic as T
from symconv.theano.tensor.nnet import nnet
from symconv.theano.tensor.subtensor import set_subtensor
from symconv.theano.variable import as_tensor_variable, native_of, wrap


class _Callable:
    """Any two instances with the same options are equal."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return type(self).__name__


class Softmax(_Callable):
    def __call__(self, c: Any) -> Any:
        """softmax(c)."""
        return nnet.softmax(c)


class LogSoftmax(_Callable):
    def __call__(self, c: Any) -> Any:
        """log(softmax(c))."""
        return nnet.logsoftmax(c)


class SoftmaxWithBias(_Callable):
    def __call__(self, x: Any, b: Any) -> Any:
        """softmax(x + b)."""
        return nnet.softmax_with_bias(x, b)


class SoftmaxGrad(_Callable):
    def __call__(self, dy: Any, sm: Any) -> Any:
        """dx = (dy - sum(dy p)) p for each row p of a softmax."""
        dy, p = as_tensor_variable(dy), as_tensor_variable(sm)
        return (dy - T.sum(dy * p, axis=1, keepdims=True)) * p


class CrossentropySoftmaxArgmax1HotWithBias(_Callable):
    def __call__(self, x: Any, b: Any, y_idx: Any) -> list[Any]:
        """[-log softmax(x + b)[y], softmax(x + b), argmax]."""
        return nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)


class CrossentropySoftmax1HotWithBiasDx(_Callable):
    def __call__(self, dy: Any, sm: Any, y_idx: Any) -> Any:
        """dx[n] = dy[n] (p[n] - onehot(y[n])) for the rows p of a softmax."""
        dy, p, y = as_tensor_variable(dy), as_tensor_variable(sm), as_tensor_variable(y_idx)
        if dy.ndim == 0:
            dy = T.fill(p[:, 0], dy)
        at_labels = put_label(native_of(dy), native_of(y), native_of(p).shape[1])
        return dy.dimshuffle(0, "x") * p - wrap(at_labels)


class CrossentropyCategorical1Hot(_Callable):
    def __call__(self, coding_dist: Any, true_one_of_n: Any) -> Any:
        """-log p[n, label[n]]."""
        return nnet.crossentropy_categorical_1hot(coding_dist, true_one_of_n)


class CrossentropyCategorical1HotGrad(_Callable):
    def __call__(self, g_y: Any, coding_dist: Any, true_one_of_n: Any) -> Any:
        """The gradient of crossentropy_categorical_1hot: -g / p at the labels, 0 elsewhere."""
        g, p, y = as_tensor_variable(g_y), as_tensor_variable(coding_dist), as_tensor_variable(true_one_of_n)
        rows = T.arange(y.shape[0])
        return set_subtensor(T.zeros_like(p)[rows, y], -g / p[rows, y])


class Prepend_scalar_constant_to_each_row(_Callable):  # noqa: N801
    def __init__(self, val: float = 0) -> None:
        self.val = float(val)

    def __call__(self, mat: Any) -> Any:
        """The matrix with a first column of `val`."""
        return nnet.prepend_scalar_to_each_row(self.val, mat)


class Prepend_scalar_to_each_row(_Callable):  # noqa: N801
    def __call__(self, val: Any, mat: Any) -> Any:
        """The matrix with a first column of `val`."""
        return nnet.prepend_scalar_to_each_row(val, mat)


softmax_grad = SoftmaxGrad()
logsoftmax_op = LogSoftmax()
crossentropy_softmax_1hot_with_bias_dx = CrossentropySoftmax1HotWithBiasDx()
crossentropy_categorical_1hot_grad = CrossentropyCategorical1HotGrad()

__all__ = [
    "CrossentropyCategorical1Hot",
    "CrossentropyCategorical1HotGrad",
    "CrossentropySoftmax1HotWithBiasDx",
    "CrossentropySoftmaxArgmax1HotWithBias",
    "LogSoftmax",
    "Prepend_scalar_constant_to_each_row",
    "Prepend_scalar_to_each_row",
    "Softmax",
    "SoftmaxGrad",
    "SoftmaxWithBias",
    "crossentropy_categorical_1hot_grad",
    "crossentropy_softmax_1hot_with_bias_dx",
    "logsoftmax_op",
    "softmax_grad",
]
