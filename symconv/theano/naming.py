"""Functions that a maker made get the names that they have in their module: by these pickle finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import update_wrapper
from types import FunctionType
from typing import Any


class Unbound:
    """A function that stays one as the attribute of a class: `activation = T.tanh`, self.activation(x).

    So were Theano's element-wise operations, which were objects. Pickled by name.
    """

    __name__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


def unbind(namespace: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Make a module's public functions, or those of some names, Unbound; several names keep one object."""
    made: dict[Any, Unbound] = {}
    for name in list(namespace if names is None else names):
        value = namespace[name]
        own = isinstance(value, FunctionType) and value.__module__ == namespace["__name__"]
        if own and not name.startswith("_"):
            namespace[name] = made.setdefault(value, Unbound(value))


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
