"""When the values of a plan's arena are alive."""

from __future__ import annotations

from dataclasses import dataclass

from symconv.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Buffer `buffer` is written at step `first` and read last at step `last`, both included."""

    buffer: int
    first: int
    last: int


def lifetimes(plan: Plan) -> list[Lifetime]:
    """One for every value in the arena, as they are written. A view keeps its base alive."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}

    def base(number: int) -> int:
        while plan.buffers[number].kind == "view":
            number = plan.buffers[number].base
        return number

    for t, step in enumerate(plan.steps):
        for number in (*step.inputs, *step.outputs):
            last[base(number)] = t
        for number in step.outputs:
            first.setdefault(number, t)
    return [Lifetime(b, t, last[b]) for b, t in first.items() if plan.buffers[b].kind == "arena"]


def live_bytes(plan: Plan) -> list[int]:
    """Bytes of the arena that hold a value which is still needed, during each step.

    Values that share memory because one is written over the other count once.
    """
    result = []
    alive = lifetimes(plan)
    for t in range(len(plan.steps)):
        spans = sorted(
            (
                plan.buffers[x.buffer].offset,
                plan.buffers[x.buffer].offset + plan.buffers[x.buffer].type.nbytes,
            )
            for x in alive
            if x.first <= t <= x.last
        )
        total, end = 0, 0
        for start, stop in spans:
            total += max(0, stop - max(start, end))
            end = max(end, stop)
        result.append(total)
    return result
