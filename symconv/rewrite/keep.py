"""Nodes that a user's kernel accepts stay as they are: no rule sees through them, no fusion takes them in.

While the passes run such a node's op is wrapped in `Kept`, which no rule knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply, Op, TensorType, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.kernel import View
from symconv.graph.registry import keeps, registered_kernels
from symconv.rewrite.driver import Applied, Trace


@dataclass(frozen=True)
class Kept(Op):
    """`op`, unknown to every rule."""

    op: Op
    name = "kept"

    def label(self) -> str:
        return self.op.label()

    def infer(self, *inputs: Any, **_: Any) -> TensorType | tuple[TensorType, ...]:
        return self.op.infer(*inputs)

    def reference(self, *arrays: Any, **_: Any) -> np.ndarray | tuple[np.ndarray, ...]:
        return self.op.reference(*arrays)

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        return self.op.shape_operands(n_inputs)

    def view(self, node: Apply) -> View | None:
        return self.op.view(node)


def seal(graph: FunctionGraph, device: str, trace: Trace) -> FunctionGraph:
    """The graph with those nodes wrapped that a registered kernel of `device` accepts; itself without any."""
    device = "cuda" if device == "emulated" else device
    if not any(registered_kernels(op) for op in {type(node.op) for node in graph.nodes()}):
        return graph
    kept = {node: kernel for node in graph.nodes() if (kernel := keeps(node, device)) is not None}
    if not kept:
        return graph
    for node, kernel in kept.items():
        trace.append(Applied(f"kept for {kernel.name}", repr(node), repr(node), node.origin))

    def make(node: Apply, inputs: tuple[Variable, ...]) -> Sequence[Variable]:
        return (Kept(node.op) if node in kept else node.op).make(*inputs).outputs

    return graph.rebuild({}, make)


def unseal(graph: FunctionGraph) -> FunctionGraph:
    """The graph with the ops themselves again."""

    def make(node: Apply, inputs: tuple[Variable, ...]) -> Sequence[Variable]:
        return (node.op.op if isinstance(node.op, Kept) else node.op).make(*inputs).outputs

    return graph.rebuild({}, make)
