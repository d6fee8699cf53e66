"""Division by constants as the CUDA kernels do it (kernels/divide.cuh)."""

from __future__ import annotations

from collections.abc import Sequence

LIMIT = 2**31


def divider(n: int) -> tuple[int, int]:
    """(multiplier, shift) with i // n == (mulhi(i, multiplier) + i) >> shift for 0 <= i < 2^31.

    2^(32 + shift) / n, rounded up, without its leading 2^32 (Granlund and Montgomery, 1994).
    """
    shift = (n - 1).bit_length()
    return -(-(1 << (32 + shift)) // n) - (1 << 32), shift


def dividers(shape: Sequence[int]) -> tuple[list[int], list[int]]:
    """Multipliers, as signed numbers of 32 bits, and shifts for the dimensions of a shape.

    Shift -1 where its indices do not fit into 31 bits, and for an empty shape.
    """
    count = 1
    for n in shape:
        count *= n
    if not 0 < count < LIMIT:
        return [0] * len(shape), [-1] * len(shape)
    pairs = [divider(n) for n in shape]
    return [m - (1 << 32) if m >= LIMIT else m for m, _ in pairs], [s for _, s in pairs]
