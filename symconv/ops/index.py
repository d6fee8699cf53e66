"""x[...] as NumPy reads it, and tensors with a part replaced: index_update, set_subtensor and kin.

An index is read once into a Selection: a slice per axis, then integer arrays, then axes dropped and
inserted. Each of the three is one op, and updating walks the same three backwards.
"""

from __future__ import annotations

import operator
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symconv.errors import DTypeError, IndexRangeError, ShapeError, SymbolicError
from symconv.graph import Constant, Variable, constant
from symconv.graph.types import COMPLEX, INEXACT
from symconv.ops.gather import AdvancedIndex, Scatter, as_index_array
from symconv.ops.nonzero import masked_axes
from symconv.ops.operands import as_variable, cast
from symconv.ops.shape import broadcast_to, dims_of, reshape, reshape_like, transpose
from symconv.ops.slicing import SetSlice, Slice, index_start, slice_bounds
from symconv.ops.stepped import stepped_places

# Which x[index] a variable was made by, so that set_subtensor(x[index], y) finds x again.
_made_by: weakref.WeakKeyDictionary[Variable, tuple[Variable, Any]] = weakref.WeakKeyDictionary()


@dataclass
class Selection:
    """x[index] in steps: slice, bring the indexed axes together, gather, lay out.

    `layout` lists the axes of the gathered tensor that stay, with None where an axis is inserted. Slices with
    a symbolic step come before all that: x is what they leave of the tensor, and `stepped` tells how
    an update goes back into it.
    """

    x: Variable
    stepped: list[tuple[Variable, int, Variable]] = field(default_factory=list)  # whole, axis, places
    axes: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    bounds: list[Variable] = field(default_factory=list)  # start, length of each sliced axis
    order: list[int] | None = None
    first: int = 0
    arrays: list[Variable] = field(default_factory=list)
    layout: list[int | None] = field(default_factory=list)

    def take_stepped(self, axis: int, places: Variable) -> None:
        """Keep the `places` along an axis; they are distinct."""
        self.stepped.append((self.x, axis, places))
        self.x = AdvancedIndex(axis)(self.x, places)

    def add_slice(self, axis: int, step: int, start: Variable, length: Variable) -> None:
        self.axes.append(axis)
        self.steps.append(step)
        self.bounds += [start, length]

    def sliced(self) -> Variable:
        if not self.axes:
            return self.x
        out: Variable = Slice(tuple(self.axes), tuple(self.steps))(self.x, *self.bounds)
        return out

    def gathered(self) -> Variable:
        out = self.sliced()
        if self.order is not None:
            out = transpose(out, self.order)
        return AdvancedIndex(self.first)(out, *self.arrays) if self.arrays else out

    def selected(self) -> Variable:
        out = self.gathered()
        if self.layout == list(range(out.ndim)):
            return out
        dims = dims_of(out)
        return reshape(out, [1 if a is None else dims[a] for a in self.layout])

    def updated(self, y: Variable, add: bool) -> Variable:
        """x with the selected part replaced by y, or increased by it."""
        out = self._updated(y, add)
        for whole, axis, places in reversed(self.stepped):
            out = Scatter(axis)(whole, out, places)
        return out

    def _updated(self, y: Variable, add: bool) -> Variable:
        y = reshape_like(_stretched(y, self.selected()), self.gathered())
        if self.arrays:
            base = self.sliced()
            moved = base if self.order is None else transpose(base, self.order)
            y = Scatter(self.first, add)(moved, y, *self.arrays)
            if self.order is not None:
                y = transpose(y, [int(i) for i in np.argsort(self.order)])
            add = False  # y now holds the whole slice
        if not self.axes:
            return y if self.arrays or not add else self.x + y
        out: Variable = SetSlice(tuple(self.axes), tuple(self.steps), add)(self.x, y, *self.bounds[::2])
        return out


def _stretched(y: Variable, like: Variable) -> Variable:
    """y broadcast to the shape of the part it goes into."""
    y = cast(y, like.dtype)
    if y.type == like.type and y.type.is_concrete:
        return y
    return broadcast_to(y, dims_of(like))


def read_index(x: Variable, index: Any) -> Selection:
    """The Selection that x[index] means. Raises ShapeError, DTypeError or IndexRangeError."""
    items = _items(x, index)
    chosen = Selection(x)
    _take_stepped(chosen, items)
    # one entry per axis of the result before gathering: "new", "drop" (an int), "keep" or an array
    roles: list[tuple[str, Any]] = []
    gathers = any(_is_array(item) for item in items)
    axis = 0
    for item in items:
        if item is None:
            roles.append(("new", None))
            continue
        if isinstance(item, slice):
            _read_slice(chosen, axis, item)
            roles.append(("keep", axis))
        elif _is_array(item):
            roles.append(("array", (axis, as_index_array(item))))
        elif gathers:  # beside arrays an int is an array of rank 0
            place = index_start(_as_scalar(item), x, axis)
            roles.append(("array", (axis, place)))
        else:
            chosen.add_slice(axis, 1, index_start(_as_scalar(item), x, axis), constant(1, "int64"))
            roles.append(("drop", axis))
        axis += 1
    if gathers:
        _place_arrays(chosen, roles)
    else:
        chosen.layout = [None if role == "new" else a for role, a in roles if role != "drop"]
        untouched = chosen.x is x and not chosen.axes and chosen.layout == list(range(x.ndim))
        if untouched and x.ndim:
            chosen.add_slice(0, 1, *slice_bounds(None, None, 1, dims_of(x)[0]))  # x[:] is a node of its own
    return chosen


def _place_arrays(chosen: Selection, roles: list[tuple[str, Any]]) -> None:
    """NumPy's rule: the arrays' shape goes where they stand if they are adjacent, else to the front."""
    spots = [k for k, (role, _) in enumerate(roles) if role == "array"]
    indexed = [roles[k][1][0] for k in spots]
    chosen.arrays = [roles[k][1][1] for k in spots]
    kept = [a for role, a in roles if role == "keep"]
    picked = max(v.ndim for v in chosen.arrays)
    if spots[-1] - spots[0] + 1 == len(spots):
        chosen.first = indexed[0]
        before = roles[: spots[0]]
        after = roles[spots[-1] + 1 :]
    else:
        order = indexed + kept
        chosen.order = order if order != sorted(order) else None
        before, after = [], [r for r in roles if r[0] != "array"]
    source = iter(range(chosen.x.ndim - len(indexed) + picked))

    def lay(part: list[tuple[str, Any]]) -> list[int | None]:
        return [None if role == "new" else next(source) for role, _ in part]

    chosen.layout = lay(before) + [next(source) for _ in range(picked)] + lay(after)


def _items(x: Variable, index: Any) -> list[Any]:
    """One item per axis of x, and the Nones: the Ellipsis is filled with full slices, masks are replaced."""
    given = list(index) if isinstance(index, tuple) else [index]
    items: list[Any] = []
    for item in given:
        if _is_mask(item):
            items.extend(_mask_to_arrays(x, item, sum(i is not None and i is not Ellipsis for i in items)))
        else:
            items.append(item)
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    used = sum(item is not None and item is not Ellipsis for item in items)
    if len(dots) > 1:
        raise ShapeError(f"an index can hold one Ellipsis (...), got {_show(index)}")
    if used > x.ndim:
        raise IndexRangeError(
            f"too many indices: {used} for the {x.ndim} dimensions of {x.type} from {x.origin}, "
            f"in {_show(index)}"
        )
    filler = [slice(None)] * (x.ndim - used)
    at = dots[0] if dots else len(items)
    return items[:at] + filler + items[at + 1 :]


def _is_mask(item: Any) -> bool:
    if isinstance(item, Variable):
        return item.dtype == "bool"
    return isinstance(item, (bool, np.bool_)) or (
        isinstance(item, (list, np.ndarray)) and np.size(item) > 0 and np.asarray(item).dtype == bool
    )


def _mask_to_arrays(x: Variable, mask: Any, axis: int) -> list[Any]:
    """The places that a mask picks, as an index array for each of its axes."""
    known = mask if isinstance(mask, Variable) else np.asarray(mask)
    shape = known.type.shape if isinstance(known, Variable) else known.shape
    dims = x.type.shape[axis : axis + len(shape)]
    if not shape or len(dims) < len(shape) or any(None not in (d, n) and d != n for d, n in zip(dims, shape)):
        raise ShapeError(
            f"a mask of shape {list(shape)} does not index axis {axis} of {x.type} from {x.origin}"
        )
    if isinstance(known, Variable):
        if not isinstance(known, Constant):
            return list(masked_axes(x, known, axis))
        known = known.data
    return list(np.nonzero(known))


def _is_array(item: Any) -> bool:
    if isinstance(item, (Variable, np.ndarray)):
        return item.ndim > 0
    return isinstance(item, (list, tuple))


def _as_scalar(item: Any) -> Variable:
    """An integer index as an int64 scalar."""
    if isinstance(item, Variable):
        if item.dtype in INEXACT:
            raise DTypeError(
                f"an index must be an integer, got {item.type} from {item.origin}\n  hint: cast(i, 'int64')"
            )
        return cast(item, "int64")
    try:
        return constant(operator.index(item), "int64")
    except TypeError:
        raise DTypeError(
            f"an index must be an integer, slice, None, ... or integer array, got {_show(item)}"
        ) from None


def _read_slice(chosen: Selection, axis: int, item: slice) -> None:
    if item.start is None and item.stop is None and item.step in (None, 1):
        return
    step = 1 if item.step is None else int(_bound(item.step, "step").data)
    if step == 0:
        raise ShapeError(f"the step of a slice cannot be 0, in {_show(item)}")
    bounds = [None if b is None else _bound(b) for b in (item.start, item.stop)]
    chosen.add_slice(axis, step, *slice_bounds(bounds[0], bounds[1], step, dims_of(chosen.x)[axis]))


def _take_stepped(chosen: Selection, items: list[Any]) -> None:
    """Slices whose step is not known are taken first; in `items` whole slices stand for them."""
    axis = 0
    for k, item in enumerate(items):
        if isinstance(item, slice) and item.step is not None:
            step = _bound(item.step, "step")
            if not isinstance(step, Constant):
                bounds = [None if b is None else _bound(b) for b in (item.start, item.stop)]
                chosen.take_stepped(axis, stepped_places(bounds[0], bounds[1], step, dims_of(chosen.x)[axis]))
                items[k] = slice(None)
        axis += item is not None


def _bound(value: Any, what: str = "bound") -> Variable:
    bound = _as_scalar(value)
    if bound.ndim:
        raise ShapeError(f"a {what} of a slice must be a scalar, got {bound.type} from {bound.origin}")
    return bound


def _show(index: Any) -> str:
    text = repr(index)
    return text if len(text) <= 80 else text[:77] + "..."


def getitem(x: Any, index: Any) -> Variable:
    """x[index] by NumPy's rules: integers, slices, None, ..., and integer arrays, any of them symbolic.

    How many elements a symbolic mask picks, or a slice with a symbolic step has, is a guard (see nonzero,
    stepped).
    Integers out of range raise: IndexRangeError here if they are known, else ExecutionError when the
    function runs; slices are clipped.
    """
    x = as_variable(x)
    out = read_index(x, index).selected()
    if out is not x:
        _made_by[out] = (x, index)
    return out


def index_update(x: Any, index: Any, y: Any) -> Variable:
    """A copy of x with x[index] = y, where y broadcasts to the part. Of repeated places the last wins."""
    x = as_variable(x)
    return read_index(x, index).updated(_value(y, x), add=False)


def index_add(x: Any, index: Any, y: Any) -> Variable:
    """A copy of x with x[index] += y, where y broadcasts to the part. Repeated places add up."""
    x = as_variable(x)
    return read_index(x, index).updated(_value(y, x), add=True)


def _value(y: Any, x: Variable) -> Variable:
    if isinstance(y, (bool, int, float)):
        return as_variable(y, x.dtype)
    y = as_variable(y)
    lost = y.dtype in COMPLEX and x.dtype not in COMPLEX
    if lost or (y.dtype in INEXACT and x.dtype not in INEXACT):
        raise DTypeError(
            f"{y.type} from {y.origin} cannot be stored in {x.type}\n  hint: sc.cast(y, {x.dtype!r})"
        )
    return y


def _source(part: Variable, what: str) -> tuple[Variable, Any]:
    found = _made_by.get(part) if isinstance(part, Variable) else None
    if found is None:
        raise ShapeError(
            f"{what}: the first argument must be an expression x[...], got {part!r}\n"
            "  hint: sc.index_update(x, index, y) and sc.index_add(x, index, y) take x and the index apart"
        )
    return found


def set_subtensor(part: Variable, y: Any) -> Variable:
    """x with x[index] = y, for `part` written as x[index]."""
    return index_update(*_source(part, "set_subtensor"), y)


def inc_subtensor(part: Variable, y: Any) -> Variable:
    """x with x[index] += y, for `part` written as x[index]."""
    return index_add(*_source(part, "inc_subtensor"), y)


def iterate(x: Variable) -> Any:
    """The parts x[0], x[1], ... where the length of the first axis is known. Raises SymbolicError."""
    return iter([getitem(x, i) for i in range(length(x))])


def length(x: Variable) -> int:
    """len(x) where it is known. Raises SymbolicError."""
    if x.ndim == 0:
        raise SymbolicError(f"a scalar has no length and cannot be iterated: {x!r} from {x.origin}")
    n = x.type.shape[0]
    if n is None:
        raise SymbolicError(
            f"the length of {x!r} from {x.origin} is not known while the graph is built; use x.shape[0], "
            "or give the dimension in sc.tensor(dtype, shape)"
        )
    return n


def no_array(x: Variable, *args: Any, **kwargs: Any) -> None:
    """Raises SymbolicError: NumPy would else read a variable element by element as a sequence."""
    raise SymbolicError(
        f"{x!r} from {x.origin} is symbolic and holds no numbers for NumPy\n"
        "  hint: use the function of symconv with that name, or .eval() the variable first"
    )


def no_item_assignment(x: Variable, index: Any, value: Any) -> None:
    """Raises SymbolicError: variables are immutable."""
    raise SymbolicError(
        "a symbolic variable is immutable; x = sc.index_update(x, index, value) makes a changed copy"
    )
