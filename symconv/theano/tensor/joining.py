"""join, stack, split and kin of theano.tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import ops
from symconv.errors import DTypeError, ShapeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.ops.operands import cast as native_cast
from symconv.theano import dtypes, shapes
from symconv.theano.errors import AxisError, RankError
from symconv.theano.tensor.symbolic_axis import for_each_axis, is_symbolic
from symconv.theano.variable import Variable, as_tensor_variable, native_of, wrap


def whole_number(value: Any, what: str) -> int:
    """A number that is known while the graph is built, as an int. Raises ShapeError."""
    if isinstance(value, (Variable, Native)):
        value = native_of(value)
        if not isinstance(value, NativeConstant):
            raise ShapeError(f"{what} must be known while the graph is built, got {value!r}")
        value = value.data.item()
    if float(value) != int(value):
        raise ShapeError(f"{what} must be an integer, got {value!r}")
    return int(value)


def _axis(axis: Any, ndim: int, what: str) -> int:
    """A known axis. Raises AxisError, an IndexError, outside -ndim ... ndim - 1."""
    place = whole_number(axis, f"{what}: axis")
    if not -ndim <= place < ndim:
        raise AxisError(f"{what}: axis {place} is out of range for {ndim} dimensions")
    return place


def concatenate(tensor_list: Any, axis: Any = 0) -> Any:
    """The tensors one after the other along `axis`, in their common dtype."""
    if isinstance(tensor_list, Variable):
        raise DTypeError(
            f"concatenate: needs a list or tuple of tensors, got the variable {tensor_list!r}\n"
            "  hint: T.concatenate([a, b], axis=0)"
        )
    parts = [native_of(t) for t in tensor_list]
    if not parts:
        raise ShapeError("concatenate: no tensors were given")
    common = dtypes.upcast(*(p.dtype for p in parts))
    parts = [native_cast(p, common) for p in parts]
    if len({p.ndim for p in parts}) > 1 or parts[0].ndim == 0:
        shown = ", ".join(f"{p.type} from {p.origin}" for p in parts)
        raise RankError(
            f"join: the tensors must have one rank, of at least 1, got {shown}\n  hint: T.stack joins scalars"
        )
    if is_symbolic(axis):
        return for_each_axis(axis, parts[0].ndim, "join", lambda k: wrap(ops.concatenate(parts, k)))
    joined = wrap(ops.concatenate(parts, _axis(axis, parts[0].ndim, "join")))
    return wrap(parts[0]) if len(parts) == 1 else joined


def join(axis: Any, *tensors: Any) -> Any:
    """concatenate(tensors, axis)."""
    if len(tensors) == 1:
        return as_tensor_variable(tensors[0])
    return concatenate(tensors, axis)


def stack(*tensors: Any, axis: Any = 0) -> Any:
    """The tensors along a new axis: stack([a, b], axis=0), or Theano's older stack(a, b).

    Scalars make a vector whatever the axis, as in Theano.
    """
    given: Sequence[Any] = tensors
    if len(given) == 2 and isinstance(given[0], (list, tuple)) and not isinstance(given[1], Variable):
        given, axis = given[:1], given[1]
    if len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = given[0]
    parts = [native_of(t) for t in given]
    if not parts:
        raise ShapeError("stack: no tensors were given")
    common = dtypes.upcast(*(p.dtype for p in parts))
    cast = [native_cast(p, common) for p in parts]
    if all(p.ndim == 0 for p in cast):
        return wrap(shapes.vector_of(cast))
    return wrap(ops.stack(cast, _axis(axis, cast[0].ndim + 1, "stack")))


def stacklists(arg: Any) -> Any:
    """Nested lists of variables as one tensor."""
    if isinstance(arg, (list, tuple)):
        return stack([stacklists(a) for a in arg])
    return as_tensor_variable(arg)


def horizontal_stack(*args: Any) -> Any:
    """Matrices side by side."""
    return concatenate(args, axis=1)


def vertical_stack(*args: Any) -> Any:
    """Matrices one below the other."""
    return concatenate(args, axis=0)


def split(x: Any, splits_size: Any, n_splits: int, axis: Any = 0) -> list[Any]:
    """x cut along `axis` into n_splits parts of the sizes given."""
    sizes = shapes.as_dims(splits_size, "split", n_splits)
    if len(sizes) != n_splits:
        raise ShapeError(f"split: {len(sizes)} sizes for n_splits={n_splits}")
    x = native_of(x)
    if is_symbolic(axis):
        return for_each_axis(axis, x.ndim, "split", lambda k: [wrap(p) for p in ops.split(x, sizes, k)])
    return [wrap(p) for p in ops.split(x, sizes, _axis(axis, x.ndim, "split"))]


__all__ = [
    "concatenate", "horizontal_stack", "join", "split", "stack", "stacklists", "vertical_stack",
]  # fmt: skip
