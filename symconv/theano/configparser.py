"""theano.configparser."""

from symconv.theano.casting import change_flags
from symconv.theano.configuration import TheanoConfig, config

TheanoConfigParser = TheanoConfig

__all__ = ["TheanoConfigParser", "change_flags", "config"]
