"""theano.scan_module.scan_utils: until, returned by a step beside its outputs to end the loop."""

from symconv.loops import until
from symconv.theano.cloning import clone

__all__ = ["clone", "until"]
