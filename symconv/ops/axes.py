"""Axes moved, inserted and dropped: dimshuffle, expand_dims, squeeze, swapaxes, moveaxis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.errors import ShapeError
from symconv.graph import Variable
from symconv.ops.operands import as_variable, normalize_axes, normalize_axis
from symconv.ops.shape import dims_of, reshape, transpose


def expand_dims(x: Any, axis: int | Sequence[int]) -> Variable:
    """x with an axis of length 1 inserted at each place of the result that `axis` names."""
    x = as_variable(x)
    given = list(axis) if isinstance(axis, Sequence) else [axis]
    new = normalize_axes(given, x.ndim + len(given))
    kept = iter(dims_of(x))
    return reshape(x, [1 if i in new else next(kept) for i in range(x.ndim + len(new))])


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Variable:
    """x without the axes named, which must have length 1; by default without all known to have it."""
    x = as_variable(x)
    if axis is None:
        drop = tuple(i for i, d in enumerate(x.type.shape) if d == 1)
    else:
        drop = normalize_axes(axis, x.ndim)
        for a in drop:
            if x.type.shape[a] not in (1, None):
                raise ShapeError(
                    f"squeeze: axis {a} has length {x.type.shape[a]}, not 1, in {x.type} from {x.origin}"
                )
    return reshape(x, [d for i, d in enumerate(dims_of(x)) if i not in drop]) if drop else x


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """x with two axes exchanged."""
    x = as_variable(x)
    a, b = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Variable:
    """x with the axes `source` at the places `destination`, the others in their old order."""
    x = as_variable(x)
    old = [normalize_axis(a, x.ndim) for a in (source if isinstance(source, Sequence) else [source])]
    new = [
        normalize_axis(a, x.ndim)
        for a in (destination if isinstance(destination, Sequence) else [destination])
    ]
    if len(old) != len(new) or len(set(old)) != len(old) or len(set(new)) != len(new):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must pair distinct axes")
    order = [i for i in range(x.ndim) if i not in old]
    for place, axis in sorted(zip(new, old)):
        order.insert(place, axis)
    return transpose(x, order)


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """x with its axes in the order of `pattern`, where 'x' inserts an axis of length 1.

    Axes that the pattern leaves out are dropped and must have length 1:
    dimshuffle(bias, 'x', 0, 'x', 'x') lays a vector along the channels of NCHW images.
    """
    x = as_variable(x)
    if len(pattern) == 1 and isinstance(pattern[0], (list, tuple)):
        pattern = tuple(pattern[0])
    kept = [normalize_axis(p, x.ndim, "dimshuffle: axis") for p in pattern if p != "x"]
    if len(set(kept)) != len(kept):
        raise ShapeError(f"dimshuffle: pattern {pattern} names an axis of {x.type} twice")
    dropped = [i for i in range(x.ndim) if i not in kept]
    for i in dropped:
        if x.type.shape[i] not in (1, None):
            raise ShapeError(
                f"dimshuffle: pattern {pattern} drops axis {i} of {x.type} from {x.origin}, which is longer "
                "than 1\n  hint: name every axis; sum or index the ones to be dropped"
            )
    moved = transpose(squeeze(x, dropped) if dropped else x, [sorted(kept).index(a) for a in kept])
    dims = iter(dims_of(moved))
    return reshape(moved, [1 if p == "x" else next(dims) for p in pattern]) if "x" in pattern else moved
