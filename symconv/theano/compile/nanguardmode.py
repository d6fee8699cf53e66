"""theano.compile.nanguardmode."""

from symconv.theano.modes import NanGuardMode

__all__ = ["NanGuardMode"]
