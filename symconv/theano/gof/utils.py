"""theano.gof.utils."""

from symconv.errors import ProtocolError as MethodNotDefined
from symconv.theano.variable import scratchpad

__all__ = ["MethodNotDefined", "scratchpad"]
