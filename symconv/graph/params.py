"""Packs kernel parameters: Python values -> the bytes of a struct of kernels/params.h.

The header is parsed once; it is the only definition of the structs. This module is plain data packing and
stands beside the graph because the ops' launch functions need it.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from pathlib import Path

import numpy as np

_TYPES = {"int": np.int32, "long long": np.int64, "float": np.float32, "double": np.float64}
_STRUCT = re.compile(r"struct\s+(\w+)\s*\{(.*?)\}\s*;", re.DOTALL)
_FIELD = re.compile(r"^(int|long\s+long|float|double)\s+(\w+)(?:\s*\[\s*(\d+)\s*\])?$")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def kernel_dir() -> Path:
    """Directory of the CUDA sources and params.h: symconv/kernels in a wheel, kernels/ in a checkout."""
    package = Path(str(files("symconv")))
    for candidate in (package / "kernels", package.parent / "kernels"):
        if (candidate / "params.h").is_file():
            return candidate
    raise FileNotFoundError(
        f"kernels/params.h is neither in {package} nor beside it: the installation is damaged"
    )


def parse_structs(text: str) -> dict[str, np.dtype]:
    """C text -> {struct name: aligned NumPy dtype}. ValueError on anything outside the allowed subset."""
    text = _COMMENT.sub("", text)
    structs: dict[str, np.dtype] = {}
    for name, body in _STRUCT.findall(text):
        if name in structs:
            raise ValueError(f"params.h: struct {name} is defined twice")
        fields: list[tuple] = []
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            match = _FIELD.match(declaration)
            if match is None:
                raise ValueError(
                    f"params.h: struct {name}: cannot read {declaration!r}; "
                    "fields are int, long long, float, double or fixed arrays of these, one per declaration"
                )
            ctype, field, length = match.groups()
            dtype = _TYPES[" ".join(ctype.split())]
            fields.append((field, dtype, (int(length),)) if length else (field, dtype))
        structs[name] = np.dtype(fields, align=True)
    rest = _STRUCT.sub("", text).replace("#pragma once", "").strip()
    if rest:
        raise ValueError(f"params.h: cannot read {rest[:80]!r}")
    return structs


@functools.cache
def structs() -> dict[str, np.dtype]:
    """The structs of kernels/params.h."""
    return parse_structs((kernel_dir() / "params.h").read_text())


@functools.cache
def _field_lengths(dtype: np.dtype) -> dict[str, int]:
    return {name: dtype[name].shape[0] if dtype[name].shape else 0 for name in dtype.names or ()}


def pack(struct: str, *, tail: bytes = b"", **values: object) -> bytes:
    """Bytes of one `struct` with all its fields given by name, followed by `tail`.

    A sequence shorter than an array field is filled up with zeros. Raises KeyError on an unknown struct,
    TypeError on an unknown or missing field, ValueError on a value that does not fit the field (too long,
    out of range, not a whole number).
    """
    known = structs()
    if struct not in known:
        raise KeyError(f"params.h has no struct {struct!r}; it has {', '.join(known)}")
    dtype = known[struct]
    lengths = _field_lengths(dtype)
    if values.keys() != lengths.keys():
        unknown, missing = sorted(values.keys() - lengths.keys()), sorted(lengths.keys() - values.keys())
        raise TypeError(
            f"{struct}: unknown fields {unknown}, missing fields {missing}; it has {list(lengths)}"
        )
    record = np.zeros((), dtype)
    for name, length in lengths.items():
        given = np.asarray(values[name])
        kind = dtype[name].base
        if kind.kind == "i" and given.size and given.dtype.kind not in "iub":
            raise ValueError(f"{struct}.{name} holds whole numbers, got {values[name]!r}")
        if given.ndim != (1 if length else 0) or given.size > max(length, 1):
            raise ValueError(f"{struct}.{name} holds {length or 'one'} value(s), got {values[name]!r}")
        if kind.kind == "i" and given.size:
            limits = np.iinfo(kind)
            if int(given.min()) < limits.min or int(given.max()) > limits.max:
                raise ValueError(f"{struct}.{name} is {kind.name}, got {values[name]!r}")
        if length:
            record[name][: given.size] = given
        else:
            record[name] = given
    return record.tobytes() + tail


def unpack(struct: str, data: bytes) -> dict[str, object]:
    """Inverse of pack, without the tail: {field: int, float or tuple}. For printing and tests."""
    dtype = structs()[struct]
    record = np.frombuffer(data, dtype, count=1)[0]
    return {n: tuple(record[n].tolist()) if dtype[n].shape else record[n].item() for n in dtype.names or ()}
