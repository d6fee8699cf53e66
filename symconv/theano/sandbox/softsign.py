"""theano.sandbox.softsign."""

from symconv.theano.tensor.nnet.nnet import softsign

__all__ = ["softsign"]
