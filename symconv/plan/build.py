"""Planning: kernels, order, in-place writes, and a place in memory for every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.graph import Apply, Constant, Launch, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.loops.op import Scan
from symconv.plan.copy import Copy
from symconv.plan.loop import plan_loop
from symconv.plan.memory import Arena
from symconv.plan.plan import Buffer, Plan, Step
from symconv.plan.schedule import Roots, order_steps
from symconv.plan.select import Choice, select

SPARE_BYTES = 256 << 20  # of values that a plan for a GPU may keep apart


def build_plan(
    graph: FunctionGraph,
    device: str,
    available: frozenset[str] | None = None,
    passes: Sequence[tuple[str, Sequence[Any]]] = (),
) -> Plan:
    """The Plan of a rewritten graph with concrete shapes on `device`."""
    return _Planner(graph, device, available).plan(tuple((name, tuple(trace)) for name, trace in passes))


class _Planner:
    def __init__(self, graph: FunctionGraph, device: str, available: frozenset[str] | None) -> None:
        self.graph = graph
        self.device = device
        self.available = available
        self.roots = Roots(graph.nodes())
        self.choices: dict[Apply, Choice] = {}
        self.destinations: dict[Variable, tuple[str, int]] = {}  # values computed in their final place
        self.buffers: list[Buffer] = []
        self.number: dict[Variable, int] = {}
        # On a GPU memory that is used twice orders launches that could run at once.
        values = sum(o.type.nbytes for node in graph.nodes() for o in node.outputs)
        self.reuse = device not in ("cuda", "emulated") or values > SPARE_BYTES

    def plan(self, passes: tuple[tuple[str, tuple[Any, ...]], ...]) -> Plan:
        order = self._order()
        last_use = self._last_uses(order)
        leaves = [*self.graph.inputs, *self.graph.states]
        for kind, group in (("input", self.graph.inputs), ("state", self.graph.states)):
            for slot, v in enumerate(group):
                self._add(v, Buffer(v.type, kind, slot=slot, label=str(v)))
        outputs: list[int] = [-1] * len(self.graph.outputs)
        arena = Arena()
        offsets: dict[Variable, int] = {}
        leaving: dict[int, list[Variable]] = {}  # arena values by the step after which they die
        steps: list[Step] = []
        for t, node in enumerate(order):
            inputs = tuple(self._input(v) for v in node.inputs)
            view = node.op.view(node)
            if view is not None:
                start = -1 if view.start is None else inputs[view.start]
                constant_start = None if view.start is None else node.inputs[view.start]
                offset = view.offset
                if isinstance(constant_start, Constant):
                    offset, start = offset + int(constant_start.data) * view.stride, -1
                v = node.out
                self._add(
                    v,
                    Buffer(
                        v.type,
                        "view",
                        offset=offset,
                        base=inputs[0],
                        start=start,
                        stride=view.stride if start >= 0 else 0,
                        label=node.origin,
                    ),
                )
                if start >= 0:
                    steps.append(Step("view", node, None, (), inputs, (self.number[v],), Launch()))
                continue
            reused = self._reusable(node, t, last_use, offsets)
            for k, out in enumerate(node.outputs):
                place = self.destinations.get(out)
                if place is not None:
                    kind, slot = place
                    number = self._add(out, Buffer(out.type, kind, slot=slot, label=str(out)))
                    if kind == "output":
                        outputs[slot] = number
                    continue
                donor = reused.get(k)
                if donor is not None:
                    offsets[out] = offsets[donor]
                else:
                    offsets[out] = arena.allocate(out.type.nbytes)
                leaving.setdefault(max(last_use.get(out, t), t), []).append(out)
                self._add(out, Buffer(out.type, "arena", offset=offsets[out], label=str(out)))
            for v in leaving.pop(t, ()):
                if self.reuse and v not in reused.values():
                    arena.release(offsets[v], v.type.nbytes)
            choice = self.choices[node]
            launch = choice.kernel.launch(node) if choice.kernel is not None else Launch()
            numbers = tuple(self.number[o] for o in node.outputs)
            kind = "reference" if choice.kernel is None else "kernel"
            loop = None
            if isinstance(node.op, Scan) and choice.kernel is not None:
                kind, loop = "loop", plan_loop(node, build_plan(node.op.graph(), self.device, self.available))
            steps.append(Step(kind, node, choice.kernel, choice.refusals, inputs, numbers, launch, loop))
        return Plan(
            self.device,
            tuple(self.buffers),
            tuple(steps),
            arena.peak,
            tuple(self.number[v] for v in leaves[: len(self.graph.inputs)]),
            tuple(self.number[v] for v in leaves[len(self.graph.inputs) :]),
            tuple(outputs),
            passes,
        )

    def _add(self, v: Variable, buffer: Buffer) -> int:
        self.number[v] = len(self.buffers)
        self.buffers.append(buffer)
        return self.number[v]

    def _input(self, v: Variable) -> int:
        if v not in self.number:
            assert isinstance(v, Constant), f"unplanned leaf {v!r}"
            self._add(v, Buffer(v.type, "constant", data=v.data, label=str(v)))
        return self.number[v]

    def _order(self) -> list[Apply]:
        """Decide where outputs and new states are written, then order the nodes accordingly."""
        deferred: set[int] = set()  # states written by a copy after everything else
        while True:
            nodes, writers, tail = self._destine(deferred)
            order, cyclic = order_steps(nodes, writers, self.roots)
            if not cyclic:
                return order + tail
            index = {s: i for i, s in enumerate(self.graph.states)}
            deferred |= {index[s] for s in cyclic}

    def _destine(self, deferred: set[int]) -> tuple[list[Apply], dict[Variable, Apply], list[Apply]]:
        graph = self.graph
        self.destinations = {}
        nodes = {node: None for node in graph.nodes()}
        tail: list[Apply] = []
        writers: dict[Variable, Apply] = {}
        for slot, v in enumerate(graph.outputs):
            if v.owner is None or self.roots.of(v) is not v or v in self.destinations:
                v = Copy(slot)(v)
                nodes.setdefault(v.owner)  # type: ignore[arg-type]
            self.destinations[v] = ("output", slot)
        for k, (i, v) in enumerate(graph.updates):
            state = graph.states[i]
            if v is state:
                continue
            if i in deferred:
                if v.owner is None or self.roots.of(v) is not v or v in self.destinations:
                    v = Copy(len(graph.outputs) + k)(v)  # the value of now, kept for the end
                    nodes.setdefault(v.owner)  # type: ignore[arg-type]
                v = Copy(-1 - k)(v)
                tail.append(v.owner)  # type: ignore[arg-type]
                self._choose(v.owner)  # type: ignore[arg-type]
            else:
                if not self._can_write(v, state):
                    v = Copy(len(graph.outputs) + k)(v)
                    nodes.setdefault(v.owner)  # type: ignore[arg-type]
                writers[state] = v.owner  # type: ignore[assignment]
            self.destinations[v] = ("state", i)
        for node in nodes:
            self._choose(node)
        return list(nodes), writers, tail

    def _choose(self, node: Apply) -> Choice:
        if node not in self.choices:
            self.choices[node] = select(node, self.device, self.available)
        return self.choices[node]

    def _can_write(self, v: Variable, state: Variable) -> bool:
        """True if the node that computes `v` may write it straight over the old value of `state`."""
        node = v.owner
        if node is None or self.roots.of(v) is not v or v in self.destinations:
            return False
        pairs = self._choose(node).inplace_pairs(node)
        return all(
            self.roots.of(x) is not state or (x is state and (v.index, k) in pairs)
            for k, x in enumerate(node.inputs)
        )

    def _last_uses(self, order: list[Apply]) -> dict[Variable, int]:
        last: dict[Variable, int] = {}
        for t, node in enumerate(order):
            for v in node.inputs:
                last[self.roots.of(v)] = t
        return last

    def _reusable(
        self, node: Apply, t: int, last_use: dict[Variable, int], offsets: dict[Variable, int]
    ) -> dict[int, Variable]:
        """Arena inputs that die here and whose memory an output may take over, by output."""
        found: dict[int, Variable] = {}
        taken: set[Variable] = set()
        for out, k in self.choices[node].inplace_pairs(node):
            v, o = node.inputs[k], node.outputs[out]
            dies = v in offsets and last_use.get(v) == t and node.inputs.count(v) == 1
            shares = sum(1 for x in node.inputs if self.roots.of(x) is v) == 1
            fits = o.type.nbytes == v.type.nbytes and o not in self.destinations
            if dies and shares and fits and out not in found and v not in taken:
                found[out] = v
                taken.add(v)
        return found
