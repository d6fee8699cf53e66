"""theano.gof.opt: rewrites that a program brings along are not run; symconv's take rules of their own.

A program that registers some may be imported, is warned, and computes the same values without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from symconv.graph.origin import user_line
from symconv.theano.absent import absent, refusing

_OWN_RULES = "symconv.Rule and symconv.register_rule add rewrites (docs/rewriting.md)"
# classes that theano.gof has, too
INNER = frozenset(
    "CLinker DB EquilibriumDB EquilibriumOptimizer InconsistencyError Linker LocalLinker LocalOptimizer "
    "MergeOptimizer NavigatorOptimizer OpKeyOptimizer OpRemove OpSub OpenMPOp Optimizer PatternSub "
    "PerformLinker PureType Query SeqOptimizer SequenceDB TopoOptimizer COp Container".split()
)


def local_optimizer(tracks: Any, inplace: bool = False, requirements: Any = None) -> Callable[[Any], Any]:
    """A decorator that leaves the function alone: nobody calls it."""
    return lambda function: function


def ignored(*given: Any, **_: Any) -> Any:
    """register_canonicalize and its kin, as decorators or given a name first: they warn and do no more."""
    if given and callable(given[0]):
        name = getattr(given[0], "__name__", None) or repr(given[0])
        warnings.warn(
            f"the rewrite {name} registered at {user_line()} is not run\n  hint: {_OWN_RULES}", stacklevel=3
        )
        return given[0]
    return lambda function: ignored(function)


class _Database:
    """theano.compile.optdb."""

    def register(self, name: str, *_: Any, **__: Any) -> None:
        """Warn that the rewrite is not run."""
        ignored(absent(name, _OWN_RULES))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(f"theano.compile.optdb.{name}", _OWN_RULES)


optdb = _Database()

__getattr__ = refusing("gof.opt", _OWN_RULES)
