"""Checked ways to run a function, and searches for what is wrong with one (docs/debugging.md)."""

from symconv.debug.lone import check_view
from symconv.debug.mode import DebugMode, NanGuardMode

__all__ = ["DebugMode", "NanGuardMode", "check_view"]
