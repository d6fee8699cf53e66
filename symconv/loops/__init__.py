"""Loops in a graph: `scan`, the op that holds the computation of one step, and its gradient."""

from symconv.loops.build import Carry, Output, Row, Trace, make_scan
from symconv.loops.front import scan, until
from symconv.loops.op import Scan

__all__ = ["Carry", "Output", "Row", "Scan", "Trace", "make_scan", "scan", "until"]
