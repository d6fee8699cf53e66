"""Packs kernel parameters: Python values -> the bytes of a struct of kernels/params.h.

The header and those that it includes are parsed once: they alone define the structs. This module is plain
data packing and stands beside the graph because the ops' launch functions need it.
"""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symconv.errors import ArgumentError

_TYPES = {"int": np.int32, "long long": np.int64, "float": np.float32, "double": np.float64}
_CODES = {"int32": "i", "int64": "q", "float32": "f", "float64": "d"}  # of the struct module
_STRUCT = re.compile(r"struct\s+(\w+)\s*\{(.*?)\}\s*;", re.DOTALL)
_FIELD = re.compile(r"^(int|long\s+long|float|double)\s+(\w+)(?:\s*\[\s*(\d+)\s*\])?$")
_INCLUDE = re.compile(r'^#include "(params_\w+\.h)"$', re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@functools.cache
def kernel_dir() -> Path:
    """Directory of the CUDA sources and params.h: symconv/kernels in a wheel, kernels/ in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "kernels", package.parent / "kernels"):
        if (candidate / "params.h").is_file():
            return candidate
    raise FileNotFoundError(
        f"kernels/params.h is neither in {package} nor beside it: the installation is damaged"
    )


def parse_structs(text: str) -> dict[str, np.dtype]:
    """C text -> {struct name: aligned NumPy dtype}. ArgumentError on anything outside the allowed subset."""
    text = _COMMENT.sub("", text)
    structs: dict[str, np.dtype] = {}
    for name, body in _STRUCT.findall(text):
        if name in structs:
            raise ArgumentError(f"params.h: struct {name} is defined twice")
        fields: list[tuple] = []
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            match = _FIELD.match(declaration)
            if match is None:
                raise ArgumentError(
                    f"params.h: struct {name}: cannot read {declaration!r}; "
                    "fields are int, long long, float, double or fixed arrays of these, one per declaration"
                )
            ctype, field, length = match.groups()
            dtype = _TYPES[" ".join(ctype.split())]
            fields.append((field, dtype, (int(length),)) if length else (field, dtype))
        structs[name] = np.dtype(fields, align=True)
    rest = _STRUCT.sub("", text).replace("#pragma once", "").strip()
    if rest:
        raise ArgumentError(f"params.h: cannot read {rest[:80]!r}")
    return structs


@functools.cache
def structs() -> dict[str, np.dtype]:
    """The structs of kernels/params.h, which includes a file for each family of kernels."""
    whole = (kernel_dir() / "params.h").read_text()
    texts = [(kernel_dir() / name).read_text() for name in _INCLUDE.findall(whole)]
    return parse_structs("\n".join([_INCLUDE.sub("", whole), *texts]))


@dataclass(frozen=True)
class _Layout:
    """How one struct is written: the format of all its bytes, and per field its length (0: a number)."""

    format: struct.Struct
    lengths: dict[str, int]


@functools.cache
def _layout(name: str) -> _Layout:
    known = structs()
    if name not in known:
        raise KeyError(f"params.h has no struct {name!r}; it has {', '.join(known)}")
    return _layout_of(known[name])


@functools.cache
def _layout_of(dtype: np.dtype) -> _Layout:
    codes, lengths, end = ["="], {}, 0
    for field in dtype.names or ():
        kind, start = dtype.fields[field][:2]  # type: ignore[index]
        lengths[field] = kind.shape[0] if kind.shape else 0
        codes.append(f"{start - end}x{lengths[field] or ''}{_CODES[kind.base.name]}")
        end = start + kind.itemsize
    codes.append(f"{dtype.itemsize - end}x")
    return _Layout(struct.Struct("".join(codes)), lengths)


def pack(struct_name: str, /, *, tail: bytes = b"", **values: Any) -> bytes:
    """Bytes of one struct with all its fields given by name, followed by `tail`.

    A sequence shorter than an array field is filled up with zeros. Raises KeyError on an unknown struct,
    TypeError on an unknown or missing field, ValueError on a value that does not fit the field (too long,
    out of range, not a whole number).
    """
    return _packed(_layout(struct_name), struct_name, values, tail)


def pack_struct(name: str, dtype: np.dtype, values: dict[str, Any]) -> bytes:
    """`pack` for a struct that does not stand in params.h (parse_structs gives its dtype)."""
    return _packed(_layout_of(dtype), name, values, b"", dtype)


def _packed(
    layout: _Layout, name: str, values: dict[str, Any], tail: bytes, dtype: np.dtype | None = None
) -> bytes:
    flat: list[Any] = []
    try:
        for field, length in layout.lengths.items():
            if length:
                given = values[field]
                flat.extend(given)
                flat.extend((0,) * (length - len(given)))
            else:
                flat.append(values[field])
        if len(values) == len(layout.lengths):
            return layout.format.pack(*flat) + tail
    except (KeyError, TypeError, OverflowError, struct.error):
        pass
    raise _misfit(name, values, structs()[name] if dtype is None else dtype)


def _misfit(struct_name: str, values: dict[str, Any], dtype: np.dtype) -> Exception:
    """Why `values` do not fit the struct."""
    lengths = _layout_of(dtype).lengths
    if values.keys() != lengths.keys():
        unknown, missing = sorted(values.keys() - lengths.keys()), sorted(lengths.keys() - values.keys())
        wrong = [f"no value for {', '.join(missing)}"] * bool(missing)
        wrong += [f"no such field as {', '.join(unknown)}"] * bool(unknown)
        return TypeError(f"{struct_name}: {'; '.join(wrong)} (its fields: {', '.join(lengths)})")
    for name, length in lengths.items():
        kind = dtype[name].base
        given = np.asarray(values[name])
        if given.ndim != (1 if length else 0) or given.size > max(length, 1):
            return ValueError(f"{struct_name}.{name} holds {length or 'one'} value(s), got {values[name]!r}")
        if kind.kind == "i" and given.size and given.dtype.kind not in "iub":
            return ValueError(f"{struct_name}.{name} holds whole numbers, got {values[name]!r}")
        try:
            struct.pack(f"{given.size}{_CODES[kind.name]}", *given.ravel().tolist())
        except (OverflowError, struct.error):
            return ValueError(f"{struct_name}.{name} is {kind.name}, got {values[name]!r}")
        except (TypeError, AttributeError):
            return TypeError(f"{struct_name}.{name} holds numbers, got {type(values[name]).__name__}")
    return ValueError(f"{struct_name}: cannot hold {values}")


def unpack(struct_name: str, data: bytes) -> dict[str, object]:
    """Inverse of pack, without the tail: {field: int, float or tuple}. For printing and tests."""
    dtype = structs()[struct_name]
    record = np.frombuffer(data, dtype, count=1)[0]
    return {n: tuple(record[n].tolist()) if dtype[n].shape else record[n].item() for n in dtype.names or ()}
