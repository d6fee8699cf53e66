"""theano.scan_module.scan_utils: until, returned by a step beside its outputs to end the loop; clones and
comparisons of graphs."""

from symconv.loops import until
from symconv.theano.cloning import clone
from symconv.theano.gof.graph import equal_computations

__all__ = ["clone", "equal_computations", "until"]
