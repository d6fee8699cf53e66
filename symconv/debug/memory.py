"""Arrays between two guards: what is written beside them, or read there, is noticed."""

from __future__ import annotations

import numpy as np

from symconv.graph import TensorType

MARGIN = 4096  # bytes of each guard
POISONS = (0xFF, 0x3F)  # as float32: NaN, and 0.75. Results must not depend on which it is


class Guarded:
    """One dense array of a type, 64-byte aligned, with a guard before and one behind it."""

    def __init__(self, type_: TensorType) -> None:
        nbytes = type_.nbytes
        self._raw = np.empty(nbytes + 2 * MARGIN + 64, np.uint8)
        first = -self._raw.ctypes.data % 64 + MARGIN
        self._before = self._raw[first - MARGIN : first]
        self._bytes = self._raw[first : first + nbytes]
        self._after = self._raw[first + nbytes : first + nbytes + MARGIN]
        self.array = self._bytes.view(type_.dtype).reshape(type_.dims)
        self._poison = POISONS[0]
        self.poison(POISONS[0])

    def poison(self, byte: int) -> None:
        self._poison = byte
        self._raw[...] = byte

    def fill(self, value: np.ndarray) -> None:
        self.array[...] = value

    def holds(self, value: np.ndarray) -> bool:
        """True if the array still is `value`, bit by bit."""
        return np.array_equal(self._bytes, _bytes_of(value))

    def damage(self) -> str:
        """What was written beside the array, in words; empty if nothing."""
        found = []
        for guard, where in ((self._before, "before"), (self._after, "behind")):
            at = np.flatnonzero(guard != self._poison)
            if at.size:
                near = int(MARGIN - at[-1]) if where == "before" else int(at[0]) + 1
                found.append(f"{at.size} bytes {where} it, the nearest {near} bytes away")
        return " and ".join(found)

    def unwritten(self) -> np.ndarray:
        """Which elements still hold the poison in all their bytes."""
        rows = self._bytes.reshape(-1, max(self.array.itemsize, 1))
        return np.asarray((rows == self._poison).all(axis=1).reshape(self.array.shape))


def _bytes_of(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a).reshape(-1).view(np.uint8)


def differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Elements whose bits differ."""
    rows = _bytes_of(a) != _bytes_of(b)
    return np.asarray(rows.reshape(-1, a.itemsize).any(axis=1).reshape(a.shape))


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(_bytes_of(a), _bytes_of(b))
