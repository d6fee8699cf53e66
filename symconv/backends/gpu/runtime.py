"""What the executor of GPU plans needs of a device: memory, kernels, launches. Two devices have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

THREADS = 256  # of every block: THREADS of kernels/common.cuh
FAULT = np.dtype(
    [("found", "i4"), ("step", "i4"), ("index", "i8"), ("at", "i8"), ("limit", "i8")]
)  # Fault of kernels/common.cuh


@dataclass(frozen=True, slots=True)
class Source:
    """One translation unit: a file of kernels/, or generated text (`code`) that includes such files."""

    file: str = ""
    code: str = ""
    defines: tuple[tuple[str, int], ...] = ()

    def text(self) -> str:
        """The text for a compiler; faults in generated code are reported by its own lines."""
        return f'#line 1 "generated.cu"\n{self.code}' if self.code else f'#include "{self.file}"\n'


@dataclass(frozen=True, slots=True)
class Array:
    """A piece of device memory. With `word`, `address` is that of the word that holds the address."""

    address: int
    nbytes: int
    word: bool = False


class Memory(Protocol):
    """An allocation; it is freed with the object."""

    address: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """One launch of a plan: which kernel, on what, how large."""

    source: Source
    entry: str
    params: bytes
    tail: bool  # the params stand in device memory, with their tail
    args: tuple[Array, ...]
    tiles: int
    shared: int
    step: int


class Runtime(Protocol):
    device: str

    def allocate(self, nbytes: int, what: str) -> Memory:
        """Raises MemoryLimitError, naming `what` and its size."""
        ...

    def upload(self, address: int, array: np.ndarray) -> None: ...

    def download(self, address: int, array: np.ndarray) -> None:
        """Waits for all launches before it."""
        ...

    def prepare(self, works: Sequence[Work], fault: int) -> Any:
        """Compile what `works` need; the result goes to `launch`."""
        ...

    def launch(self, prepared: Any) -> None:
        """Run all works of one step, in order."""
        ...
