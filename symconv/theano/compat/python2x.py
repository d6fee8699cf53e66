"""theano.compat.python2x."""

from symconv.theano.compat import OrderedDict, defaultdict, partial

__all__ = ["OrderedDict", "defaultdict", "partial"]
