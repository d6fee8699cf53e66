"""theano.tensor.subtensor.get_canonical_form_slice: a slice in the form start <= stop, step > 0."""

from __future__ import annotations

from typing import Any

from symconv.theano.tensor import elementwise as ew
from symconv.theano.variable import as_tensor_variable


def get_canonical_form_slice(theslice: Any, length: Any) -> tuple[Any, int | Any]:
    """(canonical, direction) with x[canonical][::direction] = x[theslice] for an axis of that length.

    An integer gives the place counted from the start, and 1. Bounds and step may be variables.
    """
    n = ew.cast(length, "int64")
    if not isinstance(theslice, slice):
        i = as_tensor_variable(theslice)
        return ew.switch(ew.lt(i, 0), i + n, i), 1
    step = ew.cast(1 if theslice.step is None else theslice.step, "int64")
    forward = ew.gt(step, 0)
    low, high = ew.switch(forward, 0, -1), ew.switch(forward, n, n - 1)

    def bound(given: Any, default: Any) -> Any:
        if given is None:
            return default
        v = ew.cast(given, "int64")
        return ew.clip(ew.switch(ew.lt(v, 0), v + n, v), low, high)

    start = bound(theslice.start, ew.switch(forward, 0, n - 1))
    stop = bound(theslice.stop, ew.switch(forward, n, -1))
    distance = ew.abs_(step)
    between = ew.switch(forward, stop - start, start - stop)
    count = ew.maximum(ew.ceil_intdiv(between, distance), 0)
    first = ew.switch(ew.eq(count, 0), 0, ew.switch(forward, start, start + step * (count - 1)))
    last = ew.switch(ew.eq(count, 0), 0, ew.switch(forward, ew.maximum(start, stop), start + 1))
    return slice(first, last, distance), ew.switch(forward, 1, -1)


__all__ = ["get_canonical_form_slice"]
