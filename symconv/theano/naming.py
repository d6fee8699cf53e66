"""Functions that a maker made get the names that they have in their module: by these pickle finds them."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def name_made(namespace: dict[str, Any]) -> None:
    """Name every function in a module's globals that was made within another function.

    Programs pickle their settings, and those hold T.tanh. Of several names for one function the last counts.
    """
    for name, value in namespace.items():
        if (
            isinstance(value, FunctionType)
            and "<locals>" in value.__qualname__
            and value.__module__ == namespace["__name__"]
        ):
            value.__name__ = value.__qualname__ = name
