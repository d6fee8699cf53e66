"""One module per framework behind one small interface (base.py); a peer is a name in MODULES."""

from __future__ import annotations

import importlib

from benchmarks.peers.base import Peer

MODULES = {"symconv": "symconv_peer", "torch": "torch_peer", "jax": "jax_peer"}


def load(name: str) -> Peer:
    """The peer of that name; its framework is imported only when it is asked for something."""
    if name not in MODULES:
        raise KeyError(f"unknown peer {name!r}; there are {', '.join(MODULES)}")
    peer: Peer = importlib.import_module(f"benchmarks.peers.{MODULES[name]}").PEER
    return peer
