"""Compiled kernels on disk, by the hash of all that goes into them; safe with several processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from symconv.config import config
from symconv.errors import OutputError


def digest(parts: Iterable[str | bytes]) -> str:
    """A name for what is made of `parts`."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little") + data)
    return h.hexdigest()[:32]


_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


@cache
def _file(name: str, folders: tuple[Path, ...]) -> tuple[str, list[str]]:
    """The text of a file, and the names that it includes."""
    path = next((f / name for f in folders if (f / name).is_file()), None)
    text = path.read_text() if path else ""
    return text, _INCLUDE.findall(text)


def included(text: str, *folders: Path) -> str:
    """All that `text` includes from these folders, and what that includes."""
    found: dict[str, str] = {}
    pending = _INCLUDE.findall(text)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name], includes = _file(name, folders)
            pending += includes
    return "\n".join(found[name] for name in sorted(found))


def cached(key: str, suffix: str, make: Callable[[Path], None]) -> Path:
    """The file KEY+SUFFIX of the kernel cache; `make(path)` writes it where it is missing.

    It is written under another name and then renamed: whoever finds the file finds all of it, and of two
    processes that make it at once the last one wins, with the same contents. Raises OutputError if the
    directory cannot be written.
    """
    folder = config.cache_dir / "kernels"
    path = folder / f"{key}{suffix}"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=key, suffix=f".part{suffix}")
    except OSError as error:
        raise OutputError(
            f"the kernel cache {folder} cannot be written: {error}\n  hint: set config.cache_dir"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        make(temporary)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path
