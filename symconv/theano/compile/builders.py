"""theano.compile.builders."""

from symconv.theano.compile.ops import OpFromGraph

__all__ = ["OpFromGraph"]
