"""The command line: symconv train | predict | explain | config."""

from __future__ import annotations

from symconv.cli.main import main

__all__ = ["main"]
