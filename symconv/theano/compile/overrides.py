"""Gradients that an OpFromGraph is given beside its graph: grad_overrides and lop_overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symconv.errors import ArgumentError, GradientError
from symconv.graph import Apply, Op, TensorType, Variable
from symconv.ops.create import zeros_like
from symconv.ops.operands import cast
from symconv.theano.null_gradient import null_gradient, reason
from symconv.theano.variable import TensorOperators, native_of, wrap

DEFAULT = "default"


@dataclass(frozen=True, eq=False)
class Overrides:
    """Who gives the gradient of which input: `given` is a callable for all, or a list with one for each.

    with_outputs: the callables take (inputs, outputs, gradients), as lop_overrides do, else (inputs,
    gradients). "default" is the gradient of the graph itself, None (a DisconnectedType) none at all.
    """

    given: Any
    with_outputs: bool

    @staticmethod
    def of(grad_overrides: Any, lop_overrides: Any, count: int) -> Overrides | None:
        """What the arguments of OpFromGraph ask for. Raises ArgumentError."""
        is_default = [isinstance(o, str) and o == DEFAULT for o in (grad_overrides, lop_overrides)]
        if all(is_default):
            return None
        if not any(is_default):
            raise ArgumentError("OpFromGraph: lop_overrides and grad_overrides exclude each other")
        given = lop_overrides if is_default[0] else grad_overrides
        listed = given if isinstance(given, (list, tuple)) else [given]
        if isinstance(given, (list, tuple)) and len(given) != count:
            raise ArgumentError(f"OpFromGraph: {len(given)} overrides for {count} inputs")
        for o in listed:
            if (
                o is not None
                and o != DEFAULT
                and not callable(o)
                and reason(getattr(o, "native", None)) is None
            ):
                raise ArgumentError(
                    "OpFromGraph: an override is 'default', a callable, an OpFromGraph, or a variable of "
                    f"NullType or DisconnectedType, got {o!r}"
                )
        return Overrides(given, is_default[0])

    def is_default(self, k: int) -> bool:
        """Whether the gradient of input k is that of the graph."""
        return isinstance(self.given, (list, tuple)) and self.given[k] == DEFAULT

    def gradients(self, inputs: list[Any], outputs: list[Any], dys: list[Any]) -> list[Any]:
        """A variable or None for each input; None for those of the graph's own gradient, too."""
        if not isinstance(self.given, (list, tuple)):
            found = self._one(self.given, inputs, outputs, dys)
            found = list(found) if isinstance(found, (list, tuple)) else [found]
            if len(found) != len(inputs):
                raise GradientError(
                    f"OpFromGraph: the override gave {len(found)} gradients for {len(inputs)} inputs"
                )
            return found
        return [None if o == DEFAULT else self._one(o, inputs, outputs, dys) for o in self.given]

    def _one(self, override: Any, inputs: list[Any], outputs: list[Any], dys: list[Any]) -> Any:
        from symconv.theano.compile.ops import OpFromGraph

        if not callable(override):
            return override
        groups = [inputs, outputs, dys] if self.with_outputs else [inputs, dys]
        if isinstance(override, OpFromGraph):
            return override(*(v for group in groups for v in group))
        return override(*groups)


@dataclass(frozen=True)
class Overridden(Op):
    """The results of a graph, and behind them its arguments, whose gradients are those of `overrides`.

    The results are computed from arguments that pass no gradient on, but for those of the graph's own. rop:
    the rule of T.Rop, f(inputs, evaluation points), or None.
    """

    overrides: Overrides | None
    results: int
    rop: Any = None
    name = "overridden"
    for_gradient = True

    def gives(self, k: int) -> bool:
        """Whether a gradient by argument k may come from the overrides."""
        given = None if self.overrides is None else self.overrides.given
        return given[k] not in (None, DEFAULT) if isinstance(given, (list, tuple)) else given is not None

    def infer(self, *inputs: Variable) -> tuple[TensorType, ...]:
        return tuple(v.type for v in inputs[: self.results])

    def simplify(self, *inputs: Variable) -> Sequence[Variable]:
        return inputs[: self.results]

    def reference(self, *arrays: Any) -> Any:
        return arrays[: self.results]

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        arguments = node.inputs[self.results :]
        if self.overrides is None:
            return [*dys, *[None] * len(arguments)]
        given = [wrap(zeros_like(v) if dy is None else dy) for v, dy in zip(node.outputs, dys)]
        found = self.overrides.gradients([wrap(v) for v in arguments], [wrap(v) for v in node.outputs], given)
        return [*dys, *(self._checked(x, g) for x, g in zip(arguments, found))]

    @staticmethod
    def _checked(x: Variable, g: Any) -> Variable | None:
        if not x.type.is_inexact or g is None:
            return None
        why = reason(getattr(g, "native", None))
        if why is not None:
            return null_gradient(x, why)
        if not isinstance(g, (TensorOperators, int, float)) or native_of(g).ndim != x.ndim:
            raise GradientError(
                f"OpFromGraph: an override gave {g!r} as the gradient of {x.type} from {x.origin}"
            )
        return cast(native_of(g), x.dtype)


__all__ = ["Overridden", "Overrides"]
