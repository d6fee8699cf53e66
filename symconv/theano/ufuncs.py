"""NumPy's functions and operators with a tensor variable among their operands: np.exp(x), np.float32(2) * x.

As in Theano they give the symbolic expression. NumPy looks for the two methods below by their names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.theano.tensor import basic as T

# where NumPy's name is not Theano's
_RENAMED = {
    "absolute": "abs_",
    "bitwise_and": "and_",
    "bitwise_or": "or_",
    "bitwise_xor": "xor",
    "conjugate": "conj",
    "degrees": "rad2deg",
    "divide": "true_div",
    "fabs": "abs_",
    "floor_divide": "floor_div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "matmul": "dot",
    "multiply": "mul",
    "negative": "neg",
    "positive": "identity",
    "power": "pow",
    "radians": "deg2rad",
    "remainder": "mod",
    "rint": "round_half_to_even",
    "sign": "sgn",
    "square": "sqr",
    "subtract": "sub",
}
_SAME = frozenset(
    """add arccos arccosh arcsin arcsinh arctan arctan2 arctanh ceil cos cosh deg2rad exp exp2 expm1 floor
    invert isinf isnan left_shift log log10 log1p log2 maximum minimum rad2deg reciprocal right_shift sin sinh
    sqrt tan tanh trunc""".split()
)


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
    """ufunc(*operands) as an expression. Raises TypeError for a ufunc that has no counterpart, and for out=.

    == and != compare identity, as they do between variables: no array is a variable.
    """
    name = ufunc.__name__
    if name in ("equal", "not_equal"):
        return name == "not_equal"
    if method == "__call__" and not options and (name in _SAME or name in _RENAMED):
        return getattr(T, _RENAMED.get(name, name))(*operands)
    where = f"{name}.{method}" if method != "__call__" else name
    spelled = "".join(f", {key}=" for key in options)
    raise TypeError(
        f"np.{where}{spelled and f' with {spelled[2:]}'} cannot be applied to {self!r} from "
        f"{self.native.origin}, which is symbolic and holds no numbers\n"
        "  hint: use the function of theano.tensor with that name, or .eval()"
        + ("; x = x + y instead of x += y where x is an array" if "out" in options else "")
    )


def as_array(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """An array of objects that holds the variable: np.prod([x.shape[0], 3]) is an expression.

    Raises TypeError where numbers are asked for.
    """
    if dtype is not None and np.dtype(dtype) != np.dtype(object):
        raise TypeError(
            f"{self!r} from {self.native.origin} is symbolic and holds no numbers for NumPy\n"
            "  hint: use the function of theano.tensor with that name, or .eval()"
        )
    held = np.empty((), object)
    held[()] = self
    return held
