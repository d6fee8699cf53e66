"""The arena: one block of memory in which every intermediate value gets a place while it lives."""

from __future__ import annotations

from bisect import bisect_left

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Arena:
    """Best-fit placement with coalescing of free ranges; `peak` is the size the arena must have."""

    def __init__(self) -> None:
        self.peak = 0
        self._free: list[tuple[int, int]] = []  # (offset, size), sorted, never adjacent

    def allocate(self, nbytes: int) -> int:
        size = _rounded(nbytes)
        best = -1
        for k, (_, room) in enumerate(self._free):
            if room >= size and (best < 0 or room < self._free[best][1]):
                best = k
        if best >= 0:
            offset, room = self._free[best]
            if room == size:
                del self._free[best]
            else:
                self._free[best] = (offset + size, room - size)
            return offset
        if self._free and sum(self._free[-1]) == self.peak:
            offset, _ = self._free.pop()  # grow the last free range
        else:
            offset = self.peak
        self.peak = offset + size
        return offset

    def release(self, offset: int, nbytes: int) -> None:
        start, end = offset, offset + _rounded(nbytes)
        k = bisect_left(self._free, (start, 0))
        if k < len(self._free) and self._free[k][0] == end:
            end += self._free.pop(k)[1]
        if k > 0 and sum(self._free[k - 1]) == start:
            k -= 1
            start = self._free.pop(k)[0]
        self._free.insert(k, (start, end - start))


def _rounded(nbytes: int) -> int:
    return max(ALIGNMENT, -(-nbytes // ALIGNMENT) * ALIGNMENT)
