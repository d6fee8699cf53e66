"""theano.compile.mode."""

from typing import Any

from symconv.theano.absent import absent
from symconv.theano.modes import Mode, get_default_mode, get_mode

FAST_RUN, FAST_COMPILE = get_mode("FAST_RUN"), get_mode("FAST_COMPILE")
predefined_modes = {"FAST_RUN": FAST_RUN, "FAST_COMPILE": FAST_COMPILE}
AddDestroyHandler = absent("theano.compile.mode.AddDestroyHandler", "symconv plans memory by itself")


def register_mode(name: str, mode: Any) -> None:
    """Let a mode be asked for by a name. Raises ArgumentError for one that is taken."""
    from symconv.theano import modes

    modes.register(name, mode)
    predefined_modes[name] = mode


__all__ = [
    "FAST_COMPILE", "FAST_RUN", "AddDestroyHandler", "Mode", "get_default_mode", "get_mode",
    "predefined_modes", "register_mode",
]  # fmt: skip
