"""theano.gof.toolbox."""

from symconv.theano.absent import refusing
from symconv.theano.gof.graph import is_same_graph

__getattr__ = refusing("gof.toolbox", "f.maker.fgraph shows the graph of a function")

__all__ = ["is_same_graph"]
