"""Is this the same result? Within rounding, and within what rounding does to an ill-conditioned expression.

|actual - desired| <= rtol (|desired| + rms(desired)), and where that fails: no more than the oracle's own
results move when its inputs move by a few roundings (a difference of equal numbers, the place of a maximum
among equals).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

SAMPLES = 16  # sets of moved inputs, at most
STEPS = 64.0  # epsilons by which inputs move: what Winograd's transforms make of one rounding
LARGE = 1 << 22  # elements of an input that stays as it is where others are smaller: a data set
GAIN = 4.0  # a result may be off by this many times what was seen


@dataclass
class Oracle:
    """The right results, and how far rounding of the inputs moves them.

    compute: from inputs to results, plain NumPy. bases: per result None, or an array such that the result is
    judged by how it differs from that (the new weight from the old). units: of the dtype's epsilon, that a
    result may be off in any case. jumps: a whole graph has places where rounding decides (the maximum among
    equals, the sign of nearly 0), at other elements in every sample; an element may then be off by what any
    element moved.
    """

    compute: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
    inputs: Sequence[np.ndarray]
    bases: Sequence[np.ndarray | None] = ()
    units: float = 64.0
    jumps: bool = False
    desired: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._samples: list[list[np.ndarray]] = []
        self.desired = [np.asarray(a) for a in self.compute(self.inputs)]
        self.finite = all(bool(np.isfinite(a).all()) for a in self.inputs if a.dtype.kind == "f")

    def mismatch(self, actual: Sequence[np.ndarray]) -> tuple[int, str] | None:
        """The first result that is not the desired one, with the number of bad elements and the worst."""
        for k, (a, d) in enumerate(zip(actual, self.desired)):
            a = np.asarray(a)
            if a.dtype != d.dtype or a.shape != d.shape:
                return k, f"{a.dtype}{list(a.shape)}, expected {d.dtype}{list(d.shape)}"
            bad = self._bad(k, a)
            for number in range(SAMPLES):
                if not bad.any():
                    break
                bad &= ~self._allowed(k, a, number)
            if bad.any():
                return k, _worst(a, d, bad)
        return None

    def _bad(self, k: int, a: np.ndarray) -> np.ndarray:
        d = self.desired[k]
        if d.dtype.kind != "f":
            return np.asarray(a != d)
        with np.errstate(all="ignore"):
            equal = (a == d) | (np.isnan(a) & np.isnan(d))
            if not self.finite:  # kernels may skip a zero beside an infinity, or spread one over a tile
                equal |= ~np.isfinite(a) | ~np.isfinite(d)
            error = np.abs(a.astype("float64") - d)
            return np.asarray(~(equal | (error <= self._tolerance(k))))

    def _tolerance(self, k: int) -> np.ndarray:
        d = self.desired[k].astype("float64")
        eps = float(np.finfo(self.desired[k].dtype).eps)
        base = self.bases[k] if k < len(self.bases) else None
        change = d if base is None else d - base
        return np.asarray(
            eps * (self.units * (np.abs(change) + _rms(change)) + (0 if base is None else 4 * np.abs(d)))
        )

    def _allowed(self, k: int, a: np.ndarray, number: int) -> np.ndarray:
        """Elements that are no further from the desired value than GAIN times those of a sample are."""
        d = self.desired[k]
        while len(self._samples) <= number:
            self._samples.append(self._sample())
        moved = self._samples[number][k]
        if d.dtype.kind != "f":
            return np.asarray(moved != d)
        with np.errstate(all="ignore"):
            moves = np.abs(moved.astype("float64") - d)
            if self.jumps and moves.size:
                moves = np.nanmax(moves, initial=0.0)
            reach = GAIN * moves + self._tolerance(k)
            return np.asarray(np.abs(a.astype("float64") - d) <= reach)

    def _sample(self) -> list[np.ndarray]:
        """The results where the float inputs are moved at random by STEPS of their epsilons."""
        moved = []
        floats = [a.size for a in self.inputs if a.dtype.kind == "f" and a.size]
        limit = max(LARGE, min(floats, default=0))
        for a in self.inputs:
            if a.dtype.kind != "f" or not a.size or a.size > limit:
                moved.append(a)
                continue
            size = STEPS * float(np.finfo(a.dtype).eps)
            noise = self._rng.uniform(-size, size, a.shape)
            moved.append(np.asarray(a + noise * (np.abs(a) + _rms(a)), a.dtype))
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(r) for r in self.compute(moved)]
        except Exception:  # moved out of what the op takes: such a sample allows nothing
            return self.desired


def differs(a: np.ndarray, b: np.ndarray) -> str:
    """How one array differs from another beyond rounding, in words; empty if it does not."""
    found = Oracle(lambda _: [b], ()).mismatch([a])
    return "" if found is None else found[1]


def _rms(a: np.ndarray) -> float:
    finite = a[np.isfinite(a)]
    return float(np.sqrt(np.mean(np.square(finite, dtype="float64")))) if finite.size else 0.0


def _worst(a: np.ndarray, d: np.ndarray, bad: np.ndarray) -> str:
    with np.errstate(all="ignore"):
        error = np.where(bad, np.nan_to_num(np.abs(a.astype("float64") - d), nan=np.inf), -1)
    at = np.unravel_index(int(np.argmax(error)), bad.shape)
    place = f" at {list(map(int, at))}" if bad.ndim else ""
    return f"{int(bad.sum())} of {bad.size} elements differ; worst{place}: {a[at]!s}, expected {d[at]!s}"
