"""Checked ways to run a function, and searches for what is wrong with one (docs/debugging.md)."""

from __future__ import annotations

from typing import Any

from symconv.debug.bisect import Finding
from symconv.debug.lone import check_view
from symconv.debug.mode import DebugMode, NanGuardMode
from symconv.debug.rewrites import WrongRewrite

__all__ = ["DebugMode", "Finding", "NanGuardMode", "WrongRewrite", "bisect", "check_view"]


def bisect(function: Any, *args: Any, wrong: Any = None) -> Finding | None:
    """Function.bisect: what first changes a result for these arguments; None if nothing does."""
    found: Finding | None = function.bisect(*args, wrong=wrong)
    return found
