"""theano.compile.io."""

from symconv.theano.functions import In, Out, SymbolicInput, SymbolicOutput

__all__ = ["In", "Out", "SymbolicInput", "SymbolicOutput"]
