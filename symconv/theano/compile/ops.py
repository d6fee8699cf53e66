"""theano.compile.ops: as_op makes an op of a Python function; OpFromGraph one of a graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, GraphError
from symconv.graph import Apply as NativeApply
from symconv.graph import Op as NativeOp
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.arithmetic import stop_gradient
from symconv.ops.operands import cast
from symconv.theano.compile.overrides import DEFAULT, Overridden, Overrides
from symconv.theano.declared import _Identity
from symconv.theano.gof.op import Apply, Op
from symconv.theano.tensor.type import CONSTRUCTORS, RANKS
from symconv.theano.variable import TensorType, as_tensor_variable, native_of, wrap


class FromFunctionOp(Op):
    """The op fn(*arrays) -> an array, or one for each of otypes."""

    __props__ = ("fn", "itypes", "otypes")

    def __init__(
        self, fn: Callable[..., Any], itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None
    ) -> None:
        self.fn = fn
        self.itypes = _types("itypes", itypes)
        self.otypes = _types("otypes", otypes)
        if infer_shape is not None:
            self.infer_shape = infer_shape
        self.__doc__ = fn.__doc__

    def __str__(self) -> str:
        return f"FromFunctionOp{{{self.fn.__name__}}}"

    def perform(self, node: Any, inputs: Any, output_storage: list[list[Any]]) -> None:
        results = self.fn(*inputs)
        if not isinstance(results, (list, tuple)):
            results = (results,)
        if len(results) != len(output_storage):
            raise GraphError(f"{self} returned {len(results)} values, otypes has {len(output_storage)}")
        for cell, value in zip(output_storage, results):
            cell[0] = value


def _types(what: str, given: Any) -> tuple[Any, ...]:
    types = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    # T.matrix and the like, whose dtype is that of floatX when they are called, count as their types now
    types = tuple(t().type if t in (CONSTRUCTORS[name] for name in RANKS) else t for t in types)
    for t in types:
        if not isinstance(t, TensorType):
            raise GraphError(f"as_op: {what} must be tensor types such as T.dmatrix, got {t!r}")
    return types


def as_op(itypes: Any, otypes: Any, infer_shape: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """@as_op(itypes=[T.dmatrix], otypes=[T.dmatrix]): the function of arrays as an op, without gradient."""
    return lambda fn: FromFunctionOp(fn, itypes, otypes, infer_shape)


# A variable of an applied OpFromGraph -> the one within that it stands for, and what was exchanged
inlined: weakref.WeakKeyDictionary[Native, tuple[Native, dict[Native, Native]]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class View(_Identity):
    """x itself, as another variable, with the gradient of a ViewOp: it vanishes once gradients are taken."""

    front: ViewOp
    name = "view"
    for_gradient = True

    def label(self) -> str:
        return str(self.front)

    def infer(self, x: Native) -> NativeType:
        return x.type

    def simplify(self, x: Native) -> Sequence[Native]:
        return [x]

    def reference(self, x: np.ndarray) -> np.ndarray:
        return x

    def grad(self, node: NativeApply, *dys: Native | None) -> Sequence[Native | None]:
        own = getattr(self.front, "grad", None)
        if own is None or dys[0] is None:
            return [dys[0]]
        (found,) = own([wrap(node.inputs[0])], [wrap(dys[0])])
        return [cast(native_of(found), node.inputs[0].dtype)]


class ViewOp(Op):
    """view_op(x): x under another name; Apply(view_op, [x], [y]) makes y the same as x.

    Programs derive a class whose grad(inputs, output_gradients) changes the gradient, to clip it.
    """

    view_map = {0: [0]}

    def make_node(self, x: Any) -> Any:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def as_native(self) -> NativeOp:
        """What stands for it in a native graph."""
        return View(self)


view_op = ViewOp()


class OpFromGraph:
    """A graph that is applied like an op: its inputs are replaced by the arguments.

    grad_overrides: f(inputs, output gradients), a list with one such function for each input, each giving one
    variable, or "default"; an OpFromGraph of them; lop_overrides: f(inputs, outputs, output gradients);
    rop_overrides, for T.Rop: f(inputs, evaluation points), or one such function for each output.
    Gradients by variables of the graph that are no inputs are its own. Raises GraphError, ArgumentError.
    """

    def __init__(
        self, inputs: Sequence[Any], outputs: Sequence[Any], inline: bool = False,
        lop_overrides: Any = DEFAULT, grad_overrides: Any = DEFAULT, rop_overrides: Any = DEFAULT,
        connection_pattern: Any = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs, self.name = list(inputs), list(outputs), name
        if "updates" in kwargs or "givens" in kwargs:
            raise ArgumentError("OpFromGraph: a graph applied like an op takes no updates and no givens")
        self._pattern = connection_pattern
        self._overrides = Overrides.of(grad_overrides, lop_overrides, len(self.inputs))
        self._rop = None if isinstance(rop_overrides, str) and rop_overrides == DEFAULT else rop_overrides
        rules = self._rop if isinstance(self._rop, (list, tuple)) else [self._rop] * len(self.outputs)
        if len(rules) != len(self.outputs) or not all(r is None or callable(r) for r in rules):
            raise ArgumentError(
                f"OpFromGraph: rop_overrides is f(inputs, evaluation points), an OpFromGraph of them, or a "
                f"list with one of these for each of the {len(self.outputs)} outputs, got {rop_overrides!r}"
            )

    def connection_pattern(self, node: Any = None) -> list[list[bool]]:
        """For each input, which of the outputs are connected to it: as it was given, or as the graph says."""
        from symconv.theano.connection import connection  # which knows of all kinds of ops

        if self._pattern is not None:
            return [list(row) for row in self._pattern]
        reached = [connection([native_of(v)]).connected for v in self.outputs]
        return [[native_of(x) in r for r in reached] for x in self.inputs]

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) != len(self.inputs):
            raise GraphError(f"OpFromGraph takes {len(self.inputs)} inputs, got {len(arguments)}")
        given = [native_of(a) for a in arguments]
        own = self._overrides
        passed = [a if own is None or own.is_default(k) else stop_gradient(a) for k, a in enumerate(given)]
        swap = {native_of(v): a for v, a in zip(self.inputs, passed)}
        roots = [native_of(v) for v in self.outputs]
        within = [v for node in toposort(roots, stop=swap) for v in node.outputs]
        for old, new in zip(within, rebuild(within, swap)):
            if new is not old:
                inlined[new] = old, swap
        results = rebuild(roots, swap)
        if own is not None or self._rop is not None:
            rop = tuple(self._rop) if isinstance(self._rop, list) else self._rop
            results = list(Overridden(own, len(results), rop).make(*results, *given).outputs)
        made = [wrap(v) for v in results]
        return made[0] if len(made) == 1 else made


__all__ = ["FromFunctionOp", "OpFromGraph", "ViewOp", "as_op", "view_op"]
