"""as_op: a plain Python function on NumPy arrays as an op."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, ExecutionError, GradientError, ShapeError
from symconv.extend.kernel import lines_of_error
from symconv.graph import Apply, Op, TensorType, Variable, op_error
from symconv.ops.operands import as_variable

Infer = Callable[..., Any]


@dataclass(frozen=True)
class PythonOp(Op):
    """outputs = function(*inputs), in Python, between the steps of the plan. Made by `as_op`."""

    function: Callable[..., Any]
    rule: Infer
    gradient: Callable[..., Any] | None
    place: str
    name = "python"
    no_kernel = "it is a Python function, which runs between compiled steps"

    def label(self) -> str:
        return f"{self.name}{{{self.place}}}"

    def infer(self, *inputs: Variable) -> TensorType | tuple[TensorType, ...]:
        found = self.rule(*[v.type for v in inputs])
        types = found if isinstance(found, tuple) else (found,)
        if not types or not all(isinstance(t, TensorType) for t in types):
            raise op_error(
                self, inputs, f"infer of {self.name} ({self.place}) gave {found!r}", "return a TensorType"
            )
        return types

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        if self.gradient is None:
            raise GradientError(
                f"{self.name} ({self.place}) has no gradient\n"
                f"  hint: @sc.as_op(..., grad=lambda inputs, outputs, dys: [one per input])"
            )
        found = self.gradient(node.inputs, node.outputs, dys)
        found = list(found) if isinstance(found, (list, tuple)) else [found]
        if len(found) != len(node.inputs):
            raise ShapeError(
                f"grad of {self.name} ({self.place}) gave {len(found)} gradients, "
                f"there are {len(node.inputs)} inputs"
            )
        return [None if g is None else as_variable(g) for g in found]

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            found = self.function(*map(_read_only, arrays))
        except Exception as error:
            hint = "\n  hint: the function changes an argument; let it work on a copy" * (
                "read-only" in str(error)
            )
            where = lines_of_error(self.function, error)
            raise ExecutionError(f"{where}: {type(error).__name__}: {error}{hint}") from error
        types = self.rule(*[TensorType(str(a.dtype), a.shape) for a in arrays])
        types = types if isinstance(types, tuple) else (types,)
        values = found if isinstance(found, tuple) else (found,)
        if len(values) != len(types):
            raise ExecutionError(f"{self.place}: {len(values)} results, infer says {len(types)}")
        results = []
        for i, (value, type_) in enumerate(zip(values, types)):
            array = np.asarray(value)
            if str(array.dtype) != type_.dtype or not type_.accepts(TensorType(type_.dtype, array.shape)):
                raise ExecutionError(
                    f"{self.place}: result {i} is {array.dtype}{list(array.shape)}, infer says {type_}"
                )
            results.append(array)
        return tuple(results)


def as_op(
    function: Callable[..., Any] | None = None,
    *,
    infer: Infer | None = None,
    grad: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Any:
    """A function of arrays as a function of variables: @sc.as_op, or @sc.as_op(infer=..., grad=...).

    function(*arrays) returns an array or a tuple of them, changes none of its arguments, and depends on
    nothing else: equal calls are one node. What it returns for NumPy arrays it may compute by any means; a
    function compiled by Numba is one. infer(*types) gives the TensorType of the result, or a tuple; without
    it the result has the type of the first argument. grad(inputs, outputs, dys) gives one variable, or None,
    per input; without it asking for a gradient raises GradientError. The node is a reference step of the plan
    on every device, and explain() shows it.
    """
    if function is None:
        return lambda f: as_op(f, infer=infer, grad=grad, name=name)
    if not callable(function):
        raise ArgumentError(f"as_op takes a function of arrays, got {function!r}")
    inner = getattr(function, "py_func", function)  # what Numba compiled
    code = getattr(inner, "__code__", None)
    place = f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}" if code else "?"
    called = str(name or getattr(inner, "__name__", "python"))
    cls = type(called, (PythonOp,), {"name": called, "__doc__": inner.__doc__})
    op = cls(function, infer or _like_first, grad, place)

    def apply(*inputs: Any) -> Any:
        return op(*map(as_variable, inputs))

    apply.__name__, apply.__doc__ = called, inner.__doc__
    apply.op = op  # type: ignore[attr-defined]
    return apply


def _read_only(array: np.ndarray) -> np.ndarray:
    """The array, for one who must not change it: others read it too."""
    view = array.view()
    view.flags.writeable = False
    return view


def _like_first(*types: TensorType) -> TensorType:
    if not types:
        raise ArgumentError("as_op: a function of no arguments needs infer=")
    return types[0]
