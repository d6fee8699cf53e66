"""theano.tensor.inplace: exp_inplace and its kin; what is computed in place, symconv's plans decide."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from symconv.theano.tensor import basic

    plain = name.removesuffix("_inplace")
    if plain == name or not hasattr(basic, plain):
        raise AttributeError(name)
    return getattr(basic, plain)
