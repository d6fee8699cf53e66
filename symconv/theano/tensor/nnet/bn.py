"""theano.tensor.nnet.bn: batch normalisation."""

from __future__ import annotations

from typing import Any

from symconv.errors import ArgumentError
from symconv.theano.absent import absent
from symconv.theano.tensor import basic as T
from symconv.theano.variable import as_tensor_variable


def batch_normalization(
    inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem"
) -> Any:
    """(inputs - mean) * gamma / std + beta."""
    return (inputs - mean) * (gamma / std) + beta


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    if axes == "per-activation":
        return (0,)
    if axes == "spatial":
        return (0, *range(2, ndim))
    if isinstance(axes, str):
        raise ArgumentError(
            f"batch_normalization: axes must be 'per-activation', 'spatial' or ints, got {axes!r}"
        )
    return tuple(int(a) for a in axes)


def _spread(v: Any, axes: tuple[int, ...], ndim: int) -> Any:
    """A parameter laid along the axes that are not averaged over, with 1 for the others."""
    v = as_tensor_variable(v)
    kept = [i for i in range(ndim) if i not in axes]
    if v.ndim == ndim:
        return T.addbroadcast(v, *axes)
    places = iter(range(len(kept)))
    return v.dimshuffle(*("x" if i in axes else next(places) for i in range(ndim)))


def batch_normalization_train(
    inputs: Any, gamma: Any, beta: Any, axes: Any = "per-activation", epsilon: float = 1e-4,
    running_average_factor: float = 0.1, running_mean: Any = None, running_var: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """(output, mean, 1 / std of the batch), and the new running mean and variance where they are given.

    The new running variance is corrected by m / (m - 1) for the m values that each is estimated from.
    """
    x = as_tensor_variable(inputs)
    over = _axes(axes, x.ndim)
    gamma, beta = _spread(gamma, over, x.ndim), _spread(beta, over, x.ndim)
    mean = x.mean(over, keepdims=True)
    var = x.var(over, keepdims=True)
    scale = 1.0 / T.sqrt(var + T.cast(epsilon, x.dtype))
    out = (x - mean) * (gamma * scale) + beta
    results = [out, mean, scale]
    factor = T.cast(running_average_factor, x.dtype)
    if running_mean is not None:
        old = _spread(running_mean, over, x.ndim)
        results.append(_like(old * (1.0 - factor) + mean * factor, running_mean))
    if running_var is not None:
        m = T.cast(T.prod(x.shape) / T.prod(scale.shape), x.dtype)
        old = _spread(running_var, over, x.ndim)
        results.append(_like(old * (1.0 - factor) + (m / (m - 1)) * var * factor, running_var))
    return tuple(results)


def _like(new: Any, old: Any) -> Any:
    """`new` with the broadcastable flags of the running average that it replaces."""
    old = as_tensor_variable(old)
    return T.patternbroadcast(new, old.broadcastable) if old.ndim == new.ndim else new


def batch_normalization_test(
    inputs: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
) -> Any:
    """(inputs - mean) / sqrt(var + epsilon) * gamma + beta."""
    x = as_tensor_variable(inputs)
    over = _axes(axes, x.ndim)
    gamma, beta, mean, var = (_spread(v, over, x.ndim) for v in (gamma, beta, mean, var))
    return (x - mean) * gamma / T.sqrt(var + T.cast(epsilon, x.dtype)) + beta


_FUNCTIONS = "batch_normalization_train and batch_normalization_test build graphs of plain operations"
AbstractBatchNormTrain = absent("theano.tensor.nnet.bn.AbstractBatchNormTrain", _FUNCTIONS)
AbstractBatchNormInference = absent("theano.tensor.nnet.bn.AbstractBatchNormInference", _FUNCTIONS)
AbstractBatchNormTrainGrad = absent("theano.tensor.nnet.bn.AbstractBatchNormTrainGrad", _FUNCTIONS)
