"""explain(): a Plan as text - what runs, on which kernel, in which memory, and what was refused."""

from __future__ import annotations

from collections import Counter

from symconv.plan.plan import Buffer, Plan, Step
from symconv.plan.select import FROM
from symconv.rewrite.driver import Refused, applications


def place(plan: Plan, number: int) -> str:
    """Where buffer `number` lies, in a few characters."""
    b: Buffer = plan.buffers[number]
    if b.kind == "arena":
        return f"arena+{b.offset}"
    if b.kind == "view":
        start = f"+[{place(plan, b.start)}]*{b.stride}" if b.start >= 0 else ""
        return f"{place(plan, b.base)}+{b.offset}{start}"
    if b.kind == "constant":
        return b.label if b.type.size <= 4 else f"constant {b.type}"
    return f"{b.kind}{b.slot}"


def explain_step(plan: Plan, number: int, step: Step) -> str:
    name = step.kernel.name if step.kernel is not None else step.kind.upper()
    outs = ", ".join(f"{plan.buffers[o].type}@{place(plan, o)}" for o in step.outputs)
    ins = ", ".join(place(plan, i) for i in step.inputs if plan.buffers[i].kind != "constant")
    line = f"{number:4d}  {name:<24} {step.node.op.name:<20} {outs} <- {ins}   {step.node.origin}"
    if step.kernel is not None and step.kernel.origin:
        line += f"   kernel from {step.kernel.origin}"
    told = [r for r in step.refusals if step.kind == "reference" or FROM in r[0]]  # those of users always
    line += "".join(f"\n        refused by {kernel}: {why}" for kernel, why in told)
    if step.loop is not None:
        inner = explain_plan(step.loop.plan).split("\n")
        line += "".join(f"\n        {text}" for text in [f"{step.loop.n} times this {inner[0]}", *inner[1:]])
    return line


def operands_of(plan: Plan, number: int) -> str:
    """Step `number` with its kernel and operands in one line, for errors at run time."""
    step = plan.steps[number]
    what = {"kernel": f"kernel {step.kernel.name}" if step.kernel else "", "reference": "the NumPy reference"}
    sides = (
        ", ".join(f"{plan.buffers[b].type} {plan.buffers[b].label or place(plan, b)}" for b in side)
        for side in (step.inputs, step.outputs)
    )
    return f"step {number} of {len(plan.steps)}, {what.get(step.kind, step.kind)}: {' -> '.join(sides)}"


def explain_largest(plan: Plan) -> str:
    """The three largest intermediate values, a line each, for errors about memory."""
    largest = sorted((b for b in plan.buffers if b.kind == "arena"), key=lambda b: -b.type.nbytes)[:3]
    return "".join(f"\n  {b.type} {b.type.nbytes:,} bytes: {b.label}" for b in largest)


def explain_rewrites(plan: Plan) -> str:
    """What each pass applied: the rules with their counts, and every application with its line."""
    lines = []
    for name, trace in plan.passes:
        counts = Counter(a.rule for a in applications(trace))
        summary = ", ".join(f"{rule} x{n}" if n > 1 else rule for rule, n in counts.items())
        lines.append(f"{name}: {summary or 'nothing'}")
        for a in trace:
            head, sign = (" left alone", "because") if isinstance(a, Refused) else ("", "->")
            lines.append(f"    {a.rule}{head}: {a.before}\n        {sign} {a.after}   {a.origin}")
    return "\n".join(lines)


def explain_plan(plan: Plan) -> str:
    """The whole plan as text."""
    kernels = sum(s.kind in ("kernel", "loop") for s in plan.steps)
    fallbacks = sum(s.kind == "reference" for s in plan.steps)
    head = (
        f"plan for {plan.device}: {kernels} kernels, {fallbacks} reference steps, "
        f"arena {plan.arena_bytes:,} bytes, {plan.flops:,} FLOPs"
    )
    lines = [explain_step(plan, i, s) for i, s in enumerate(plan.steps)]
    return "\n".join([head, *lines])
