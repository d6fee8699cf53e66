"""What the executor of GPU plans needs of a device: memory, kernels, launches. Two devices have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from symconv.plan.gpu import Source

THREADS = 256  # of every block, and the most arrays: THREADS and MAX_ARGS of kernels/common.cuh
MAX_ARGS = 40
FAULT = np.dtype(
    [("found", "i4"), ("step", "i4"), ("index", "i8"), ("at", "i8"), ("limit", "i8")]
)  # Fault of kernels/common.cuh


@dataclass(frozen=True, slots=True)
class Array:
    """A piece of device memory. With `word`, `address` is that of the word that holds the address.

    dtype: of its elements, where that is known; the emulator holds users' kernels to it.
    """

    address: int
    nbytes: int
    word: bool = False
    dtype: str = ""

    @property
    def slot(self) -> int:
        """What stands in Args: the address, or that of the word, negated (bytes may lie at odd addresses)."""
        return -self.address if self.word else self.address


class Memory(Protocol):
    """An allocation; it is freed with the object."""

    address: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """One launch: which kernel, on what, how large.

    tail: the params stand in device memory, with their tail. grid: all blocks run at once and may meet at
    barriers of the grid. blocks: where they are fewer than the tiles. wanted_by: for the message if the
    kernel does not compile. threads: of a block, on the emulator only (a CPU kernel under test has one).
    """

    source: Source
    entry: str
    params: bytes
    args: tuple[Array, ...]
    tiles: int
    tail: bool = False
    shared: int = 0
    step: int = -1
    grid: bool = False
    blocks: int = 0
    wanted_by: str = ""
    threads: int = THREADS

    @property
    def place(self) -> str:
        """The step of the plan, and how large the launch is, for error messages."""
        step = f"step {self.step}, {self.wanted_by}: " if self.step >= 0 else ""
        blocks = self.blocks or self.tiles
        return f"{step}{self.entry}, {blocks} blocks of {self.threads} threads, {self.shared} bytes shared"


class Stopwatch(Protocol):
    """Launches in order, each of them timed."""

    def run(self) -> None: ...

    def elapsed_ns(self) -> Sequence[float]:
        """Per launch of the last run; waits for its end."""
        ...


class Runtime(Protocol):
    device: str

    @property
    def grid_blocks(self) -> int:
        """Blocks of a launch that meets at barriers of the grid."""
        ...

    def allocate(self, nbytes: int, what: str) -> Memory:
        """Raises MemoryLimitError, naming `what` and its size."""
        ...

    def upload(self, address: int, array: np.ndarray) -> None: ...

    def download(self, address: int, array: np.ndarray) -> None:
        """Waits for all launches before it."""
        ...

    def args_row(self, args: Sequence[Array], fault: int, step: int) -> bytes:
        """The struct Args of kernels/common.cuh, or what plan.cuh makes one of."""
        ...

    def prepare(self, works: Sequence[Work], fault: int) -> Callable[[], None]:
        """Compile what `works` need; the result launches them all, in order."""
        ...

    def stopwatch(self, works: Sequence[Work], fault: int) -> Stopwatch:
        """As prepare, with a clock around every launch."""
        ...

    def capture(self, launch: Callable[[], None]) -> Callable[[], None]:
        """One call that does what `launch` does, as a graph where the device has graphs."""
        ...

    def follow_caller(self) -> None:
        """Later work waits for what the caller's current stream has been given so far."""
        ...

    def lead_caller(self) -> None:
        """Later work of the caller's current stream waits for ours."""
        ...

    def wait(self) -> None:
        """Until all launches are done. Raises what went wrong in them."""
        ...
