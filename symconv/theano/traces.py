"""Inputs that something was made of without leaving a trace in it.

A known dimension of x, or the derivative of 2 x, is a constant, in which Theano's graphs still held x: a
function of x that computes it must not complain of an unused input.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from symconv.graph import Variable
from symconv.graph.traversal import leaves

_inputs: weakref.WeakSet[Variable] = weakref.WeakSet()
_asked: weakref.WeakSet[Variable] = weakref.WeakSet()


def held(roots: Sequence[Variable]) -> None:
    """Something is made of `roots` that need not hold their inputs: derivatives, a loop that does not read
    them.
    """
    _inputs.update(leaves(roots))


def asked_for_shape(x: Variable) -> None:
    """The shape of x was read. Who reads shapes in a deep net does so often: x is looked into later."""
    _asked.add(x)


def noted(x: Variable) -> bool:
    """Whether something was made of the input x that need not hold it."""
    return x in _inputs or any(x in leaves([v]) for v in list(_asked))
