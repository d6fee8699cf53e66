"""theano.compile.profiling."""

from symconv.theano.absent import absent

ProfileStats = absent("theano.compile.profiling.ProfileStats", "f.native.profile() shows where the time goes")

__all__ = ["ProfileStats"]
