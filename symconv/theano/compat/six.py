"""The part of the package six that programs of Theano's time use, where six is not installed.

Theano needed six, so that programs import it without a thought: `import six.moves.cPickle as pickle`. The
import hook offers this module, and `moves` below, after everything that is installed.
"""

from __future__ import annotations

import builtins
import configparser
import functools
import importlib
import io
import itertools
import os
import pickle
import queue
import types
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

PY2, PY3 = False, True
string_types, integer_types, class_types = (str,), (int,), (type,)
text_type, binary_type = str, bytes
StringIO, BytesIO = io.StringIO, io.BytesIO
MAXSIZE = 2**63 - 1
print_ = print
wraps = functools.wraps
advance_iterator = next


def iteritems(d: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The pairs of a dictionary."""
    return iter(d.items())


def iterkeys(d: Mapping[Any, Any]) -> Iterator[Any]:
    """The keys of a dictionary."""
    return iter(d.keys())


def itervalues(d: Mapping[Any, Any]) -> Iterator[Any]:
    """The values of a dictionary."""
    return iter(d.values())


def b(s: str) -> bytes:
    """A literal of bytes."""
    return s.encode("latin-1")


def u(s: str) -> str:
    """A literal of text."""
    return s


def with_metaclass(meta: Any, *bases: type) -> type:
    """A base class whose metaclass is `meta`."""
    made: type = meta("base", bases, {})
    return made


def add_metaclass(meta: Any) -> Any:
    """A class decorator that makes the class anew with the metaclass `meta`."""
    hidden = ("__dict__", "__weakref__")
    return lambda cls: meta(
        cls.__name__, cls.__bases__, {k: v for k, v in vars(cls).items() if k not in hidden}
    )


def reraise(kind: Any, value: BaseException | None, traceback: Any = None) -> None:
    """Raise an exception that was caught, with its traceback."""
    raise (kind() if value is None else value).with_traceback(traceback)


moves = types.ModuleType("six.moves", "Names that Python 3 has moved.")
moves.__path__ = []
vars(moves).update(
    range=range, xrange=range, zip=zip, map=map, filter=filter, input=input, reduce=functools.reduce,
    zip_longest=itertools.zip_longest, filterfalse=itertools.filterfalse, reload_module=importlib.reload,
    cPickle=pickle, urllib=urllib, configparser=configparser, queue=queue, builtins=builtins,
    StringIO=io.StringIO, cStringIO=io.StringIO, getcwd=os.getcwd,
)  # fmt: skip

# what the hook answers imports with
MODULES: dict[str, types.ModuleType] = {
    "six.moves": moves,
    "six.moves.cPickle": pickle,
    "six.moves.urllib": urllib,
    "six.moves.urllib.request": urllib.request,
    "six.moves.urllib.parse": urllib.parse,
    "six.moves.urllib.error": urllib.error,
    "six.moves.configparser": configparser,
    "six.moves.queue": queue,
    "six.moves.builtins": builtins,
}
__path__: list[str] = []  # `import six.moves` asks the hook, too
