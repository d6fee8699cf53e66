"""function(): from symbolic inputs, outputs and updates to something that can be called."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from symconv.arguments import Arguments
from symconv.backends.executable import Executable, Progress
from symconv.config import config
from symconv.debug.bisect import Finding, find_fault
from symconv.debug.mode import Mode, resolve_mode
from symconv.debug.nan import Bounds, first_out_of_bounds
from symconv.declared import (
    In,
    Outputs,
    Pairs,
    Updates,
    check_leaves,
    checked_updates,
    default_updates,
    flatten,
    substitute,
)
from symconv.device import resolve_device
from symconv.errors import DeviceError, GraphError, ShapeError
from symconv.files import Pathlike, atomic_path
from symconv.graph import Constant, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import debugprint
from symconv.graph.traversal import leaves
from symconv.plan.explain import explain_rewrites
from symconv.plan_table import PlanTable
from symconv.rewrite.registered import state as registrations
from symconv.see.notebook import attach, graph_box, graph_or_none
from symconv.see.profile import STAMPS, Profile


def function(
    inputs: Sequence[Variable | In],
    outputs: Outputs = None,
    updates: Pairs = None,
    givens: Pairs = None,
    name: str | None = None,
    *,
    on_unused_input: str = "raise",
    allow_input_downcast: bool | None = None,
    no_default_updates: bool = False,
    device: str | None = None,
    mode: str | Mode | None = None,
    autotune: str | None = None,
) -> Function:
    """Compile `outputs` and `updates` into a callable of `inputs`.

    outputs: a variable (the call returns an array), a list (a list), a dict (a dict), or None.
    updates: pairs (shared variable, new value), applied together after the outputs, which see the old
    values. givens: pairs (variable, replacement) substituted first. allow_input_downcast: None takes
    float64 for float32 and integers whose values fit, True also floats for integers, False only
    lossless casts. Plans are made on the first call for every combination of input shapes. mode: "normal",
    "debug" or "nan_guard", a DebugMode or NanGuardMode (docs/debugging.md); None takes config.mode.
    autotune: "off", "cached" or "on" for the plans of this function; None takes config.autotune.
    Raises GraphError for missing, unused or duplicate inputs; DTypeError or ShapeError for an update
    whose type is not that of its shared variable.
    """
    ins = [i if isinstance(i, In) else In(i) for i in inputs]
    for i in ins:
        if not isinstance(i.variable, Variable) or i.variable.owner is not None:
            raise GraphError(f"function: {i.variable!r} is no input; use sc.tensor, sc.matrix and the like")
        if isinstance(i.variable, (Constant, SharedVariable)):
            raise GraphError(f"function: {i.variable!r} already has a value and cannot be an input")
    variables = [i.variable for i in ins]
    if len(set(variables)) != len(variables):
        twice = next(v for v in variables if variables.count(v) > 1)
        raise GraphError(f"function: the input {twice!r} from {twice.origin} is given twice")
    flat, pack = flatten(outputs)
    pairs = checked_updates(updates)
    if givens:
        flat, pairs = substitute(flat, pairs, givens, variables)
    if not no_default_updates:
        pairs = default_updates(flat, pairs)
    check_leaves(flat, pairs, variables, on_unused_input)
    chosen = resolve_device(device)
    if autotune is not None:
        with config(autotune=autotune):  # which checks the value
            autotune = config.autotune
    return Function(ins, flat, pack, pairs, name, allow_input_downcast, chosen, resolve_mode(mode), autotune)


class Function:
    """A compiled function: call it with arrays, or run many steps at once by `loop` and `map`."""

    def __init__(
        self,
        inputs: list[In],
        outputs: list[Variable],
        pack: Callable[[list[np.ndarray]], Any],
        updates: Updates,
        name: str | None,
        downcast: bool | None,
        device: str,
        mode: Mode | None = None,
        autotune: str | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.mode = mode
        self.inputs = inputs
        self.outputs = outputs
        self.updates = updates
        self._pack = pack
        self._arguments = Arguments(self, inputs, downcast, device)
        self._variables = self._arguments.variables
        self._plans = PlanTable(self._variables, outputs, updates, device, mode, autotune)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        ins = ", ".join(repr(v) for v in self._variables)
        return f"<function {self.name or ''}({ins}) on {self.device}, {len(self._plans)} plans>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            direct = self._plans.direct
            if (
                direct is not None
                and not kwargs
                and not config.check_data
                and registrations() == self._plans.registered
            ):
                outputs = direct(args)
                if outputs is not None:
                    return self._pack(outputs)
            arrays = self._arguments.bind(args, kwargs)
            return self._pack(self._plans.get(arrays).run(arrays))

    def on_device(self, *args: Any, **kwargs: Any) -> Any:
        """A call whose outputs stay in device memory (symconv.backends.gpu.interop.DeviceArray).

        They share their memory with CuPy and PyTorch by __cuda_array_interface__ and DLPack. Arguments that
        have that interface are used where they lie, here and in ordinary calls. Raises DeviceError on other
        devices.
        """
        arrays = self._arguments.bind(args, kwargs)
        with self._lock:
            executable = self._plans.get(arrays)
            run = getattr(executable, "run_on_device", None)
            if run is None:
                raise DeviceError(
                    f"{self!r}: outputs stay on the device only with device 'cuda' or 'emulated'"
                )
            return self._pack(run(arrays))

    def loop(self, n: int, *args: Any, progress: Progress | None = None) -> Any:
        """n calls with the same arguments in one run; outputs are stacked along a new first axis."""
        if n < 0:
            raise ShapeError(f"loop: n must not be negative, got {n}")
        arrays = self._arguments.bind(args, {})
        with self._lock:
            executable = self._plans.get(arrays)
            return self._pack(executable.run_many(n, arrays, False, progress))

    def map(self, *args: Any, progress: Progress | None = None) -> Any:
        """One call per element of the arguments' first axis, in one run; outputs are stacked."""
        stacked = [self._arguments.convert(v, a, lead=1) for v, a in zip(self._variables, args)]
        if len(args) != len(self._variables):
            raise GraphError(f"map: {len(self._variables)} arguments expected, got {len(args)}")
        if not stacked:
            raise GraphError("map: the function has no inputs; use loop(n)")
        n = stacked[0].shape[0]
        for v, a in zip(self._variables, stacked):
            if a.shape[0] != n:
                raise ShapeError(f"map: {v!r} has {a.shape[0]} rows, the first argument {n}")
        with self._lock:
            chunks: list[list[np.ndarray]] = []
            for first, last in self._plans.runs(n, stacked):
                part = [a[first:last] for a in stacked]
                executable = self._plans.get([np.asarray(a[0]) for a in part])
                report = None if progress is None else _shifted(progress, first)
                chunks.append(executable.run_many(last - first, part, True, report))
        if not chunks:
            chunks.append([np.empty((0,) * (1 + v.ndim), v.dtype) for v in self.outputs])
        try:
            return self._pack([np.concatenate(c) if len(c) > 1 else c[0] for c in zip(*chunks)])
        except ValueError as error:
            raise ShapeError(f"map: the outputs of different steps have different shapes: {error}") from None

    def explain(
        self,
        graph: bool = False,
        rewrites: bool = False,
        html: Pathlike | None = None,
        profile: Profile | None = None,
    ) -> str:
        """The plans made so far as text: kernels, memory, refusals.

        graph adds the expression as it was written and as it is after rewriting, rewrites what each
        pass applied. html: write all of this with pictures to that file, as one page that needs no other and
        no network; `profile` is shown on it. Raises GraphError for a page of no plan.
        """
        if html is not None:
            self._write_page(html, profile)
        if not self._plans:
            return f"{self!r}: not called yet, so no plan has been made"
        parts = []
        if graph:
            parts.append("graph as written:\n" + debugprint(self.written()))
        for e in self._plans:
            shapes = ", ".join(str(v.type) for v in e.graph.inputs)
            if graph:
                parts.append(f"graph for inputs ({shapes}) after rewriting:\n" + debugprint(e.graph))
            if rewrites and e.plan is not None:
                parts.append("rewrites:\n" + explain_rewrites(e.plan))
            parts.append(f"inputs ({shapes}): {e.explain()}")
        return "\n\n".join(parts)

    def _repr_svg_(self) -> str | None:
        return graph_or_none(self)

    def _repr_html_(self) -> str:
        return graph_box(repr(self), self)

    def _write_page(self, path: Pathlike, profile: Profile | None) -> None:
        if not self._plans:
            raise GraphError(f"explain: {self!r} has no plan to show yet\n  hint: call it, or f.prepare(...)")
        from symconv.see.page import page  # seldom needed

        text = page(self, profile)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @property
    def executables(self) -> list[Executable]:
        """The plans made so far, in the order in which they were made."""
        return list(self._plans)

    def written(self) -> FunctionGraph:
        """The expression as it was written, before any shape was known."""
        news = [new for _, new in self.updates]
        states = [v for v in leaves([*self.outputs, *news]) if isinstance(v, SharedVariable)]
        states += [s for s, _ in self.updates if s not in states]
        index = {s: i for i, s in enumerate(states)}
        updates = tuple((index[s], new) for s, new in self.updates)
        return FunctionGraph(tuple(self._variables), tuple(states), tuple(self.outputs), updates)

    def graph_to_show(self) -> FunctionGraph:
        """For debugprint and pictures: the graph of the latest plan, or, before there is one, as written."""
        return self.executables[-1].graph if self._plans else self.written()

    def profile(self, *, stamps: int = STAMPS) -> Profile:
        """Where the time goes: `with f.profile() as p: f(x)`, then print(p), p.trace(path), p.flame(path).

        Times per step, kernel and user's line, FLOPs, bytes, and percent of the roofline. stamps: how many
        time stamps to keep for the trace.
        """
        return Profile(self, stamps)

    def watch_plans(self, profile: Profile | None) -> None:
        """Tell `profile` of every new plan; for Profile alone."""
        with self._lock:
            if profile is not None and self._plans.profile is not None:
                raise GraphError(f"{self!r} is being profiled already\n  hint: stop that profile first")
            self._plans.profile = profile

    def forget_plans(self, *, autotune: str | None = None) -> None:
        """Make every plan anew at its next call, as after a change of settings or of measured choices.

        autotune: the setting of that name for plans from now on.
        """
        with self._lock:
            self._plans.autotune = autotune or self._plans.autotune
            self._plans.clear()

    def prepare(self, *args: Any, **kwargs: Any) -> Executable:
        """Make the plan for these arguments without running it."""
        with self._lock:
            return self._plans.get(self._arguments.bind(args, kwargs))

    def find_nonfinite(self, *args: Any, **kwargs: Any) -> str | None:
        """The first node that gives NaN or Inf for these arguments, with its line; None if none does.

        The graph as it was written is computed node by node by the reference; nothing is updated.
        """
        with self._lock:
            graph, known, _ = self.specialized(*args, **kwargs)
            return first_out_of_bounds(graph.roots, known, Bounds())

    def specialized(
        self, *args: Any, **kwargs: Any
    ) -> tuple[FunctionGraph, dict[Variable, np.ndarray], list[SharedVariable]]:
        """The graph as it was written with the sizes of these arguments, the values of its inputs and states,
        and the shared variables behind the states: for who wants to compute it node by node.
        """
        arrays = self._arguments.bind(args, kwargs)
        with self._lock:
            graph, shared, _ = self._plans.specialize(arrays)
        known = dict(zip(graph.inputs, arrays))
        known |= {v: s.get_value(borrow=True) for v, s in zip(graph.states, shared)}
        return graph, known, shared

    def bisect(self, *args: Any, wrong: Callable[[list[np.ndarray]], Any] | None = None) -> Finding | None:
        """What first changes a result for these arguments: a simplification, a rewrite, a kernel, the plan.

        Results (the outputs, then the new values of the updated variables) are compared with those of the
        graph as it was written, computed by the NumPy reference; or `wrong(results)` says whether they are
        wrong. The finding names the pass, the rule and the node, or the kernel. None where all agrees.
        Nothing is updated.
        """
        arrays = self._arguments.bind(args, {})
        values = dict(zip(self._variables, arrays))
        image: dict[Variable, Variable] = {}
        with self._lock:
            graph, shared, _ = self._plans.specialize(arrays, image)
            roots = [*self.outputs, *(v for _, v in self.updates)]
            targets = [s for s, _ in self.updates]
            return find_fault(roots, targets, values, (graph, image), shared, self.device, wrong)


def _shifted(progress: Progress, first: int) -> Progress:
    return lambda done: progress(first + done)


@lru_cache(maxsize=128)
def _evaluator(variable: Variable, names: tuple[Variable, ...], device: str, mode: str) -> Function:
    return function(
        list(names), variable, on_unused_input="ignore", no_default_updates=True, device=device, mode=mode
    )


def evaluate_variable(variable: Variable, givens: Mapping[Variable, Any] | None = None) -> np.ndarray:
    """The value of `variable`, with {input: value} for the inputs that it depends on.

    The functions of the last 128 variables are kept.
    """
    givens = givens or {}
    result: np.ndarray = _evaluator(variable, tuple(givens), config.device, config.mode)(*givens.values())
    return result


setattr(Variable, "eval", evaluate_variable)  # noqa: B010 - a method that graph/ cannot define
attach()
