"""The settings of symconv: typed, checked, read from SYMCONV_* variables, overridden by `with config(...)`.

Import the one object, and read or assign its attributes:

    from symconv.config import config
    config.num_threads = 2                  # for the whole process
    with config(floatX="float64"):          # for this thread (or async task), undone at the end
        ...
    print(config.describe())
"""

from __future__ import annotations

import difflib
import operator
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from symconv.errors import ConfigError, UnknownSettingError

T = TypeVar("T")

# Variables that start with SYMCONV_ but steer the build or the tests, not the library.
OTHER_VARIABLES = frozenset({"SYMCONV_ISAS", "SYMCONV_ISA"})


class Setting(Generic[T]):
    """One setting: its default, the check that turns a Python value or a string into T, and its meaning.

    `parse` raises ValueError or TypeError for a value it does not take; `allowed` says which ones it takes.
    """

    name: str

    def __init__(
        self, default: T | Callable[[], T], parse: Callable[[Any], T], allowed: str, doc: str
    ) -> None:
        self.default = default
        self.parse = parse
        self.allowed = allowed
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def variable(self) -> str:
        return "SYMCONV_" + self.name.upper()

    def check(self, value: object, variable: str | None = None) -> T:
        """The value as T, or ConfigError. `variable` is the environment variable it came from, if any."""
        try:
            return self.parse(value)
        except (ValueError, TypeError) as why:
            where = f" (environment variable {variable})" if variable else ""
            message = f"config.{self.name}{where}: {value!r} is not allowed\n  allowed: {self.allowed}"
            if isinstance(value, str) and (near := difflib.get_close_matches(value, self.allowed.split(), 1)):
                message += f"\n  hint: did you mean {near[0].strip(',')!r}?"
            raise ConfigError(message) from why

    @overload
    def __get__(self, obj: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, obj: Config, owner: type) -> T: ...
    def __get__(self, obj: Config | None, owner: type) -> Setting[T] | T:
        if obj is None:
            return self
        overrides = obj._overrides.get()
        if overrides is not None and self.name in overrides:
            return overrides[self.name]  # type: ignore[no-any-return]
        try:
            return obj._values[self.name]  # type: ignore[no-any-return]
        except KeyError:
            return obj._load(self)

    def __set__(self, obj: Config, value: T) -> None:
        obj._assign(self.name, self.check(value))


def one_of(*names: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if isinstance(value, str) and value.strip() in names:
            return value.strip()
        raise ValueError

    return parse


def boolean(value: object) -> bool:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
    raise ValueError


def natural(limit: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool):
            raise TypeError
        number = int(value.strip()) if isinstance(value, str) else operator.index(value)
        if not 0 <= number < limit:
            raise ValueError
        return number

    return parse


def byte_count(value: Any) -> int:
    """Bytes, as an int or as a string with a binary suffix: "512M", "4GiB"."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", value, re.IGNORECASE)
        if not match:
            raise ValueError
        return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
    return natural(2**63)(value)


def optional_path(value: object) -> Path | None:
    if value is None or value == "":
        return None
    return path(value)


def path(value: object) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "\0" in str(value):
        raise ValueError
    return Path(value).expanduser()


def default_cache_dir() -> Path:
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "symconv"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "symconv" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "symconv"
    return Path.home() / ".cache" / "symconv"


class Config:
    """All settings of symconv. Each is read from its variable when it is first used.

    Reading and assigning are attribute access. An assignment holds for the whole process, unless it
    stands inside a `with config(...)` that overrides the same setting: then it ends with that block.
    Threads started inside such a block see the process-wide values.
    """

    device = Setting(
        "auto",
        one_of("auto", "cpu", "reference", "cuda", "emulated"),
        "auto, cpu, reference, cuda, emulated",
        "Where compiled functions run. auto: the C++ backend (cpu) if it is built, else the NumPy reference.",
    )
    floatX = Setting(
        "float32",
        one_of("float32", "float64"),
        "float32, float64",
        "The dtype of matrix(), of Python floats that stand alone, and of int / int.",
    )
    num_threads = Setting(
        0,
        natural(4096),
        "0 (automatic) to 4095",
        "Threads of the C++ backend. 0: as many as the process may use (affinity and cgroup limits).",
    )
    optimize = Setting(
        True,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Rewrite and fuse graphs. False runs them as written, to find out whether a rewrite is at fault.",
    )
    mode = Setting(
        "normal",
        one_of("normal", "debug", "nan_guard"),
        "normal, debug, nan_guard",
        "How functions run: plainly; with all calls checked; or up to the first NaN, Inf or large value.",
    )
    verify_rewrites = Setting(
        False,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Check the whole graph after every rewrite pass. Slow; on in the tests.",
    )
    check_data = Setting(
        False,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Look for NaN and Inf in the data given to compiled functions and data sets.",
    )
    gpu_executor = Setting(
        "auto",
        one_of("auto", "kernels", "graph", "persistent"),
        "auto, kernels, graph, persistent",
        "How plans run on a GPU: kernel by kernel, as a captured graph, or as one persistent kernel.",
    )
    emulator_checks = Setting(
        True,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Device emulated: look for races, divergent barriers, accesses out of bounds. Several times slower.",
    )
    emulator_sanitize = Setting(
        False,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Device emulated: build kernels with AddressSanitizer (LD_PRELOAD libasan.so: see docs/cuda.md).",
    )
    emulator_order = Setting(
        0,
        natural(2**31),
        "0 (forward), 1 (reverse), 2 to 2**31 - 1 (random, with this seed)",
        "Device emulated: the order in which the threads of a block run.",
    )
    winograd = Setting(
        True,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Allow Winograd convolutions: fewer products, but other rounding than that of plain sums.",
    )
    tf32 = Setting(
        False,
        boolean,
        "True, False (1, 0, yes, no, on, off)",
        "Devices cuda and emulated: large float32 products may round their operands to 10 bits of mantissa.",
    )
    memory_limit = Setting(
        0,
        byte_count,
        "bytes, as an int or like '512M', '4G'; 0 = the memory available on the machine",
        "The most bytes that a plan may take. Larger plans are refused before anything is allocated.",
    )
    seed = Setting(
        0,
        natural(2**63),
        "0 to 2**63 - 1",
        "The seed of initial weights, shuffling and random ops that were given none of their own.",
    )
    data = Setting(
        None,
        optional_path,
        "a directory, or None",
        "Where data sets are looked up first: DIR/mnist/, DIR/fashion_mnist/, or DIR itself.",
    )
    autotune = Setting(
        "off",
        one_of("off", "cached", "on"),
        "off, cached, on",
        "Choose kernels by measurement: cached takes what the tuning file says, on adds to it.",
    )
    tuning_file = Setting(
        None,
        optional_path,
        "a file, or None",
        "Where measured choices are kept; None is tuning.json in cache_dir.",
    )
    cache_dir = Setting(
        default_cache_dir, path, "a directory", "Where downloaded data sets and compiled kernels are kept."
    )

    _environ: Mapping[str, str]
    _values: dict[str, Any]
    _overrides: ContextVar[dict[str, Any] | None]

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        # A ContextVar is made per Config, and Configs are few: the module's own one, and the tests'.
        object.__setattr__(self, "_environ", environ)
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_overrides", ContextVar("symconv_config", default=None))
        known = [s.variable for s in settings()]
        for name in environ:
            if not name.startswith("SYMCONV_") or name in known or name in OTHER_VARIABLES:
                continue
            if near := difflib.get_close_matches(name, known, 1, 0.85):
                warnings.warn(f"{name} is not a setting of symconv; did you mean {near[0]}?", stacklevel=2)

    def __call__(self, **values: Any) -> AbstractContextManager[Config]:
        """A context manager that overrides the given settings for the current thread or task."""
        return self._override({name: self._setting(name).check(value) for name, value in values.items()})

    @contextmanager
    def _override(self, values: dict[str, Any]) -> Iterator[Config]:
        token = self._overrides.set({**(self._overrides.get() or {}), **values})
        try:
            yield self
        finally:
            self._overrides.reset(token)

    def describe(self) -> str:
        """A table of all settings: value, where it came from, variable, meaning."""
        lines = []
        overrides = self._overrides.get() or {}
        for setting in settings():
            name = setting.name
            try:
                value = getattr(self, name)
            except ConfigError:
                value = f"{self._environ[setting.variable]!r} (not allowed)"
            if name in overrides:
                source = "with"
            elif name in self._values and self._values[name] != self._initial(setting):
                source = "assigned"
            else:
                source = "environment" if self._environ.get(setting.variable) else "default"
            lines.append(f"{name} = {value}   [{source}; {setting.variable}]")
            lines.append(f"    {setting.__doc__}")
            lines.append(f"    allowed: {setting.allowed}")
        return "\n".join(lines)

    def _initial(self, setting: Setting[Any]) -> Any:
        # An empty variable counts as unset, as in most shells' habits: SYMCONV_DATA= symconv train
        text = self._environ.get(setting.variable)
        if text:
            return setting.check(text, setting.variable)
        return setting.default() if callable(setting.default) else setting.default

    def _load(self, setting: Setting[T]) -> T:
        value: T = self._initial(setting)
        self._values.setdefault(setting.name, value)
        return value

    def _assign(self, name: str, value: Any) -> None:
        overrides = self._overrides.get()
        if overrides is not None and name in overrides:
            self._overrides.set({**overrides, name: value})
        else:
            self._values[name] = value

    @classmethod
    def _setting(cls, name: str) -> Setting[Any]:
        setting = cls.__dict__.get(name)
        if isinstance(setting, Setting):
            return setting
        names = [s.name for s in settings()]
        near = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 1)
        hint = next((n for n in names if near and n.lower() == near[0]), None)
        raise UnknownSettingError(
            f"config has no setting {name!r}"
            + (f"; did you mean {hint!r}?" if hint else "")
            + f"\n  settings: {', '.join(names)}"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._setting(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._setting(name).__set__(self, value)

    def __delattr__(self, name: str) -> None:
        raise ConfigError(f"config.{name} cannot be deleted; assign its default instead")

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{s.name}={getattr(self, s.name)!r}' for s in settings())})"


def settings() -> list[Setting[Any]]:
    """All settings, in the order of the class."""
    return [value for value in vars(Config).values() if isinstance(value, Setting)]


config = Config()
