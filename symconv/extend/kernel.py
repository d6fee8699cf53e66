"""cuda_kernel() and cpu_kernel(): a user's C++ as a kernel descriptor."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symconv.errors import ArgumentError, CompileError, SymconvError
from symconv.extend.text import KernelText, define_pairs, read_text
from symconv.graph import Apply, Kernel, Launch
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack_struct

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
Supports = Callable[[Apply], str | None]
Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class LaunchSpec:
    """What a user's launch(node) returns; `launch` makes it."""

    tiles: int
    params: dict[str, Any]
    shared: int = 0
    workspace: int = 0
    grain: int = 1
    entry: str = ""
    then: LaunchSpec | None = None


def launch(
    tiles: int,
    /,
    *,
    shared: int = 0,
    workspace: int = 0,
    grain: int = 1,
    entry: str = "",
    then: LaunchSpec | None = None,
    **params: Any,
) -> LaunchSpec:
    """How a kernel runs on a node: so many tiles, and the fields of its params struct by name.

    CUDA: a tile is a block of 256 threads with `shared` bytes of shared memory. CPU: a tile is an item of
    work, of which one thread takes at least `grain`. `workspace`: bytes of scratch memory, handed over as the
    array behind the outputs. `then`: a second launch on the same arrays, of another `entry` of the text.
    """
    return LaunchSpec(tiles, params, shared, workspace, grain, entry, then)


def cuda_kernel(
    name: str,
    code: str | None = None,
    *,
    file: Path_ | None = None,
    entry: str = "",
    supports: Supports | None = None,
    launch: Callable[..., LaunchSpec],
    inplace: InplacePairs | Callable[[Apply], InplacePairs] = (),
    variants: Iterable[Mapping[str, int]] = (),
) -> Kernel:
    """A kernel in CUDA C++ for devices 'cuda' and 'emulated', from a string or a .cu file.

    The text holds a params struct, a tile function and KERNEL(entry, Params, function): docs/cuda.md.
    supports(node) returns None to accept a node, else why not, in words. launch(node) returns sc.launch(...).
    variants: sets of macros, as in [{"TILE": 4}, {"TILE": 8}]; the first is used unless tuning found another
    to be faster, and launch gets the set as keyword arguments. inplace: (output, input) pairs that may share
    memory. Raises ArgumentError for a text without such an entry. The text is compiled when a plan needs it.
    """
    return _kernel(name, "cuda", code, file, entry, supports, launch, inplace, variants)


def cpu_kernel(
    name: str,
    code: str | None = None,
    *,
    file: Path_ | None = None,
    library: Path_ | None = None,
    entry: str = "",
    params: str = "",
    supports: Supports | None = None,
    launch: Callable[..., LaunchSpec],
    inplace: InplacePairs | Callable[[Apply], InplacePairs] = (),
    variants: Iterable[Mapping[str, int]] = (),
) -> Kernel:
    """A kernel in C++ for device 'cpu': a string or a .cpp file, compiled when a plan needs it, or a library.

    The text holds a params struct, a function (const Params&, const Args&, ll begin, ll end) that does those
    items of the work, and CPU_KERNEL(entry, Params, function). It is compiled by the host's C++ compiler and
    runs inside the C++ plan, on all threads. A library has an `entry` as kernels/call.h describes, and
    `params` is the text of its params struct. The other arguments are those of `cuda_kernel`.
    """
    if library is None:
        if params:
            raise ArgumentError(f"{name}: params belongs to a library; the text has its struct in it")
        return _kernel(name, "cpu", code, file, entry, supports, launch, inplace, variants)
    if code is not None or file is not None or not entry:
        raise ArgumentError(f"{name}: a library takes `entry`, and neither code nor file")
    if variants:
        raise ArgumentError(f"{name}: a library has no variants")
    caller = _caller()
    path = Path(library)
    path = path if path.is_absolute() else Path(caller[0]).resolve().parent / path
    if not path.is_file():
        raise ArgumentError(f"{name}: there is no library {path}")
    text = KernelText(name, params, *caller)
    structs = [part.split("{")[0].split()[-1] for part in params.split("struct")[1:]]
    made = _Maker(text, "cpu", entry, (structs or [""])[-1], launch, {}, str(path))
    origin = f"{os.path.basename(caller[0])}:{caller[1]}"
    return Kernel(
        name, "cpu", str(path), entry, _checked(name, origin, supports), made, inplace, origin=origin
    )


def _kernel(
    name: str,
    device: str,
    code: str | None,
    file: Path_ | None,
    entry: str,
    supports: Supports | None,
    launch: Callable[..., LaunchSpec],
    inplace: InplacePairs | Callable[[Apply], InplacePairs],
    variants: Iterable[Mapping[str, int]],
) -> Kernel:
    if not name or not isinstance(name, str):
        raise ArgumentError(f"a kernel's name is a text, got {name!r}")
    caller = _caller()
    sets = [dict(v) for v in variants] or [{}]
    made: list[Kernel] = []
    for macros in sets:
        pairs = define_pairs(macros)
        text = read_text(name, code, file, caller, pairs)
        chosen, params = _entry(text, entry, device)
        shown = ",".join(f"{k}={v}" for k, v in pairs)
        label = f"{name}[{shown}]" if macros is not sets[0] else name
        maker = _Maker(text, device, chosen, params, launch, macros)
        source = text.file if file is not None else text.origin
        check = _checked(name, text.origin, supports)
        made.append(Kernel(label, device, source, chosen, check, maker, inplace, pairs, origin=text.origin))
    first, *others = made
    return Kernel(
        first.name, device, first.source, first.entry, first.supports, first.launch, inplace, first.defines,
        origin=first.origin, variants=tuple(others),
    )  # fmt: skip


def _caller() -> tuple[str, int]:
    """File and line of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _entry(text: KernelText, wanted: str, device: str) -> tuple[str, str]:
    """(entry, name of its params struct). Raises ArgumentError."""
    entries = text.entries
    macro = "CPU_KERNEL" if device == "cpu" else "KERNEL"
    if not entries:
        raise ArgumentError(f"{text.what} ({text.origin}): the text has no {macro}(entry, Params, function)")
    if wanted and wanted not in entries:
        raise ArgumentError(
            f"{text.what} ({text.origin}): no {macro}({wanted}, ...); the text has {', '.join(entries)}"
        )
    entry = wanted or next(iter(entries))
    found, params = entries[entry]
    if (found == "CPU_KERNEL") != (device == "cpu"):
        raise ArgumentError(
            f"{text.what} ({text.origin}): {found}({entry}, ...) is not for device {device!r}"
        )
    if found == "KERNEL_TAIL":
        raise ArgumentError(f"{text.what} ({text.origin}): KERNEL_TAIL is for kernels of symconv itself")
    text.struct(params)
    return entry, params


def _checked(name: str, origin: str, supports: Supports | None) -> Supports:
    if supports is None:
        return lambda node: None
    if not callable(supports):
        raise ArgumentError(f"{name} ({origin}): supports is a function of a node, got {supports!r}")

    def ask(node: Apply) -> str | None:
        try:
            answer = supports(node)
        except Exception as error:
            raise CompileError(
                f"supports() of {name} ({lines_of_error(supports, error)}) failed on {node!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if answer is not None and not (isinstance(answer, str) and answer):
            raise CompileError(
                f"supports() of {name} ({lines_of_error(supports)}) returned {answer!r}\n"
                "  hint: None accepts the node; a text says why it is refused"
            )
        return answer

    return ask


def lines_of_error(function: Any, error: BaseException | None = None) -> str:
    """File and line of a function, or of the deepest line of the user's that raised `error`."""
    trace = None if error is None else error.__traceback__
    place = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            place = f"{os.path.basename(file)}:{trace.tb_lineno}"
        trace = trace.tb_next
    if place:
        return place
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}" if code else repr(function)


class _Maker:
    """launch(node) of a Kernel: the user's, with the params packed."""

    def __init__(
        self,
        text: KernelText,
        device: str,
        entry: str,
        params: str,
        launch: Callable[..., LaunchSpec],
        macros: dict[str, int],
        library: str = "",
    ) -> None:
        if not callable(launch):
            raise ArgumentError(
                f"{text.what} ({text.origin}): launch is a function of a node, got {launch!r}"
            )
        self.text, self.entry, self.params, self.user = text, entry, params, launch
        self.macros, self.library, self.device = macros, library, device
        self.code = "" if library else text.compiled(device)

    def __call__(self, node: Apply) -> Launch:
        who = f"launch() of {self.text.what}"
        try:
            spec = self.user(node, **self.macros)
        except SymconvError:
            raise
        except Exception as error:
            where = lines_of_error(self.user, error)
            raise CompileError(
                f"{who} ({where}) failed on {node!r}: {type(error).__name__}: {error}"
            ) from error
        return self._packed(spec, f"{who} ({lines_of_error(self.user)})")

    def _packed(self, spec: LaunchSpec, what: str) -> Launch:
        if not isinstance(spec, LaunchSpec):
            raise CompileError(f"{what} returned {type(spec).__name__}\n  hint: return sc.launch(tiles, ...)")
        for name in ("tiles", "shared", "workspace", "grain"):
            value, least = getattr(spec, name), int(name == "grain")
            if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
                raise CompileError(f"{what}: {name} is a whole number of {least} or more, got {value!r}")
        if int(spec.tiles) >= 2**31:
            raise CompileError(f"{what}: {spec.tiles} tiles, at most 2^31 - 1 can be launched")
        entry, struct = spec.entry or self.entry, self.params
        if spec.entry and not self.library:
            entry, struct = _entry(self.text, spec.entry, self.device)
        packed = b""
        if struct:
            try:
                packed = pack_struct(struct, self.text.struct(struct), spec.params)
            except (TypeError, ValueError) as error:
                raise CompileError(f"{what}: {error}") from None
        if spec.then is not None and self.device == "cpu":
            raise CompileError(f"{what}: a CPU kernel is one launch; only CUDA kernels have a `then`")
        then = None if spec.then is None else self._packed(spec.then, what)
        return Launch(
            packed, int(spec.tiles), int(spec.shared), entry, self.code, int(spec.workspace), then,
            self.library, int(spec.grain),
        )  # fmt: skip
