"""theano.tensor.inplace: exp_inplace(x) and its kin, exp(x) in the dtype of x.

Where x is an input, a function with accept_inplace=True, or with In(x, mutable=True), writes the result over
the array that it is called with. Elsewhere what is computed in place is the plan's decision.
"""

from __future__ import annotations

from typing import Any

from symconv.ops.operands import cast
from symconv.theano.overwriting import Overwrite
from symconv.theano.variable import native_of, wrap

_made: dict[str, Any] = {}


def _in_place(plain: str, function: Any) -> Any:
    def in_place(x: Any, *others: Any) -> Any:
        target = native_of(x)
        return wrap(Overwrite()(cast(native_of(function(x, *others)), target.dtype), target))

    in_place.__name__ = in_place.__qualname__ = f"{plain}_inplace"
    in_place.__doc__ = f"{plain} in the dtype of its first operand, which it may overwrite."
    return in_place


def __getattr__(name: str) -> Any:
    from symconv.theano.tensor import basic

    plain = name.removesuffix("_inplace")
    if plain == name or not hasattr(basic, plain):
        raise AttributeError(name)
    return _made.setdefault(name, _in_place(plain, getattr(basic, plain)))
