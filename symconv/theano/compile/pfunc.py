"""theano.compile.pfunc."""

from symconv.theano.absent import absent
from symconv.theano.functions import In, Param, function

pfunc = function

rebuild_collect_shared = absent(
    "theano.compile.pfunc.rebuild_collect_shared", "theano.clone(output, replace)"
)

__all__ = ["In", "Param", "pfunc"]
