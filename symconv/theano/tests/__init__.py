"""theano.tests: the helpers that tests of Theano's extensions import."""
