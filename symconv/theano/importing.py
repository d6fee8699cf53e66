"""`import theano` for programs that are not to be edited: an import hook, and names imported when
asked for."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

ALIAS, PACKAGE = "theano", "symconv.theano"

# name in the package -> (module, attribute or None for the module itself)
LAZY: dict[str, tuple[str, str | None]] = {
    "scan": ("scan_module", "scan"),
    "scan_checkpoints": ("scan_module", "scan_checkpoints"),
    "map": ("scan_module", "map"),
    "reduce": ("scan_module", "reduce"),
    "foldl": ("scan_module", "foldl"),
    "foldr": ("scan_module", "foldr"),
    "scan_utils": ("scan_module.scan_utils", None),
    "clone": ("cloning", "clone"),
    "as_op": ("compile.ops", "as_op"),
    "OpFromGraph": ("compile.ops", "OpFromGraph"),
    "Op": ("gof", "Op"),
    "Apply": ("gof", "Apply"),
    "Constant": ("variable", "Constant"),
    "ifelse": ("ifelse", None),
    "pp": ("printing", "pp"),
    "pprint": ("printing", "pp"),
    "dot": ("tensor.linear", "dot"),
    "FunctionGraph": ("gof", "FunctionGraph"),
    "Generic": ("gof", "Generic"),
    "SymbolicInput": ("inputs", "SymbolicInput"),
    "SymbolicOutput": ("inputs", "SymbolicOutput"),
    "get_scalar_constant_value": ("tensor.known", "get_scalar_constant_value"),
    "predefined_modes": ("compile.mode", "predefined_modes"),
    "sparse_grad": ("sparse", "sparse_grad"),
    "ProfileStats": ("compile.profiling", "ProfileStats"),
    "_asarray": ("casting", "_asarray"),
    "change_flags": ("casting", "change_flags"),
}


def lazy(name: str) -> Any:
    """The attribute `name` of the package. Raises AttributeError with what is known about it."""
    if name.startswith("__"):
        raise AttributeError(name)
    module, attribute = LAZY.get(name, (name, None))
    full = f"{PACKAGE}.{module}"
    try:
        found = importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is None or not full.startswith(error.name):
            raise
        raise AttributeError(unknown(name)) from None
    value = found if attribute is None else getattr(found, attribute)
    setattr(sys.modules[PACKAGE], name, value)
    return value


_GPU = (
    "the device is theano.config.device or SYMCONV_DEVICE; dnn's functions and gpu_contiguous are there, op "
    "classes are not: use theano.tensor's functions"
)
# parts of Theano that have no counterpart, and what to do instead
ABSENT = {
    "sandbox.cuda": _GPU,
    "gpuarray": _GPU,
    "sparse": "symconv has no sparse matrices; use dense ones, and T.dot",
}


def unknown(name: str) -> str:
    """What to say about a part that is not there."""
    for absent, advice in ABSENT.items():
        if name == absent or name.startswith(absent + "."):
            return f"theano.{name} is not supported by symconv.theano\n  hint: {advice}"
    return f"symconv.theano has no {name!r}\n  hint: docs/theano.md lists what is covered"


class _Loader(importlib.abc.Loader):
    """Gives the module of symconv.theano under its name in Theano: the same object, not a copy."""

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return self.module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self.spec  # importing under the other name has replaced it


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != ALIAS and not fullname.startswith(ALIAS + "."):
            return None
        real = PACKAGE + fullname[len(ALIAS) :]
        try:
            module = importlib.import_module(real)
        except ModuleNotFoundError as error:
            if error.name is None or not real.startswith(error.name):
                raise
            raise ModuleNotFoundError(unknown(fullname[len(ALIAS) + 1 :]), name=fullname) from None
        return importlib.util.spec_from_loader(
            fullname, _Loader(module), is_package=hasattr(module, "__path__")
        )


class _SixFinder(importlib.abc.MetaPathFinder):
    """Answers `import six` where nothing else does: see compat/six.py."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "six" and not fullname.startswith("six."):
            return None
        from symconv.theano.compat import six

        module = six if fullname == "six" else six.MODULES.get(fullname)
        if module is None:
            return None
        return importlib.util.spec_from_loader(
            fullname, _Loader(module), is_package=hasattr(module, "__path__")
        )


def install() -> None:
    """From now on `import theano`, `import theano.tensor as T` and the like give symconv.theano's modules.

    `import six`, which Theano needed, works even where it is not installed. Raises ImportError where another
    theano has been imported already.
    """
    loaded = sys.modules.get(ALIAS)
    if loaded is not None and loaded.__name__ != PACKAGE:
        raise ImportError(
            f"theano has been imported from {getattr(loaded, '__file__', '?')} already\n"
            "  hint: call symconv.theano.install() before the first `import theano`"
        )
    if not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        sys.meta_path.append(_SixFinder())
