"""theano.misc.safe_asarray."""

from symconv.theano.casting import _asarray

__all__ = ["_asarray"]
