"""theano.misc.pkl_utils: values of shared variables in files."""

from __future__ import annotations

import pickle
from typing import Any


def dump(obj: Any, file_handler: Any, protocol: int = pickle.DEFAULT_PROTOCOL, **_: Any) -> None:
    """Pickle obj, with the values of its shared variables, into a file. Needs no GPU to be read again."""
    pickle.dump(obj, file_handler, protocol)


def load(f: Any, **_: Any) -> Any:
    """The object that dump() wrote."""
    return pickle.load(f)
