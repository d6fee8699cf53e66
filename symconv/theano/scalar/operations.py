"""theano.scalar's operations on single numbers, which Elemwise and CAReduce take to tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_RENAMED = {"identity": "tensor_copy", "int_div": "floor_div"}


@dataclass(frozen=True)
class ScalarOperation:
    """scalar.add and its kin: add(a, b) of variables without dimensions.

    Raises ShapeError for others: Elemwise(scalar.add)(x, y) takes tensors.
    """

    name: str

    def __call__(self, *operands: Any) -> Any:
        from symconv.theano.scalar import as_scalar

        return self.on_tensors(*map(as_scalar, operands))

    def on_tensors(self, *operands: Any) -> Any:
        """The function of theano.tensor with the operation's name."""
        return _function(self.name)(*operands)


def _function(name: str) -> Any:
    from symconv.theano.tensor import elementwise, special  # which import the dtypes beside this module

    name = _RENAMED.get(name, name)
    return getattr(elementwise, name, None) or (getattr(special, name) if name in special.__all__ else None)


def operation(name: str) -> ScalarOperation | None:
    """The operation of that name, or None where theano.tensor has no such function of elements."""
    function = _function(name) if not name.startswith("_") else None
    own = getattr(function, "__module__", "").startswith("symconv.theano") and not isinstance(function, type)
    return ScalarOperation(name) if callable(function) and own else None
