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
    "MergeOptimizer NavigatorOptimizer OpKeyOptimizer OpSub OpenMPOp Optimizer PatternSub "
    "PerformLinker PureType Query SeqOptimizer SequenceDB TopoOptimizer COp Container".split()
)


def local_optimizer(tracks: Any, inplace: bool = False, requirements: Any = None) -> Callable[[Any], Any]:
    """A decorator that leaves the function alone: nobody calls it."""
    return lambda function: function


class OpRemove:
    """OpRemove(op): the rewrite that drops an op of one input; one that changes nothing vanishes as it is."""

    def __init__(self, op: Any) -> None:
        self.op = op


def ignored(*given: Any, **_: Any) -> Any:
    """register_canonicalize and its kin, as decorators or given a name first: they warn and do no more."""
    if not given or isinstance(given[0], str):
        return lambda rewrite: ignored(rewrite)
    rewrite = given[0]
    if not isinstance(rewrite, OpRemove):
        name = getattr(rewrite, "__name__", None) or repr(rewrite)
        warnings.warn(
            f"the rewrite {name} registered at {user_line()} is not run\n  hint: {_OWN_RULES}", stacklevel=3
        )
    return rewrite


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
