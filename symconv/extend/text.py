"""The text of a user's kernel: where it stands, its params and entries, and what the compiler is given."""

from __future__ import annotations

import hashlib
import linecache
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from symconv.errors import ArgumentError
from symconv.graph.kernel import USER_NAMESPACE
from symconv.graph.params import parse_structs, structs

_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"][^>\"]+[>\"]).*$", re.MULTILINE)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_ENTRY = re.compile(
    r"^[ \t]*(KERNEL|KERNEL_ALONE|KERNEL_TAIL|CPU_KERNEL)\s*\(\s*(\w+)\s*,\s*(\w+)", re.MULTILINE
)
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{([^{}]*)\}\s*;")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class KernelText:
    """C++ of the user's: `text` begins at `line` of `file`; `what` is the kernel's name, for messages.

    `place` is where it was given, for a text that stands in no file as it is (one that was put together).
    `entries` maps the name in KERNEL(entry, Params, function) to (macro, Params).
    """

    what: str
    text: str
    file: str
    line: int
    defines: tuple[tuple[str, int], ...] = ()
    place: str = ""

    @property
    def origin(self) -> str:
        return self.place or f"{os.path.basename(self.file)}:{self.line}"

    @cached_property
    def entries(self) -> dict[str, tuple[str, str]]:
        return {entry: (macro, params) for macro, entry, params in _ENTRY.findall(_bare(self.text))}

    def struct(self, name: str) -> np.dtype:
        """The layout of params struct `name`: of the text itself, or of kernels/params.h."""
        for found, body in _STRUCT.findall(_bare(self.text)):
            if found == name:
                return _parsed(self, name, body)
        if name in structs():
            return structs()[name]
        raise ArgumentError(
            f"{self.what} ({self.origin}): struct {name} of its params is defined neither in the text nor in "
            "kernels/params.h"
        )

    def compiled(self, device: str) -> str:
        """What the compiler is given: the text in a namespace of its own, its lines numbered as the user's.

        Includes go to the top, for they may not stand in a namespace; macros end with the text, as others
        may follow it in one translation unit.
        """
        header = "cpu.h" if device == "cpu" else "common.cuh"
        includes = [f'#include "{header}"', *(f"#include {name}" for name in _INCLUDE.findall(self.text))]
        body = _INCLUDE.sub("", self.text)
        before = [f"#define {name} {value}" for name, value in self.defines]
        after = [f"#undef {name}" for name in dict.fromkeys([*dict(self.defines), *_DEFINE.findall(body)])]
        file = self.file.replace("\\", "/").replace('"', "'")
        middle = [*before, f'#line {self.line} "{file}"', body, '#line 1 "generated.cu"']
        digest = hashlib.sha256("\n".join([*includes, *middle]).encode()).hexdigest()[:16]
        space = f"{USER_NAMESPACE}{digest}"
        head = [f"// {self.what}", *dict.fromkeys(includes), f"namespace {space} {{"]
        return "\n".join([*head, *middle, f"}}  // namespace {space}", *after]) + "\n"


def _bare(text: str) -> str:
    return _COMMENT.sub("", text)


def _parsed(text: KernelText, name: str, body: str) -> np.dtype:
    fields = []
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        first, *others = declaration.split(",")
        kind = re.match(r"(long\s+long|ll|\w+)\s", first)
        rest = [f"{kind[1]} {other.strip()}" for other in others] if kind else []
        fields += [re.sub(r"^ll\s", "long long ", field) for field in (first, *rest)]
    try:
        return parse_structs(f"struct {name} {{{';'.join(fields)};}};")[name]
    except ValueError as error:
        why = str(error).removeprefix("params.h: ")
        raise ArgumentError(f"{text.what} ({text.origin}): {why}") from None


def read_text(
    what: str,
    code: str | None,
    file: str | os.PathLike[str] | None,
    caller: tuple[str, int],
    defines: Sequence[tuple[str, int]] = (),
) -> KernelText:
    """The text given as a string or as a file; a relative file stands beside the caller's.

    What it includes from its own folder is put in its place, so that it is all there.
    """
    if (code is None) == (file is None):
        raise ArgumentError(f"{what}: give the text as `code`, or a path as `file`")
    if file is not None:
        path = Path(file)
        path = path if path.is_absolute() else Path(caller[0]).resolve().parent / path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as why:
            raise ArgumentError(f"{what}: cannot read {path}: {why}") from None
        return KernelText(what, _expanded(text, path, ()), str(path), 1, tuple(defines))
    if not isinstance(code, str):
        raise ArgumentError(f"{what}: code is the text of a kernel, got {type(code).__name__}")
    source = "".join(linecache.getlines(caller[0]))
    at = source.find(code) if code else -1
    place = f"{os.path.basename(caller[0])}:{caller[1]}"
    file, line = (caller[0], source.count("\n", 0, at) + 1) if at >= 0 else (f"text of {what}", 1)
    text = _expanded(code, Path(caller[0]), (), line)
    return KernelText(what, text, file, line, tuple(defines), "" if at >= 0 else place)


def _expanded(text: str, path: Path, above: tuple[Path, ...], line: int = 1) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match[1]
        found = path.parent / name[1:-1]
        if name[0] == "<" or not found.is_file():
            return match[0]
        found = found.resolve()
        if found in above:
            raise ArgumentError(f"{path}: {found.name} includes itself")
        here = line + text.count("\n", 0, match.start()) + 1
        inner = _expanded(found.read_text(encoding="utf-8"), found, (*above, found))
        inner = re.sub(r"^\s*#\s*pragma\s+once\s*$", "", inner, flags=re.MULTILINE)
        return f'#line 1 "{found}"\n{inner}\n#line {here} "{path}"'

    return _INCLUDE.sub(replace, text)


def define_pairs(values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """{macro: whole number} as the pairs of a Kernel. Raises ArgumentError."""
    for name, value in values.items():
        if not str(name).isidentifier() or isinstance(value, bool) or not isinstance(value, int):
            raise ArgumentError(f"a macro is a name and a whole number, got {name!r}: {value!r}")
    return tuple(values.items())
