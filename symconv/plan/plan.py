"""The Plan: plain data, all that an executor needs to run a function on inputs of fixed shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Kernel, Launch, TensorType


@dataclass(frozen=True, slots=True)
class Buffer:
    """A place for one tensor.

    kind 'input', 'state' or 'output': outside memory number `slot`; 'constant': `data`;
    'arena': `offset` bytes into the arena; 'view': `offset` bytes into buffer `base`, plus, where
    `start` >= 0, the int64 scalar in buffer `start` times `stride` bytes.
    """

    type: TensorType
    kind: str
    slot: int = -1
    offset: int = 0
    base: int = -1
    start: int = -1
    stride: int = 0
    data: np.ndarray | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer of a loop's step lies in iteration t: offset + t * stride bytes into an array.

    kind 'in' or 'out': input or output `index` of the loop; 'stop': the word that ends the loop.
    """

    kind: str
    index: int
    offset: int = 0
    stride: int = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """A plan that runs n times within a step of another.

    places: per input, state and output among the buffers of `plan`, in their order. copies: (input, output,
    bytes) before the first iteration. cleared: outputs that start as zeros. count: the output that gets the
    number of iterations, or -1.
    """

    plan: Plan
    n: int
    places: tuple[Place, ...]
    copies: tuple[tuple[int, int, int], ...]
    cleared: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel on its buffers.

    kind 'kernel'; 'loop' runs the plan of one step many times; 'reference' runs the op's NumPy reference,
    `refusals` say why; 'view' computes the address of a view whose start is known only at run time.
    """

    kind: str
    node: Apply
    kernel: Kernel | None
    refusals: tuple[tuple[str, str], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    launch: Launch
    loop: Loop | None = None

    @property
    def label(self) -> str:
        return f"{self.node.op.name} from {self.node.origin}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order over `buffers`; inputs, states and outputs are those buffers by number."""

    device: str
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    arena_bytes: int
    inputs: tuple[int, ...]
    states: tuple[int, ...]
    outputs: tuple[int, ...]
    passes: tuple[tuple[str, tuple[Any, ...]], ...] = ()  # what each rewriting pass applied

    @property
    def flops(self) -> int:
        return sum(s.node.op.flops(s.node) for s in self.steps)


@dataclass(frozen=True, slots=True)
class InPlan:
    """A step of a plan, or of a loop in it: '3.1' is step 1 of the loop at step 3, done `times` times."""

    label: str
    step: Step
    times: int

    @property
    def flops(self) -> int:
        """Of all times together; a loop's are those of its steps."""
        return 0 if self.step.loop is not None else self.times * self.step.node.op.flops(self.step.node)


def steps_of(plan: Plan, within: str = "", times: int = 1) -> Iterator[InPlan]:
    """Every step, a loop's steps behind it."""
    for number, step in enumerate(plan.steps):
        label = f"{within}{number}"
        yield InPlan(label, step, times)
        if step.loop is not None:
            yield from steps_of(step.loop.plan, f"{label}.", times * step.loop.n)
