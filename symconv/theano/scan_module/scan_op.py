"""theano.scan_module.scan_op: the op that x.owner.op of a loop's results is."""

from symconv.loops import Scan

__all__ = ["Scan"]
