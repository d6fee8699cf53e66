"""The one-line C code of a scalar op, `z = round(x);`, as a function of NumPy arrays.

Programs give an op of their own as C alone, where Theano compiled it. No C is compiled here: an assignment
of one expression of arithmetic, comparisons and functions of math.h is read, everything else is left alone.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Function = Callable[..., Any]


def _round(x: Any) -> Any:
    whole = np.trunc(x)
    return whole + np.sign(x) * (np.abs(x - whole) >= 0.5)


_FUNCTIONS: dict[str, Function] = {
    "round": _round, "rint": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "exp": np.exp,
    "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt,
    "pow": np.power, "fabs": np.abs, "abs": np.abs, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "atan2": np.arctan2, "fmin": np.minimum, "fmax": np.maximum,
}  # fmt: skip
_BINARY: dict[type, Function] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARED: dict[type, Function] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


class _Unread(Exception):
    """Not an expression that is understood."""


def function_of(code: str, inputs: Sequence[str], output: str) -> Function | None:
    """The function of arrays of floats that `output = expression;` computes, or None."""
    found = re.fullmatch(rf"\s*{re.escape(output)}\s*=(?!=)([^;]*);\s*", code)
    if found is None:
        return None
    text = re.sub(r"(\d\.?\d*(?:[eE][+-]?\d+)?)[fF]\b", r"\1", found[1]).strip()
    parts = re.fullmatch(r"([^?:]*)\?([^?:]*):([^?:]*)", text)
    try:
        trees = [ast.parse(p.strip(), mode="eval").body for p in (parts.groups() if parts else [text])]
        for tree in trees:
            _value(tree, dict.fromkeys(inputs, np.float64(0.5)))
    except (_Unread, SyntaxError):
        return None

    def function(*arrays: Any) -> Any:
        names = dict(zip(inputs, arrays))
        values = [_value(tree, names) for tree in trees]
        return np.where(*values) if parts else values[0]

    return function


def _value(node: ast.AST, names: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=a, op=op, right=b) if type(op) in _BINARY:
            if isinstance(op, ast.Div) and all(isinstance(n, ast.Constant) for n in (a, b)):
                raise _Unread  # 1 / 2 is 0 in C
            return _BINARY[type(op)](_value(a, names), _value(b, names))
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -_value(a, names)
        case ast.Compare(left=a, ops=[op], comparators=[b]) if type(op) in _COMPARED:
            return _COMPARED[type(op)](_value(a, names), _value(b, names))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
            name in _FUNCTIONS or name.removesuffix("f") in _FUNCTIONS
        ):
            called = _FUNCTIONS.get(name) or _FUNCTIONS[name.removesuffix("f")]
            return called(*(_value(a, names) for a in args))
    raise _Unread
