"""theano.sandbox.neighbours: the older place of theano.tensor.nnet.neighbours."""

from symconv.theano.tensor.nnet.neighbours import images2neibs, neibs2images

__all__ = ["images2neibs", "neibs2images"]
