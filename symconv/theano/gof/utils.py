"""theano.gof.utils."""

from typing import Any

from symconv.errors import ProtocolError as MethodNotDefined
from symconv.theano.variable import scratchpad


def hashtype(self: Any) -> int:
    """The hash of an op without attributes, as programs write __hash__: that of its class."""
    return hash((type(self).__name__, type(self).__module__))


__all__ = ["MethodNotDefined", "hashtype", "scratchpad"]
