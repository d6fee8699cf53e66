"""theano.tensor.nnet: activations, softmax and costs."""

from __future__ import annotations

from typing import Any

from symconv import ops
from symconv.errors import DTypeError, ShapeError
from symconv.ops import elementwise as ew
from symconv.theano import dtypes
from symconv.theano.elemwise import apply_float
from symconv.theano.naming import unbind
from symconv.theano.tensor import basic as T
from symconv.theano.tensor.monotone import mark
from symconv.theano.variable import as_tensor_variable, constant, wrap


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return apply_float(ew.sigmoid, x)


def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return apply_float(ew.softplus, x)


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    x = as_tensor_variable(x)
    return x / (1.0 + T.abs_(x))


def relu(x: Any, alpha: Any = 0) -> Any:
    """max(x, alpha x). The gradient at 0 is (1 + alpha) / 2, as of Theano's (x + |x|) / 2."""
    x = as_tensor_variable(x)
    if isinstance(alpha, (int, float)) and alpha == 0:
        return 0.5 * (x + T.abs_(x))
    slope = as_tensor_variable(alpha)
    out = 0.5 * (1 + slope) * x + 0.5 * (1 - slope) * T.abs_(x)
    if isinstance(alpha, (int, float)) and 0 <= alpha <= 1:
        mark(out.native, x.native)
    return out


def elu(x: Any, alpha: Any = 1) -> Any:
    """x where x > 0, alpha (e^x - 1) elsewhere."""
    x = as_tensor_variable(x)
    out = T.switch(x > 0, x, alpha * T.expm1(x))
    if isinstance(alpha, (int, float)) and alpha >= 0:
        mark(out.native, x.native)
    return out


def selu(x: Any) -> Any:
    """elu with the scales of self-normalising networks."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * elu(x, alpha)


def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5, clipped to [0, 1]."""
    x = as_tensor_variable(x)
    dtype = dtypes.floating(x.dtype)
    return T.clip(T.cast(x, dtype) * constant(0.2, dtype=dtype) + constant(0.5, dtype=dtype), 0, 1)


def ultra_fast_sigmoid(x: Any) -> Any:
    """A piecewise approximation of sigmoid; its values lie in [0.0025, 0.9975]."""
    x = as_tensor_variable(x)
    dtype = dtypes.floating(x.dtype)

    def number(value: float) -> Any:
        return constant(value, dtype=dtype)

    h = T.cast(x, dtype) * number(0.5)
    m = T.abs_(h)
    near = number(1.5) * m / (number(1) + m)
    middle = number(0.935409070603099) + number(0.0458812946797165) * (m - number(1.7))
    z = T.switch(m < 1.7, near, T.switch(m < 3, middle, number(0.99505475368673)))
    return number(0.5) * (T.switch(h >= 0, z, -z) + number(1))


def softmax(c: Any) -> Any:
    """exp(c) / sum(exp(c)) for each row of a matrix; a vector counts as one row and gives a matrix."""
    return _rowwise(ops.softmax, c, "softmax")


def logsoftmax(c: Any) -> Any:
    """log(softmax(c)), finite for all c."""
    return _rowwise(ops.log_softmax, c, "logsoftmax")


def _rowwise(function: Any, c: Any, what: str) -> Any:
    c = as_tensor_variable(c)
    if c.ndim not in (1, 2):
        raise ShapeError(
            f"{what}: c must be a vector or a matrix, got {c!r} with {c.ndim} dimensions from "
            f"{c.native.origin}\n"
            "  hint: reshape it to a matrix of rows first: c.reshape((-1, n)), or use T.exp(c) / "
            "T.exp(c).sum(axis, "
            "keepdims=True)"
        )
    if c.dtype not in dtypes.FLOATS:
        raise DTypeError(
            f"{what}: c must hold floats, got {c.type} from {c.native.origin}\n  hint: T.cast(c, 'floatX')"
        )
    if c.ndim == 1:
        c = c.dimshuffle("x", 0)
    return wrap(function(c.native))


softmax_graph = softmax_op = softmax


def softmax_with_bias(x: Any, b: Any) -> Any:
    """softmax(x + b)."""
    return softmax(as_tensor_variable(x) + as_tensor_variable(b))


def binary_crossentropy(output: Any, target: Any) -> Any:
    """-(t log p + (1 - t) log(1 - p)) of each element."""
    output, target = as_tensor_variable(output), as_tensor_variable(target)
    return -(target * T.log(output) + (1.0 - target) * T.log(1.0 - output))


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Any:
    """binary_crossentropy(sigmoid(output), target), exact for outputs of any size."""
    x, t = as_tensor_variable(output), as_tensor_variable(target)
    return apply_float(ops.binary_cross_entropy_with_logits, x, t)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Any:
    """-log p[n, label[n]], or -sum(t * log p) for a target distribution in each row."""
    p, t = as_tensor_variable(coding_dist), as_tensor_variable(true_dist)
    if t.ndim == p.ndim:
        return -T.sum(t * T.log(p), axis=p.ndim - 1)
    if t.ndim == p.ndim - 1:
        return crossentropy_categorical_1hot(p, t)
    raise ShapeError(
        f"categorical_crossentropy: rank mismatch between the predictions, {p.type} from "
        f"{p.native.origin}, and the "
        f"targets, {t.type} from {t.native.origin}\n  hint: targets are labels (one dimension fewer) "
        f"or distributions"
    )


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Any:
    """-log p[n, label[n]] of each row."""
    p, labels = as_tensor_variable(coding_dist), as_tensor_variable(true_one_of_n)
    if labels.dtype in dtypes.INEXACT:
        raise DTypeError(
            f"categorical_crossentropy: labels must be integers, got {labels.type} from "
            f"{labels.native.origin}\n"
            "  hint: T.cast(y, 'int32'), or T.ivector() for the input"
        )
    if p.ndim != 2 or labels.ndim != 1:
        raise ShapeError(
            f"crossentropy_categorical_1hot: needs a matrix and a vector, got {p.type}, {labels.type}"
        )
    return -T.log(p)[T.arange(labels.shape[0]), labels]


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any, **_: Any) -> list[Any]:
    """[-log softmax(x + b)[y], softmax(x + b)]."""
    p = softmax_with_bias(x, b)
    return [crossentropy_categorical_1hot(p, y_idx), p]


def crossentropy_softmax_1hot(x: Any, y_idx: Any, **_: Any) -> list[Any]:
    """[-log softmax(x)[y], softmax(x)]."""
    p = softmax(x)
    return [crossentropy_categorical_1hot(p, y_idx), p]


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> list[Any]:
    """[-log softmax(x + b)[y], softmax(x + b), argmax]."""
    p = softmax_with_bias(x, b)
    return [crossentropy_categorical_1hot(p, y_idx), p, T.argmax(p, axis=-1)]


def crossentropy_softmax_max_and_argmax_1hot(x: Any, y_idx: Any, **_: Any) -> list[Any]:
    """[nll, softmax, max of the softmax, argmax]."""
    p = softmax(x)
    return [crossentropy_categorical_1hot(p, y_idx), p, T.max(p, axis=-1), T.argmax(p, axis=-1)]


def confusion_matrix(actual: Any, pred: Any) -> list[Any]:
    """[counts, labels]: counts[i, j] of examples with label i that were taken for label j."""
    from symconv.theano.tensor.counting import unique

    a, b = as_tensor_variable(actual), as_tensor_variable(pred)
    for v in (a, b):
        if v.ndim != 1:
            raise ShapeError(f"confusion_matrix: takes two vectors of labels, got {v.type}")
    order = unique(T.concatenate([a, b]))
    columns = order.dimshuffle("x", 0)
    hits = [T.cast(T.eq(v.dimshuffle(0, "x"), columns), "int64") for v in (a, b)]
    return [T.dot(hits[0].T, hits[1]), order]


def prepend_scalar_to_each_row(val: Any, mat: Any) -> Any:
    """A matrix with a first column of `val`."""
    mat = as_tensor_variable(mat)
    column = T.fill(mat[:, :1], T.cast(val, mat.dtype))
    return T.concatenate([column, mat], axis=1)


def prepend_0_to_each_row(mat: Any) -> Any:
    """A matrix with a first column of zeros."""
    return prepend_scalar_to_each_row(0, mat)


def prepend_1_to_each_row(mat: Any) -> Any:
    """A matrix with a first column of ones."""
    return prepend_scalar_to_each_row(1, mat)


def __getattr__(name: str) -> Any:
    """The classes of ops, which are built on the functions above."""
    from symconv.theano.tensor.nnet import nnet_classes

    if name not in nnet_classes.__all__:
        raise AttributeError(f"theano.tensor.nnet.nnet.{name} is not supported by symconv.theano")
    return getattr(nnet_classes, name)


def h_softmax(
    x: Any, batch_size: Any, n_outputs: int, n_classes: int, n_outputs_per_class: int, W1: Any, b1: Any,
    W2: Any, b2: Any, target: Any = None,
) -> Any:  # fmt: skip
    """Two-level softmax: of classes, then of outputs within a class; of all outputs, or of the targets'."""
    x, W1, b1, W2, b2 = (as_tensor_variable(v) for v in (x, W1, b1, W2, b2))
    classes = softmax(T.dot(x, W1) + b1)
    if target is not None:
        target = T.flatten(as_tensor_variable(target))
        group, within = target // n_outputs_per_class, target % n_outputs_per_class
        rows = T.arange(target.shape[0])
        scores = T.batched_dot(x.dimshuffle(0, "x", 1), W2[group])[:, 0] + b2[group]
        return classes[rows, group] * softmax(scores)[rows, within]
    scores = T.tensordot(x, W2, (1, 1)) + b2
    flat = softmax(scores.reshape((-1, n_outputs_per_class)))
    each = flat.reshape((batch_size, n_classes, n_outputs_per_class)) * classes.dimshuffle(0, 1, "x")
    return each.reshape((batch_size, -1))[:, :n_outputs]


unbind(globals(), ("sigmoid", "softplus", "ultra_fast_sigmoid"))
