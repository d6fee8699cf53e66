"""Weights in a file: safetensors (or .npz), written whole or not at all, checked in every byte when read."""

from __future__ import annotations

import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symconv.errors import OutputError, WeightsError
from symconv.files import NPZ_FAULTS, Pathlike, atomic_path, import_extra, reason
from symconv.nn import safetensors

FORMAT = 1
# The one metadata entry, a JSON object. With several, safetensors writes them in a random order, and equal
# weights would make different files.
KEY = "symconv"
MEND = "the file is damaged or was not finished: take another copy, or train again"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by name, the network's description (JSON values), the version of symconv that wrote them."""

    tensors: dict[str, np.ndarray]
    spec: Any = None
    version: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def save(
    path: Pathlike,
    tensors: Mapping[str, np.ndarray],
    *,
    spec: Any = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write tensors with the network's `spec` and further `metadata` (JSON values) to .safetensors or .npz.

    Equal arguments give equal bytes. Each tensor's CRC-32 is kept, for safetensors has no checksum. The old
    file stays until the new one is whole. Raises WeightsError for tensors or metadata that the format cannot
    hold, OutputError where the path cannot be written. Returns the path.
    """
    path = Path(path)
    arrays = {str(name): plain(path, name, tensor) for name, tensor in tensors.items()}
    # The package itself is the last to be imported and must not be imported from here; it is there by now.
    version = getattr(sys.modules["symconv"], "__version__", None)
    head = {
        "format": FORMAT,
        "version": version,
        "spec": spec,
        "metadata": dict(metadata or {}),
        "crc32": {name: fingerprint(array) for name, array in arrays.items()},
    }
    try:
        # Once through JSON, so that the checksum is of what a reader will see: lists, keys as strings.
        head = json.loads(json.dumps(head))
        text = json.dumps({**head, "head_crc32": head_fingerprint(head)}, sort_keys=True)
    except (TypeError, ValueError) as why:
        raise WeightsError(
            f"{path}: spec and metadata are JSON values (dicts with string keys, lists, "
            f"strings, numbers)\n  {why}"
        ) from why
    if path.suffix == ".npz":
        if KEY in arrays:
            raise WeightsError(f"{path}: a tensor may not be called {KEY!r}; rename it")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays, **{KEY: np.array(text)})  # type: ignore[arg-type]
        return path
    if path.suffix != ".safetensors":
        raise OutputError(f"cannot write {path}: a weights file's name ends in .safetensors or .npz")
    writer = import_extra("safetensors.numpy", "train", "saving weights")
    data = writer.save(arrays, {KEY: text})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return path


def load(path: Pathlike, *, expected: Mapping[str, Any] | None = None) -> Checkpoint:
    """Read a weights file, .safetensors or .npz (told by its contents), with or without symconv's metadata.

    `expected` maps each name to an array or a shape; a tensor that is missing, not expected or of another
    shape raises WeightsError with the file, and every such tensor with both shapes. So does a file that is
    missing, truncated, corrupt, or whose tensors do not match their checksums.
    """
    path = Path(path)
    try:
        zipped = zipfile.is_zipfile(path)
        size = path.stat().st_size
        if path.is_dir():
            raise WeightsError(f"{path}: a directory, not a weights file")
    except FileNotFoundError as why:
        raise WeightsError(f"{path}: no such weights file") from why
    except OSError as why:
        raise WeightsError(f"{path}: cannot be read: {reason(why)}") from why
    tensors, text = read_npz(path) if zipped or path.suffix == ".npz" else read_safetensors(path, size)
    head = parse_head(path, text)
    for name, crc in head["crc32"].items():
        if name not in tensors:
            raise corrupt(path, f"tensor {name!r} is gone")
        if fingerprint(tensors[name]) != crc:
            raise corrupt(path, f"tensor {name!r} does not match its checksum")
    if expected is not None:
        check_shapes(tensors, expected, str(path))
    return Checkpoint(tensors, head["spec"], head["version"], head["metadata"])


def fingerprint(array: np.ndarray) -> int:
    """CRC-32 of the values, the dtype and the shape: the same bytes read as integers must not pass."""
    return zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), zlib.crc32(array.tobytes()))


def head_fingerprint(head: Mapping[str, Any]) -> int:
    parts = [head[key] for key in ("format", "version", "spec", "metadata", "crc32")]
    return zlib.crc32(json.dumps(parts, sort_keys=True).encode())


def check_shapes(tensors: Mapping[str, np.ndarray], expected: Mapping[str, Any], source: str) -> None:
    """WeightsError unless `tensors` has the names and shapes of `expected` (arrays or shapes), no more."""
    lines = []
    for name, want in expected.items():
        shape = tuple(np.shape(want) if hasattr(want, "shape") else want)
        if name not in tensors:
            lines.append(f"{name}: expected {list(shape)}, not in the file")
        elif tensors[name].shape != shape:
            lines.append(f"{name}: expected {list(shape)}, found {list(tensors[name].shape)}")
    lines += [
        f"{name}: not expected, found {list(tensors[name].shape)}" for name in tensors if name not in expected
    ]
    if lines:
        raise WeightsError(
            "\n  ".join(
                [
                    f"{source}: made for another network",
                    *lines,
                    "hint: load it into the network it was saved from",
                ]
            )
        )


def plain(path: Path, name: object, tensor: object) -> np.ndarray:
    """A dense little-endian array of numbers, or WeightsError."""
    array = np.asarray(tensor)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise WeightsError(f"{path}: tensor {name!r} has dtype {array.dtype}; weights are numbers or bools")
    # ascontiguousarray would make a vector of a scalar.
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def read_safetensors(path: Path, size: int) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        tensors, metadata = safetensors.read(path)
    except OSError as why:
        raise WeightsError(f"{path}: cannot be read: {reason(why)}") from why
    except (ValueError, MemoryError) as why:
        raise corrupt(path, f"not a readable safetensors file of {size} bytes: {why}") from why
    return tensors, metadata.get(KEY)


def read_npz(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            tensors = {name: archive[name] for name in archive.files}
    except NPZ_FAULTS as why:
        raise corrupt(path, f"not a readable .npz file: {type(why).__name__}: {why}") from why
    head = tensors.pop(KEY, None)
    return tensors, None if head is None else str(head)


def parse_head(path: Path, text: str | None) -> dict[str, Any]:
    """symconv's own metadata, empty for a file that another program wrote."""
    head: dict[str, Any] = {"format": FORMAT, "version": None, "spec": None, "metadata": {}, "crc32": {}}
    if text is None:
        return head
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or not isinstance(found.get("crc32", {}), dict):
            raise ValueError("not an object")
    except ValueError as why:
        raise corrupt(path, f"its metadata is not JSON: {why}") from why
    head.update(found)
    if not isinstance(head["format"], int) or head["format"] > FORMAT:
        raise WeightsError(
            f"{path}: format {head['format']} of symconv {head['version']}, newer than "
            f"this one reads ({FORMAT})\n  hint: update symconv"
        )
    if head.get("head_crc32") != head_fingerprint(head):
        raise corrupt(path, "its metadata does not match its checksum")
    return head


def corrupt(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: {why}\n  mend     {MEND}")
