"""theano.compile.pfunc: function under its older name, whose inputs are called params."""

from __future__ import annotations

from typing import Any

from symconv.theano.absent import absent
from symconv.theano.functions import Function, In, Param, function


def pfunc(params: Any, outputs: Any = None, *args: Any, **kwargs: Any) -> Function:
    """theano.function(params, outputs, ...)."""
    return function(params, outputs, *args, **kwargs)


rebuild_collect_shared = absent(
    "theano.compile.pfunc.rebuild_collect_shared", "theano.clone(output, replace)"
)

__all__ = ["In", "Param", "pfunc"]
