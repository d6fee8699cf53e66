"""OrderedUpdates: a dictionary {shared variable: new value} that can be added to another."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from symconv.errors import DTypeError
from symconv.theano.sharedvar import SharedVariable


class OrderedUpdates(OrderedDict):  # type: ignore[type-arg]
    """Updates in the order in which they were made; + joins two of them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise DTypeError(f"OrderedUpdates: keys must be shared variables, got {key!r}")
        super().__setitem__(key, value)

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
