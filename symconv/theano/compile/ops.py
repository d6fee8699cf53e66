"""theano.compile.ops: as_op makes an op of a Python function; OpFromGraph one of a graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from symconv.errors import ArgumentError, GraphError, UnsupportedError
from symconv.graph import Variable as Native
from symconv.graph.traversal import rebuild, toposort
from symconv.ops.arithmetic import stop_gradient
from symconv.theano.compile.overrides import DEFAULT, Overridden, Overrides
from symconv.theano.gof.op import Op
from symconv.theano.tensor.type import CONSTRUCTORS, RANKS
from symconv.theano.variable import TensorType, native_of, wrap


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


class OpFromGraph:
    """A graph that is applied like an op: its inputs are replaced by the arguments.

    grad_overrides: f(inputs, output gradients), a list with one such function for each input, each giving one
    variable, or "default"; an OpFromGraph of them; lop_overrides: f(inputs, outputs, output gradients).
    Gradients by variables of the graph that are no inputs are its own. Raises GraphError, ArgumentError.
    """

    def __init__(
        self, inputs: Sequence[Any], outputs: Sequence[Any], inline: bool = False,
        lop_overrides: Any = DEFAULT, grad_overrides: Any = DEFAULT, rop_overrides: Any = DEFAULT,
        connection_pattern: Any = None, name: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs, self.name = list(inputs), list(outputs), name
        if not (isinstance(rop_overrides, str) and rop_overrides == DEFAULT):
            raise UnsupportedError(
                "OpFromGraph: rop_overrides are not supported: T.Rop is the gradient of a gradient here\n"
                "  hint: leave them out; lop_overrides count in T.Rop, too"
            )
        if "updates" in kwargs or "givens" in kwargs:
            raise ArgumentError("OpFromGraph: a graph applied like an op takes no updates and no givens")
        self._overrides = Overrides.of(grad_overrides, lop_overrides, len(self.inputs))

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
        if own is not None:
            results = list(Overridden(own, len(results)).make(*results, *given).outputs)
        made = [wrap(v) for v in results]
        return made[0] if len(made) == 1 else made


__all__ = ["FromFunctionOp", "OpFromGraph", "as_op"]
