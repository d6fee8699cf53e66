"""theano.compat: Python 3's names for what Theano had for both versions of Python."""

from __future__ import annotations

import operator
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from io import BytesIO, StringIO
from typing import Any

PY3 = True
operator_div = operator.truediv
izip, imap, ifilter = zip, map, filter
operator_div = operator.truediv
cmp: Callable[[Any, Any], int] = lambda a, b: (a > b) - (a < b)  # noqa: E731


def exc_message(error: BaseException) -> Any:
    """What the exception was raised with."""
    return error.args[0] if len(error.args) == 1 else error


def decode(text: bytes | str) -> str:
    """The text of bytes."""
    return text.decode("utf-8") if isinstance(text, bytes) else text


__all__ = [
    "PY3",
    "BytesIO",
    "OrderedDict",
    "StringIO",
    "cmp",
    "decode",
    "defaultdict",
    "exc_message",
    "ifilter",
    "imap",
    "izip",
    "operator_div",
    "partial",
    "pickle",
]
