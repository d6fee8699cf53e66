"""The frameworks that are compared, each in a module of its own behind one small interface (base.py)."""

from __future__ import annotations

import importlib

from benchmarks.peers.base import Peer

MODULES = {
    "symconv": ("symconv_peer", "PEER"),
    "torch": ("torch_peer", "PEER"),
    "jax": ("jax_peer", "PEER"),
    "aesara": ("theano_peer", "AESARA"),
    "pytensor": ("theano_peer", "PYTENSOR"),
}


def load(name: str) -> Peer:
    """The peer of that name; its framework is imported only when it is asked for something."""
    if name not in MODULES:
        raise KeyError(f"unknown peer {name!r}; there are {', '.join(MODULES)}")
    module, attribute = MODULES[name]
    peer: Peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), attribute)
    return peer
