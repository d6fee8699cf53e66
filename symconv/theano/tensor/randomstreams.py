"""theano.tensor.randomstreams: the older name of shared_randomstreams.RandomStreams."""

from symconv.theano.tensor.shared_randomstreams import RandomStreams

__all__ = ["RandomStreams"]
