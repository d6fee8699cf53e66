"""Files that are written whole or not at all, and optional packages that are asked for by name."""

from __future__ import annotations

import importlib
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from symconv.errors import MissingExtraError, OutputError

Pathlike = str | os.PathLike[str]

# What numpy.load raises for a damaged .npz, by which of its layers meets the damage.
NPZ_FAULTS = (
    *(OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error),
    *(ValueError, KeyError, TypeError, AttributeError, SyntaxError, RuntimeError),
)


@contextmanager
def atomic_path(path: Pathlike) -> Iterator[Path]:
    """A new, empty file beside `path` to write to; it replaces `path` when the block ends without an error.

    After an error, Ctrl-C included, the new file is removed and what stood at `path` is as it was.
    Raises OutputError where the directory or the file cannot be written.
    """
    # Through a symbolic link, the file it points at is replaced and the link stays.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(6)}.tmp{target.suffix}")
    if target.is_dir():
        raise OutputError(f"cannot write {path}: it is a directory")
    try:
        # Opened here rather than with tempfile, whose files are readable by their owner alone.
        temporary.open("xb").close()
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError("the file is write-protected")
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OutputError:
        raise
    except OSError as why:
        raise OutputError(f"cannot write {path}: {reason(why)}{output_hint(target)}") from why
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def locked(path: Pathlike, *, wait: bool = True) -> Iterator[None]:
    """Of all processes that ask, this one alone works on `path` until the block ends or the process does.

    The lock is a hidden file beside `path`, which stays; where the system has no flock (Windows), nothing is
    locked. Raises OutputError where the lock cannot be made, and, without `wait`, where another holds it.
    """
    target = Path(path)
    lock = target.with_name(f".{target.name}.lock")
    try:
        handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as why:
        raise OutputError(f"cannot write {path}: {reason(why)}{output_hint(target)}") from why
    try:
        with suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as why:
                raise OutputError(f"{path} is being worked on by another process") from why
        yield
    finally:
        os.close(handle)


def reason(why: OSError) -> str:
    """The system's words for an OSError, without errno and without the temporary file's name."""
    return why.strerror or str(why) or type(why).__name__


def output_hint(target: Path) -> str:
    parent = target.parent
    if not parent.exists():
        return f"\n  hint: the directory {parent} does not exist; make it first"
    if not parent.is_dir():
        return f"\n  hint: {parent} is not a directory"
    if not os.access(parent, os.W_OK):
        return f"\n  hint: you may not write into {parent}"
    return ""


def import_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """The optional package `module`, or MissingExtraError naming the extra of symconv that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as why:
        raise MissingExtraError(
            f'{purpose} needs the package {module.split(".")[0]}: pip install "symconv[{extra}]"'
            f"\n  {type(why).__name__}: {why}"
        ) from why
