"""Fixtures of the tests of Theano programs."""

from __future__ import annotations

import pytest

import symconv.theano as theano


@pytest.fixture(params=["float32", "float64"])
def floatx(request):
    with theano.config.change_flags(floatX=request.param):
        yield request.param
