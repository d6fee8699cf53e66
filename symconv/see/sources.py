"""The code that the compiler writes: fused element-wise programs, CUDA texts, the persistent kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symconv.graph import Apply, Constant
from symconv.ops.elementwise_base import Elementwise
from symconv.ops.elementwise_kernel import program_of
from symconv.ops.fused import FusedElementwise
from symconv.plan.plan import Plan, Step, steps_of
from symconv.plan.select import select

INFIX = {"add": "+", "sub": "-", "mul": "*", "true_div": "/", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}


@dataclass(frozen=True, slots=True)
class Source:
    """A text and what it is of. step: its label, '' for the plan as a whole."""

    step: str
    title: str
    note: str
    text: str


def loop_text(node: Apply) -> str:
    """An element-wise node as the loop that it is: one assignment an instruction, i over all elements."""
    program, outputs = program_of(node)
    names = []
    for k, v in enumerate(node.inputs):
        if isinstance(v, Constant) and v.data.size == 1:
            names.append(repr(v.data.item()))
        else:
            names.append(f"x{k}[i]" if v.type.shape == node.out.type.shape else f"x{k}[..i]")
    lines = [f"// x{k} = {v} {v.type}" for k, v in enumerate(node.inputs) if "[" in names[k]]
    lines.append(f"for (i = 0; i < {node.out.type.size}; i++) {{")
    for r, (op, args) in enumerate(program):
        operands = [names[a] for a in args]
        sign = INFIX.get(op.name)
        right = (
            f" {sign} ".join(operands) if sign and len(operands) == 2 else f"{op.name}({', '.join(operands)})"
        )
        if r in outputs:
            name = f"y{outputs.index(r)}[i]"
            lines.append(f"  {name} = {right};")
        else:
            name = f"r{r}"
            lines.append(f"  {name} = {right};")
        names.append(name)
    return "\n".join([*lines, "}"])


def sources(plan: Plan, program: Any = None, choice: Any = None) -> list[Source]:
    """All generated texts of a plan; equal ones once, at the first step that has them.

    program, choice: those of a GPU's executable, whose persistent kernel is a text of its own.
    """
    found: dict[str, Source] = {}
    for inside in steps_of(plan):
        for source in _of_step(inside.label, inside.step):
            found.setdefault(source.text, source)
    result = list(found.values())
    if choice is not None and choice.name == "persistent":
        from symconv.backends.gpu.persistent import persistent_source

        text = persistent_source(program, choice.phases)[0].code
        result.append(
            Source("", "whole_plan", "the persistent kernel: all steps, a barrier after each phase", text)
        )
    return result


def _of_step(number: str, step: Step) -> list[Source]:
    node = step.node
    title = f"step {number}: {node.op.name}, {node.origin}"
    texts = []
    if isinstance(node.op, FusedElementwise) or (
        isinstance(node.op, Elementwise) and step.kernel is not None
    ):
        note = "the fused loop: what the element-wise kernel runs, block by block"
        texts.append(Source(number, title, note, loop_text(node)))
        if not step.launch.code:
            twin = select(node, "cuda").kernel
            code = twin.launch(node).code if twin is not None else ""
            if code:
                texts.append(Source(number, title, "CUDA: the text for the same step on a GPU", code))
    launch = step.launch
    while launch is not None:
        if launch.code:
            texts.append(Source(number, title, f"the source of {launch.entry or title}", launch.code))
        launch = launch.then  # type: ignore[assignment]
    return texts
