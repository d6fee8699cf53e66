"""Names of Theano's internals that programs and tests import, and that refuse when they are used."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

from symconv.errors import UnsupportedError
from symconv.graph.origin import user_line


def absent(name: str, instead: str) -> Any:
    """A class under that name: nothing is an instance of it, and making one raises what to do instead."""

    class Absent:
        __doc__ = f"Not supported: {name}."

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            raise UnsupportedError(f"{name} is not supported, at {user_line()}\n  hint: {instead}")

    Absent.__name__ = Absent.__qualname__ = name.rpartition(".")[2]
    return Absent


def refusing(module: str, instead: str) -> Any:
    """A module's __getattr__ whose names are all absent."""

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(f"theano.{module}.{name}", instead)

    return __getattr__


def missing(module: str, name: str) -> Any:
    """For a module's __getattr__: its submodule of that name, or AttributeError with what to do instead."""
    if not name.startswith("_"):
        full = f"symconv.theano.{module}.{name}"
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            if not full.startswith(str(error.name)):
                raise
    names = vars(sys.modules[f"symconv.theano.{module}"])
    near = difflib.get_close_matches(name, [n for n in names if not n.startswith("_")], 3)
    own = "docs/theano.md lists what is covered; a custom Op (theano.gof.Op) runs NumPy or SciPy in a graph"
    advice = f"did you mean {', '.join(near)}?" if near else own
    raise AttributeError(f"theano.{module}.{name} is not supported by symconv.theano\n  hint: {advice}")
