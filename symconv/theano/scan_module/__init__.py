"""theano.scan_module: scan and what is made of it."""

from symconv.theano.cloning import clone
from symconv.theano.scan_module import scan_utils as scan_utils
from symconv.theano.scan_module.scan_checkpoints import scan_checkpoints
from symconv.theano.scan_module.scan_utils import until
from symconv.theano.scan_module.scan_views import foldl, foldr, map, reduce, scan

__all__ = ["clone", "foldl", "foldr", "map", "reduce", "scan", "scan_checkpoints", "until"]
