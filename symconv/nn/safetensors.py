"""Tensors of a safetensors file, read with NumPy alone.

A file is the header's length (8 bytes, little-endian), the header, and the values. The header is a JSON
object {name: {"dtype", "shape", "data_offsets": [begin, end]}} in which "__metadata__" may hold strings by
name; offsets count from the end of the header, and the tensors fill the rest of the file without a gap or an
overlap. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

DTYPES = {
    **{"BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4"},
    **{"U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
}
MOST_HEADER = 100_000_000  # bytes, as in the reference implementation


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors by name, the strings of "__metadata__").

    Raises OSError for a file that cannot be read, ValueError for one that is not whole and sound, or that
    holds a dtype which NumPy lacks (bfloat16, float8).
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > MOST_HEADER:
            raise ValueError("its first 8 bytes are not the length of a header")
        text = file.read(length)
        if len(text) < length:
            raise ValueError(f"the header of {length} bytes ends after {len(text)}")
        header = parse(text)
        values = file.read()
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("__metadata__ does not hold strings by name")
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: place(*item)):
        tensors[name] = tensor(name, entry, values, end)
        end += tensors[name].nbytes
    if end != len(values):
        raise ValueError(f"the tensors have {end} bytes, the file holds {len(values)}")
    return tensors, metadata


def parse(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands twice in the header")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError as why:
        raise ValueError("the header is nested too deeply") from why
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return header


def place(name: str, entry: Any) -> tuple[int, int]:
    """The tensor's offsets; ValueError unless the entry has the form that the format asks for."""
    if isinstance(entry, dict):
        offsets = entry.get("data_offsets")
        if is_sizes(offsets) and len(offsets) == 2 and is_sizes(entry.get("shape")):
            return offsets[0], offsets[1]
    raise ValueError(f"tensor {name!r}: needs dtype, shape and data_offsets, has {str(entry)[:80]}")


def is_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def tensor(name: str, entry: dict[str, Any], values: bytes, begin: int) -> np.ndarray:
    """The tensor whose values must begin at `begin`."""
    dtype, shape, offsets = entry.get("dtype"), entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {name!r}: dtype {dtype} is not one of {', '.join(DTYPES)}")
    count = math.prod(shape)
    end = begin + count * np.dtype(DTYPES[dtype]).itemsize
    if offsets != [begin, end] or end > len(values):
        raise ValueError(
            f"tensor {name!r}: {dtype}{shape} should lie at {[begin, end]} of {len(values)} bytes, not at "
            f"{offsets}"
        )
    if dtype == "BOOL" and not set(values[begin:end]) <= {0, 1}:
        raise ValueError(f"tensor {name!r}: a byte is neither 0 nor 1")
    # A copy: what is read may be changed, as with the values of .npz.
    return np.frombuffer(values, DTYPES[dtype], count, begin).reshape(shape).copy()
