"""Constructors of inputs: T.matrix, T.ivector, T.lscalar, T.row, T.tensor4 and kin, and the plural forms."""

from __future__ import annotations

from typing import Any

from symconv.errors import DTypeError
from symconv.theano.configuration import config
from symconv.theano.naming import name_made
from symconv.theano.variable import TensorType

RANKS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "row": (True, False),
    "col": (False, True),
    "matrix": (False, False),
    **{f"tensor{n}": (False,) * n for n in (3, 4, 5, 6, 7)},
}
PREFIXES: dict[str, str | None] = {
    "": None, "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64",
    "c": "complex64", "z": "complex128",
}  # fmt: skip


def _constructor(rank: str, prefix: str) -> Any:
    fixed, flags = PREFIXES[prefix], RANKS[rank]
    if fixed is not None:  # as in Theano, a TensorType: programs write itypes=[T.dmatrix]
        return TensorType(fixed, flags)

    def make(name: str | None = None, dtype: str | None = None) -> Any:
        return TensorType(dtype or config.floatX, flags)(name)

    make.__doc__ = f"An input of dtype floatX with {len(flags)} dimensions."
    for attribute, value in (("broadcastable", flags), ("ndim", len(flags))):
        setattr(make, attribute, value)
    return make


def _plural(one: Any) -> Any:
    def make(*names: Any, **kwargs: Any) -> Any:
        """As many inputs as the number given, or one for each name; of a single string, one for each
        letter.
        """
        if len(names) == 1 and isinstance(names[0], int):
            return [one(**kwargs) for _ in range(names[0])]
        if len(names) == 1 and isinstance(names[0], (list, tuple, str)):
            names = tuple(names[0])
        made = [one(name, **kwargs) for name in names]
        return made[0] if len(made) == 1 else made

    return make


CONSTRUCTORS: dict[str, Any] = {p + r: _constructor(r, p) for r in RANKS for p in PREFIXES}
CONSTRUCTORS |= {
    (name.removesuffix("x") + "ces" if name.endswith("matrix") else name + "s"): _plural(make)
    for name, make in list(CONSTRUCTORS.items())
}
globals().update(CONSTRUCTORS)
name_made(globals())


def tensor(*args: Any, name: str | None = None, dtype: str | None = None, broadcastable: Any = None) -> Any:
    """An input: tensor(dtype, broadcastable, name), in any mixture of positions and keywords."""
    given = list(args)
    if given and (isinstance(given[0], str) or given[0] is None) and dtype is None:
        dtype = given.pop(0)
    if given and broadcastable is None:
        broadcastable = given.pop(0)
    if given and name is None:
        name = given.pop(0)
    if broadcastable is None:
        raise DTypeError(
            "T.tensor: broadcastable is missing, for example T.tensor('float32', (False, False))"
        )
    return TensorType(dtype or config.floatX, broadcastable)(name)


__all__ = ["TensorType", "tensor", *CONSTRUCTORS]
