"""IDX, the file format of MNIST: two zero bytes, a dtype code, the rank, big-endian sizes, the values."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from symconv.errors import DataError
from symconv.files import Pathlike, reason

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MEND = "fetch the file again from where it came; a damaged file in the cache is replaced when it is deleted"
CHUNK = 1 << 22

# Deflate never packs more than 1032 bytes into one: a larger claim in the header is a lie, and is refused
# before the memory is taken.
MAX_RATIO = 1032


def read_idx(path: Pathlike) -> np.ndarray:
    """The array in an IDX file, gzipped or not (told by its first bytes, not by its name).

    Returns an array of native byte order with the file's dtype and shape. Raises DataError, naming the file,
    what was expected and what was found, for one that is missing, unreadable, corrupt, truncated or too long.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                return parse(path, raw, size)
            with gzip.open(raw) as stream:
                return parse(path, cast(BinaryIO, stream), size * MAX_RATIO)
    except FileNotFoundError as why:
        raise data_error(path, "no such file", mend="check the path and SYMCONV_DATA") from why
    except (gzip.BadGzipFile, zlib.error, EOFError) as why:
        raise data_error(
            path,
            "corrupt gzip file",
            "a gzip stream that ends with its checksum",
            f"{why} (file of {path.stat().st_size} bytes)",
            MEND,
        ) from why
    except OSError as why:
        raise data_error(path, f"cannot be read: {reason(why)}") from why


def parse(path: Path, stream: BinaryIO, most_bytes: int) -> np.ndarray:
    head = stream.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES:
        raise data_error(
            path,
            "not an IDX file",
            "magic number 00 00, a dtype code 08 to 0e, and the rank",
            head.hex(" ") or "an empty file",
            "pass an IDX file, gzipped or not, or " + MEND,
        )
    dtype, rank = np.dtype(DTYPES[head[2]]), head[3]
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise data_error(
            path,
            "truncated IDX header",
            f"{4 + 4 * rank} bytes for rank {rank}",
            f"{4 + len(sizes)} bytes",
            MEND,
        )
    shape = tuple(int.from_bytes(sizes[i : i + 4], "big") for i in range(0, 4 * rank, 4))
    header, wanted = 4 + 4 * rank, math.prod(shape) * dtype.itemsize
    extents = " x ".join(map(str, shape))
    expected = f"{header + wanted} bytes: {extents} of {dtype.name} and {header} of header"
    if header + wanted > most_bytes:
        raise data_error(path, "truncated IDX file", expected, f"at most {most_bytes}", MEND)
    data = bytearray()
    while len(data) < wanted and (chunk := stream.read(min(CHUNK, wanted - len(data)))):
        data += chunk
    if len(data) < wanted:
        raise data_error(path, "truncated IDX file", expected, f"{header + len(data)} bytes", MEND)
    # Reading on to the end also makes gzip compare its checksum.
    if stream.read(1):
        raise data_error(path, "IDX file with bytes after its end", expected, "more", MEND)
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def data_error(path: Pathlike, what: str, expected: str = "", found: str = "", mend: str = "") -> DataError:
    """The one shape of a message about a file: file and fault, expected, found, how to mend."""
    lines = [f"{path}: {what}"]
    lines += [
        f"  {key:<9}{text}"
        for key, text in (("expected", expected), ("found", found), ("mend", mend))
        if text
    ]
    return DataError("\n".join(lines))
