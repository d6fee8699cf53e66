"""theano.compile.monitormode."""

from symconv.theano.absent import absent

MonitorMode = absent(
    "theano.compile.MonitorMode", "NanGuardMode, DebugMode, or theano.printing.Print in the graph"
)

__all__ = ["MonitorMode"]
