"""theano.config: Theano's settings by their names, read from THEANO_FLAGS, over symconv's own settings.

Only some of them mean something here; those that steer Theano's compiler, its C code or its GPU back
end are kept and have no effect. A name that Theano does not know raises AttributeError, as it did.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from symconv.config import config as native
from symconv.errors import ConfigError, DeviceError
from symconv.errors import UnknownSettingError as UnknownSetting


def as_boolean(value: Any) -> bool:
    """A setting that is on or off, as Theano's flags write it. Raises ValueError."""
    if isinstance(value, str):
        if value.strip().lower() in ("true", "1", "yes"):
            return True
        if value.strip().lower() in ("false", "0", "no"):
            return False
        raise ValueError
    return bool(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if str(value) not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return str(value)

    return parse


def _device(value: Any) -> str:
    """Where functions run: 'cpu', or a GPU by any of Theano's names. Raises DeviceError where there is none.

    Theano fell back to the CPU without a word; programs that guard the assignment with `except` still run.
    """
    from symconv.device import resolve_device

    name = str(value)
    if name.startswith(("gpu", "cuda", "opencl")):
        try:
            native.device = resolve_device("cuda")
        except DeviceError as error:
            raise DeviceError(f"theano.config.device = {name!r}: {error}") from None
    elif name == "cpu":
        native.device = "cpu"
    elif name in ("emulated", "reference"):
        native.device = name
    else:
        raise ValueError("cpu, gpu*, cuda*, emulated, reference")
    return name


_FLOATS = _one_of("float16", "float32", "float64")
_TEST = _one_of("off", "ignore", "warn", "raise", "pdb")

# name -> (default, parser, what it does here)
SETTINGS: dict[str, tuple[Any, Callable[[Any], Any], str]] = {
    "floatX": ("float64", _FLOATS, "the dtype of T.matrix(), float literals and integer divisions"),
    "device": ("cpu", _device, "where functions run; gpu*, cuda* need a CUDA device and raise without one"),
    "force_device": (False, as_boolean, ""),
    "mode": ("Mode", str, "FAST_COMPILE: no rewrites; DebugMode, NanGuardMode: checked calls"),
    "optimizer": ("fast_run", str, "None or fast_compile: no rewrites"),
    "linker": ("cvm", str, ""),
    "exception_verbosity": ("low", _one_of("low", "high"), "high: errors add the graph as it was written"),
    "on_unused_input": ("raise", _one_of("raise", "warn", "ignore"), "default of function()"),
    "cast_policy": ("custom", _one_of("custom", "numpy+floatX"), "how float32 and wide ints promote"),
    "int_division": ("int", _one_of("int", "raise", "floatX"), "what / gave on ints under Python 2"),
    "warn_float64": ("ignore", _one_of("ignore", "warn", "raise", "pdb"), "a float64 tensor is made"),
    "compute_test_value": ("off", _TEST, "compute tag.test_value as the graph is built"),
    "pool_ties": (
        "first",
        _one_of("first", "all"),
        "symconv's own: 'first' (as cuDNN) sends a pool's gradient to one maximum, 'all' (as "
        "Theano's CPU) to each",
    ),
    **{
        name: (default, type(default) if not isinstance(default, bool) else as_boolean, "")
        for name, default in {
            "openmp": False, "openmp_elemwise_minsize": 200000, "profile": False, "profile_memory": False,
            "profile_optimizer": False, "allow_gc": True, "assert_no_cpu_op": "ignore", "init_gpu_device": "",
            "optimizer_verbose": False, "optimizer_including": "", "optimizer_excluding": "",
            "optdb": "", "cxx": "", "compiledir": "", "base_compiledir": "", "gpuarray": "",
            "nocleanup": False,
            "print_active_device": True, "enable_initial_driver_test": True, "traceback": "",
            "reoptimize_unpickled_function": False, "unpickle_function": True, "deterministic": "default",
            "ignore_bug_before": "None", "pickle_test_value": True, "print_test_value": False,
            "check_input": True, "cycle_detection": "regular", "metaopt": "", "pthreads": "", "root": "",
            "tensor": "", "scan": "", "experimental": "", "numpy": "", "warn_on_gpu_transfer": "ignore",
            "compute_test_value_opt": "off", "on_opt_error": "warn", "on_shape_error": "warn",
            "magma": "", "conv": "", "contexts": "",
        }.items()
    },
}  # fmt: skip
GROUPS = (
    "blas", "cmodule", "compile", "cuda", "ctc", "dnn", "DebugMode", "gcc", "gpuarray", "lib", "NanGuardMode",
    "nvcc", "numpy", "profiling", "scan", "tensor", "traceback", "unittests", "vm", "warn", "experimental",
    "gpuelemwise", "magma", "conv", "optdb", "pygpu", "pycuda", "metaopt",
)  # fmt: skip


SUBGROUPS = ("dnn.conv",)


class Group:
    """Settings with a dot, as config.dnn.enabled: kept, without effect."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        full = f"{self._name}.{name}"
        if full in SUBGROUPS:
            return self.__dict__.setdefault(name, Group(full))
        return _GROUP_DEFAULTS.get(full, "")

    def __bool__(self) -> bool:
        return bool(len(self.__dict__) > 1)


_GROUP_DEFAULTS: dict[str, Any] = {
    "dnn.enabled": "False", "lib.cnmem": 0.0, "gpuarray.preallocate": 0.0, "scan.allow_gc": False,
    "nvcc.fastmath": False, "NanGuardMode.nan_is_error": True, "NanGuardMode.inf_is_error": True,
    "NanGuardMode.big_is_error": True, "NanGuardMode.action": "raise", "unittests.rseed": 666,
    "tensor.cmp_sloppy": 0, "tensor.insert_inplace_optimizer_validate_nb": -1,
    "numpy.seterr_all": "ignore", "conv.assert_shape": False,
}  # fmt: skip


class TheanoConfig:
    """The one object theano.config; see SETTINGS for the names."""

    _values: dict[str, Any]
    _groups: dict[str, Group]

    def __init__(self, flags: str = "") -> None:
        self.__dict__["_values"] = {}
        self.__dict__["_groups"] = {name: Group(name) for name in GROUPS}
        for flag in flags.split(","):
            if not flag.strip():
                continue
            name, _, value = flag.partition("=")
            self._set(name.strip(), value.strip(), f"THEANO_FLAGS: {name.strip()}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._values:
            return self._values[name]
        if name in self._groups:
            return self._groups[name]
        if name in SETTINGS:
            return SETTINGS[name][0]
        raise UnknownSetting(f"theano.config has no setting {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._set(name, value, f"theano.config.{name}")

    def _set(self, name: str, value: Any, what: str) -> None:
        group, dot, rest = name.partition(".")
        if dot:
            if group not in self._groups:
                raise UnknownSetting(f"{what}: Theano has no such group of settings")
            setattr(self._groups[group], rest, value)
            return
        if name not in SETTINGS:
            raise UnknownSetting(f"{what}: Theano has no such setting")
        try:
            parsed = SETTINGS[name][1](value)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{what} = {value!r} is not allowed; {error}") from None
        self._values[name] = parsed

    @contextmanager
    def change_flags(self, *args: Any, **values: Any) -> Iterator[None]:
        """A context (or decorator) in which settings have other values: keywords, a mapping, or pairs."""
        names = {**dict(args[0] if args else ()), **values}
        dotted = {name.replace("__", "."): value for name, value in names.items()}
        before = {name: operator.attrgetter(name)(self) for name in dotted}
        for name, value in dotted.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def __str__(self) -> str:
        return "\n".join(
            f"{name} = {getattr(self, name)!r}   {doc}" for name, (_, _, doc) in SETTINGS.items()
        )


config = TheanoConfig(os.environ.get("THEANO_FLAGS", ""))
