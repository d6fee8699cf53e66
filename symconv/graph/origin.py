"""Where a node came from: the user's line, found by looking at one frame, not a traceback."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_state = threading.local()


def user_line() -> str:
    """'file.py:41' of the nearest caller outside this package, or the origin set by `origin`."""
    override: str | None = getattr(_state, "origin", None)
    if override is not None:
        return override
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_PACKAGE) and not _generated(frame):
            return f"{os.path.basename(filename)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "symconv"


def _generated(frame: FrameType) -> bool:
    """A method that dataclass wrote for a class of this package: it has no file."""
    return frame.f_code.co_filename == "<string>" and str(frame.f_globals.get("__name__")).startswith(
        "symconv."
    )


@contextmanager
def origin(text: str | None) -> Iterator[None]:
    """Nodes made inside take `text` as their origin (gradients and rewrites keep the user's line)."""
    previous = getattr(_state, "origin", None)
    _state.origin = text
    try:
        yield
    finally:
        _state.origin = previous
