"""Is every value of a plan still there when it is read? A walk over the steps with the bytes they write."""

from __future__ import annotations

from symconv.errors import MemoryClaimError
from symconv.plan.explain import operands_of, place
from symconv.plan.plan import Plan

Region = tuple[object, int, int]  # memory, first byte, byte after the last


def _region(plan: Plan, number: int) -> Region:
    b = plan.buffers[number]
    memory: object = "arena" if b.kind == "arena" else (b.kind, number if b.kind == "constant" else b.slot)
    first = b.offset if b.kind == "arena" else 0
    return memory, first, first + b.type.nbytes


def _base(plan: Plan, number: int) -> int:
    while plan.buffers[number].kind == "view":
        number = plan.buffers[number].base
    return number


def _overlap(a: Region, b: Region) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def check_plan(plan: Plan) -> frozenset[int]:
    """The buffers that still hold their values when all steps are done.

    Raises MemoryClaimError where a step reads what another has overwritten, or overwrites its own operand. A
    kernel's claim to work in place is believed: whether it is true shows only when it runs.
    """
    alive: dict[int, Region] = {}
    for number, b in enumerate(plan.buffers):
        if b.kind in ("input", "constant"):
            alive[number] = _region(plan, number)
    for number in plan.states:
        alive[number] = _region(plan, number)
    taken: dict[int, int] = {}  # buffer -> the step that overwrote it
    for t, step in enumerate(plan.steps):
        reads = [_base(plan, i) for i in step.inputs]
        for i in reads:
            if i not in alive:
                raise MemoryClaimError(_lost(plan, t, i, taken.get(i)))
        if step.kind == "view":
            continue
        pairs = step.kernel.inplace_pairs(step.node) if step.kernel is not None else ()
        for k, out in enumerate(step.outputs):
            region = _region(plan, out)
            for other in [n for n, r in alive.items() if _overlap(region, r)]:
                inputs = [j for j, i in enumerate(reads) if i == other]
                claimed = alive[other] == region and all((k, j) in pairs for j in inputs)
                if inputs and step.kernel is not None and not claimed:
                    raise MemoryClaimError(
                        f"the plan writes output {k} over input {inputs[0]} at {place(plan, out)}, which the "
                        f"kernel does not claim to work on in place\n  {step.label}\n  {operands_of(plan, t)}"
                    )
                if other in step.outputs[:k]:
                    raise MemoryClaimError(
                        f"two outputs of a step lie on each other, at {place(plan, out)}\n  {step.label}\n"
                        f"  {operands_of(plan, t)}"
                    )
                del alive[other]
                taken[other] = t
            alive[out] = region
    for number in plan.outputs:
        if number not in alive:
            raise MemoryClaimError(_lost(plan, len(plan.steps) - 1, number, taken.get(number)))
    return frozenset(alive)


def _lost(plan: Plan, t: int, number: int, by: int | None) -> str:
    b = plan.buffers[number]
    text = f"the plan reads {b.type} {b.label or ''} at {place(plan, number)}, which "
    text += "nobody has written" if by is None else f"step {by} has overwritten ({plan.steps[by].label})"
    return f"{text}\n  {plan.steps[t].label}\n  {operands_of(plan, t)}"
