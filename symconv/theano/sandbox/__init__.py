"""theano.sandbox."""

from symconv.theano.sandbox import rng_mrg as rng_mrg
