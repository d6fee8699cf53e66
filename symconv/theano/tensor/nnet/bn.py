"""theano.tensor.nnet.bn: batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

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
    """The axes that are averaged over, in order."""
    if axes == "per-activation":
        return (0,)
    if axes == "spatial":
        return (0, *range(2, ndim))
    if isinstance(axes, str):
        raise ArgumentError(
            f"batch_normalization: axes must be 'per-activation', 'spatial' or ints, got {axes!r}"
        )
    given = [axes] if isinstance(axes, (int, np.integer)) else list(axes)
    over = sorted({int(a) for a in given})
    if not over or len(over) != len(given) or over[0] < 0 or over[-1] >= ndim:
        raise ArgumentError(
            f"batch_normalization: axes must be different, from 0 to {ndim - 1} for an input with {ndim} "
            f"dimensions, got {given}"
        )
    return tuple(over)


class _Layout:
    """How parameters lie: with the rank of the input, or with its axes that are not averaged over alone."""

    def __init__(self, x: Any, axes: Any, gamma: Any) -> None:
        self.over = _axes(axes, x.ndim)
        self.kept = [i for i in range(x.ndim) if i not in self.over]
        self.whole = as_tensor_variable(gamma).ndim == x.ndim
        self.ndim = x.ndim

    def spread(self, v: Any, name: str) -> Any:
        """A parameter laid along the axes of the input, with 1 for those that are averaged over."""
        v = as_tensor_variable(v)
        rank = self.ndim if self.whole else len(self.kept)
        if v.ndim != rank:
            raise ArgumentError(
                f"batch_normalization: {name} has {v.ndim} dimensions, {v.type} from {v.native.origin}; "
                "gamma, beta, means and variances all have the rank of the input, here "
                f"{self.ndim}, or all have one dimension for each axis that is not averaged over, here "
                f"{len(self.kept)}"
            )
        if self.whole:
            return T.addbroadcast(v, *self.over)
        places = iter(range(len(self.kept)))
        return v.dimshuffle(*("x" if i in self.over else next(places) for i in range(self.ndim)))

    def back(self, v: Any, like: Any = None) -> Any:
        """A statistic laid as the parameters are, with the broadcastable flags of the one it replaces."""
        v = v if self.whole else v.dimshuffle(*self.kept)
        return v if like is None else T.patternbroadcast(v, as_tensor_variable(like).broadcastable)


def batch_normalization_train(
    inputs: Any, gamma: Any, beta: Any, axes: Any = "per-activation", epsilon: float = 1e-4,
    running_average_factor: float = 0.1, running_mean: Any = None, running_var: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """(output, mean, 1 / std of the batch), and the new running mean and variance where they are given.

    gamma and beta have the rank of the inputs, or one dimension for each axis that is not averaged over; mean
    and 1 / std are laid as they are. The new running variance is corrected by m / (m - 1) for the m values
    that each is estimated from. Raises ArgumentError (a ValueError) for other ranks, and for one running
    average without the other.
    """
    x = as_tensor_variable(inputs)
    layout = _Layout(x, axes, gamma)
    gamma, beta = layout.spread(gamma, "gamma"), layout.spread(beta, "beta")
    if (running_mean is None) != (running_var is None):
        raise ArgumentError("batch_normalization: running_mean and running_var are given both, or neither")
    mean = x.mean(layout.over, keepdims=True)
    var = x.var(layout.over, keepdims=True)
    scale = 1.0 / T.sqrt(var + T.cast(epsilon, x.dtype))
    out = (x - mean) * (gamma * scale) + beta
    results = [out, layout.back(mean), layout.back(scale)]
    if running_mean is not None:
        factor = T.cast(running_average_factor, x.dtype)
        m = T.cast(T.prod(x.shape) / T.prod(scale.shape), x.dtype)
        for old, new, name in (
            (running_mean, mean, "running_mean"),
            (running_var, (m / (m - 1)) * var, "running_var"),
        ):
            moved = layout.spread(old, name) * (1.0 - factor) + new * factor
            results.append(layout.back(moved, like=old))
    return tuple(results)


def batch_normalization_test(
    inputs: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
) -> Any:
    """(inputs - mean) / sqrt(var + epsilon) * gamma + beta.

    gamma, beta, mean and var have the rank of the inputs, or one dimension for each axis that is not in axes.
    Raises ArgumentError (a ValueError) for other ranks.
    """
    x = as_tensor_variable(inputs)
    layout = _Layout(x, axes, gamma)
    given = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    gamma, beta, mean, var = (layout.spread(v, name) for name, v in given.items())
    return (x - mean) * gamma / T.sqrt(var + T.cast(epsilon, x.dtype)) + beta


_FUNCTIONS = "batch_normalization_train and batch_normalization_test build graphs of plain operations"
AbstractBatchNormTrain = absent("theano.tensor.nnet.bn.AbstractBatchNormTrain", _FUNCTIONS)
AbstractBatchNormInference = absent("theano.tensor.nnet.bn.AbstractBatchNormInference", _FUNCTIONS)
AbstractBatchNormTrainGrad = absent("theano.tensor.nnet.bn.AbstractBatchNormTrainGrad", _FUNCTIONS)
