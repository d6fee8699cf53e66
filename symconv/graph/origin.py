"""Where a node came from: the user's line, found by looking at one frame, not a traceback."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
SHAPE_RULE = "infer"  # the method of an op, of a user's too, that complains of those who called the op
_state = threading.local()


def user_line() -> str:
    """'file.py:41' of the nearest caller outside this package, or the origin set by `origin`."""
    override: str | None = getattr(_state, "origin", None)
    if override is not None:
        return override
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        own = filename.startswith(_PACKAGE) or frame.f_code.co_name == SHAPE_RULE or _generated(frame)
        if not own:
            return f"{os.path.basename(filename)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "symconv"


def _generated(frame: FrameType) -> bool:
    """A method that dataclass wrote for a class of this package: it has no file."""
    return frame.f_code.co_filename == "<string>" and str(frame.f_globals.get("__name__")).startswith(
        "symconv."
    )


SHOWN = 3  # lines of a node that stands for several


def joined(lines: Iterable[str]) -> str:
    """The lines of several nodes as that of one: each once, the first SHOWN of them."""
    distinct = dict.fromkeys(one for line in lines for one in line.split(", ") if one != "...")
    shown = list(distinct)[:SHOWN]
    return ", ".join([*shown, "..."] if len(distinct) > SHOWN else shown)


class origin:  # noqa: N801 - used as a function: with origin(text)
    """Nodes made inside take `text` as their origin (gradients and rewrites keep the user's line)."""

    __slots__ = ("previous", "text")

    def __init__(self, text: str | None) -> None:
        self.text = text

    def __enter__(self) -> None:
        self.previous = getattr(_state, "origin", None)
        _state.origin = self.text

    def __exit__(self, *_: object) -> None:
        _state.origin = self.previous
