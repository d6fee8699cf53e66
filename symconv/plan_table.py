"""The plans of one function: one for each combination of input shapes, made when it is first met."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symconv.backends.executable import Executable, compile_graph
from symconv.backends.growing import GrowingExecutable, split_growing
from symconv.backends.reference import evaluate
from symconv.config import config
from symconv.debug.mode import Mode
from symconv.declared import Updates
from symconv.errors import ShapeError
from symconv.graph import SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.traversal import leaves
from symconv.plan.guards import Evaluate, compile_guards
from symconv.plan.limits import check_memory
from symconv.rewrite.pipeline import Stage, optimize
from symconv.rewrite.registered import State
from symconv.rewrite.registered import state as registrations
from symconv.rewrite.specialize import specialize
from symconv.see.profile import Profile

# Kept for one function: the number of elements that a mask picks may be new in every call.
GUARDED_PLANS = 256


class PlanTable:
    """Plans by what they were made for: shapes of inputs and shared variables, guards, what users registered.

    A guard is an integer that some shape depends on, such as the length of x[i * n : (i + 1) * n].
    direct: run_directly of the plan that was asked for last, if shapes alone say whether it serves;
    `registered`: the users' kernels and rules that it was made with. profile: is told of every new plan.
    autotune: stands for config.autotune unless it is None.
    """

    def __init__(
        self,
        inputs: list[Variable],
        outputs: list[Variable],
        updates: Updates,
        device: str,
        mode: Mode | None,
        autotune: str | None,
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.updates = updates
        self.device = device
        self.mode = mode
        self.autotune = autotune
        self.profile: Profile | None = None
        self.direct: Callable[[tuple[Any, ...]], list[np.ndarray] | None] | None = None
        self.registered: State = ()
        roots = [*outputs, *(v for _, v in updates)]
        self._open_shared = [
            s
            for s in {v: None for v in [*leaves(roots), *(s for s, _ in updates)]}
            if isinstance(s, SharedVariable) and not s.type.is_concrete
        ]
        self._guards: dict[Any, list[Variable]] = {}
        self._guard_code: dict[tuple[Variable, ...], Evaluate | None] = {}
        self._plans: dict[Any, Executable] = {}

    def __len__(self) -> int:
        return len(self._plans)

    def __iter__(self) -> Iterator[Executable]:
        return iter(self._plans.values())

    def clear(self) -> None:
        self._plans, self._guards, self.direct = {}, {}, None

    def _signature(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        shapes = tuple(a.shape for a in arrays)
        open_shapes = tuple(s.get_value(borrow=True).shape for s in self._open_shared)
        return shapes, open_shapes, registrations()

    def get(self, arrays: Sequence[np.ndarray]) -> Executable:
        """The plan for these inputs, made if there is none yet."""
        signature = self._signature(arrays)
        guards = self._guards.get(signature)
        found = None
        if guards is not None:
            values = self._guard_values(guards, arrays) if guards else ()
            found = self._plans.get((signature, values))
        if found is None:
            with _collector_at_rest():
                found = self._compile(signature, arrays)
        # A plan that depends on shapes alone, those of the inputs and of shared variables: the backend can
        # tell whether it fits a call.
        alone = not self._guards[signature]
        self.direct = getattr(found, "run_directly", None) if alone else None
        self.registered = signature[-1]
        return found

    def _guard_values(self, guards: Sequence[Variable], arrays: Sequence[np.ndarray]) -> tuple[int, ...]:
        key = tuple(guards)
        if key not in self._guard_code:
            self._guard_code[key] = compile_guards(guards, self.inputs)
        code = self._guard_code[key]
        if code is not None:
            return code(arrays)
        return tuple(int(a) for a in evaluate(guards, dict(zip(self.inputs, arrays))))

    def runs(self, n: int, stacked: Sequence[np.ndarray]) -> list[tuple[int, int]]:
        """[first, last) ranges of iterations that can share one plan: those with equal guards."""
        if n == 0:
            return []
        first = [np.asarray(a[0]) for a in stacked]
        self.get(first)
        guards = self._guards[self._signature(first)]
        if not guards:
            return [(0, n)]
        rows = self._guard_rows(guards, stacked, n)
        cuts = np.flatnonzero(np.any(rows[1:] != rows[:-1], axis=1)) + 1
        edges = [0, *cuts.tolist(), n]
        return list(zip(edges[:-1], edges[1:]))

    def _guard_rows(self, guards: Sequence[Variable], stacked: Sequence[np.ndarray], n: int) -> np.ndarray:
        if all(v.ndim == 0 for v in self.inputs):
            # scalar arithmetic works on all iterations at once
            try:
                columns = evaluate(guards, dict(zip(self.inputs, stacked)))
                if all(np.shape(c) in ((), (n,)) for c in columns):
                    return np.stack([np.broadcast_to(c, (n,)) for c in columns], axis=1)
            except Exception:  # an op on the way is not element-wise: go one by one
                pass
        rows = [self._guard_values(guards, [np.asarray(a[i]) for a in stacked]) for i in range(n)]
        return np.asarray(rows, dtype=np.int64)

    def specialize(
        self,
        arrays: Sequence[np.ndarray],
        image: dict[Variable, Variable] | None = None,
    ) -> tuple[FunctionGraph, list[SharedVariable], list[Variable]]:
        """The graph for these inputs' shapes, the shared variables of its states, and the guards."""
        shapes = [a.shape for a in arrays]
        values = dict(zip(self.inputs, arrays))
        pin = lambda v: int(evaluate([v], values)[0])  # noqa: E731
        return specialize(self.outputs, self.updates, self.inputs, shapes, pin, image)

    def _compile(self, signature: Any, arrays: Sequence[np.ndarray]) -> Executable:
        graph, shared, guards = self.specialize(arrays)
        check_memory(graph)
        for (i, new), (target, _) in zip(graph.updates, self.updates):
            if new.type.shape != graph.states[i].type.shape and target.type.is_concrete:
                raise ShapeError(
                    f"function: the update of {target!r} from {target.origin} has shape "
                    f"{list(new.type.shape)}, from {new.origin}"
                )
        graph, growing = split_growing(graph)
        passes: Sequence[Any] = ()
        stages = [Stage("shapes", graph)]
        if config.optimize:
            graph, passes = optimize(graph, stages, self.device)
        with config(autotune=config.autotune if self.autotune is None else self.autotune):
            executable = compile_graph(graph, shared, self.device, passes, stages)
        if self.mode is not None:
            executable = self.mode.wrap(executable, shared, self.device)
        if growing:
            executable = GrowingExecutable(executable, [shared[i] for i in growing])
        known = self._guards.setdefault(signature, guards)
        if known is not guards and set(guards) - set(known):
            # other dimensions turned out to depend on values: forget plans that did not know them
            known.extend(g for g in guards if g not in known)
            self._plans = {k: e for k, e in self._plans.items() if k[0] != signature}
        if self.profile is not None:
            self.profile.watch(executable)
        key = self._guard_values(known, arrays) if known else ()
        self._plans[(signature, key)] = executable
        guarded = [k for k in self._plans if k[1]]
        if len(guarded) > GUARDED_PLANS:
            del self._plans[guarded[0]]  # the oldest
        return executable


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No cyclic garbage collection inside.

    Compilation makes hundreds of thousands of objects that stay: collections would walk them again
    and again, a third of the time for 1,000 layers.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
