"""OrderedUpdates: a dictionary {shared variable: new value} that can be added to another."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from symconv.errors import DTypeError, GraphError
from symconv.theano.sharedvar import SharedVariable
from symconv.theano.variable import Variable


class UpdateCollision(GraphError, KeyError):
    """Cause: joined updates that change one variable in two ways. Cure: keep one of them."""


class OrderedUpdates(OrderedDict):  # type: ignore[type-arg]
    """Updates in the order in which they were made; + joins two of them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise DTypeError(f"OrderedUpdates: keys must be shared variables, got {key!r}")
        super().__setitem__(key, value)

    def update(self, other: Any = None, /) -> None:  # type: ignore[override]
        """Take in other updates. Raises UpdateCollision where both change a variable to different values."""
        for key, value in dict(other or {}).items():
            if key not in self:
                self[key] = value
            elif self[key] is not value and (isinstance(value, Variable) or self[key] != value):
                raise UpdateCollision(
                    f"OrderedUpdates: {key!r} is to become {self[key]!r} and {value!r}\n"
                    "  hint: updates[variable] = value replaces what was there"
                )

    def __add__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates()
        joined.update(self)
        joined.update(other)
        return joined

    def __radd__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates()
        joined.update(other)
        joined.update(self)
        return joined
