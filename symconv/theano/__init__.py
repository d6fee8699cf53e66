"""symconv.theano: the API of Theano on symconv's graph, operations and compiler.

import symconv.theano as theano, or symconv.theano.install() and then `import theano`, or
`python -m symconv.theano program.py` for a program that is not to be edited. docs/theano.md has the details.
"""

from __future__ import annotations

import sys
from typing import Any

from symconv.theano import compile as compile
from symconv.theano import gradient as gradient
from symconv.theano import tensor as tensor
from symconv.theano import version as version
from symconv.theano.compile import In, Mode, Out, Param, function
from symconv.theano.configuration import config
from symconv.theano.gradient import Lop, Rop, grad, subgraph_grad
from symconv.theano.importing import install
from symconv.theano.sharedvar import shared
from symconv.theano.updates import OrderedUpdates
from symconv.theano.variable import Variable

__version__ = version.version


def __getattr__(name: str) -> Any:
    """Submodules and names of other modules, imported when they are first asked for."""
    from symconv.theano.importing import lazy

    return lazy(name)


theano = sys.modules[__name__]  # `from theano import theano`

__all__ = [
    "In",
    "Lop",
    "Mode",
    "OrderedUpdates",
    "Out",
    "Param",
    "Rop",
    "Variable",
    "compile",
    "config",
    "function",
    "grad",
    "gradient",
    "install",
    "shared",
    "subgraph_grad",
    "tensor",
]
