"""A page to draw on: a local server that shows what a net makes of a drawing, layer by layer."""

from __future__ import annotations

from symconv.demo.app import Demo
from symconv.demo.server import Server, serve

__all__ = ["Demo", "Server", "serve"]
