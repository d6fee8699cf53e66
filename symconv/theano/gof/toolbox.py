"""theano.gof.toolbox."""

from typing import Any

from symconv.theano.absent import refusing
from symconv.theano.variable import native_of


def is_same_graph(var1: Any, var2: Any, **_: Any) -> bool:
    """Whether two variables are computed in the same way: equal expressions are one node."""
    return native_of(var1) is native_of(var2)


__getattr__ = refusing("gof.toolbox", "f.maker.fgraph shows the graph of a function")
