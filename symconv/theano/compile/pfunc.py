"""theano.compile.pfunc."""

from symconv.theano.functions import In, Param, function

pfunc = function

__all__ = ["In", "Param", "pfunc"]
