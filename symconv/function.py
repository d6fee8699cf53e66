"""function(): from symbolic inputs, outputs and updates to something that can be called."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from symconv.backends.executable import Executable, Progress, compile_graph
from symconv.backends.gpu.interop import DeviceArray, is_on_device, take
from symconv.backends.reference import evaluate
from symconv.config import config
from symconv.debug.bisect import Finding, find_fault
from symconv.debug.mode import Mode, resolve_mode
from symconv.debug.nan import Bounds, first_out_of_bounds
from symconv.device import resolve_device
from symconv.errors import DeviceError, DTypeError, GraphError, ShapeError
from symconv.files import Pathlike, atomic_path
from symconv.graph import Constant, SharedVariable, Variable
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import debugprint
from symconv.graph.registry import State
from symconv.graph.registry import state as registrations
from symconv.graph.traversal import leaves, rebuild
from symconv.ops.operands import as_variable, cast
from symconv.plan.explain import explain_rewrites
from symconv.plan.guards import Evaluate, compile_guards
from symconv.plan.limits import check_memory
from symconv.rewrite.pipeline import Stage, optimize
from symconv.rewrite.specialize import specialize
from symconv.see.notebook import attach, graph_box, graph_or_none
from symconv.see.profile import STAMPS, Profile

Outputs = Variable | Sequence[Any] | Mapping[str, Any] | None
Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None


@dataclass(frozen=True)
class In:
    """An input with a default value and a name for keyword calls."""

    variable: Variable
    value: Any = None
    name: str | None = None


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
    flat, pack = _flatten(outputs)
    pairs = _updates(updates)
    if givens:
        flat, pairs = _substitute(flat, pairs, givens, variables)
    if not no_default_updates:
        pairs = _default_updates(flat, pairs)
    _check_leaves(flat, pairs, variables, on_unused_input)
    chosen = resolve_device(device)
    made = Function(ins, flat, pack, pairs, name, allow_input_downcast, chosen, resolve_mode(mode))
    if autotune is not None:
        with config(autotune=autotune):  # which checks the value
            made.autotune = config.autotune
    return made


def _flatten(outputs: Outputs) -> tuple[list[Variable], Callable[[list[np.ndarray]], Any]]:
    if outputs is None:
        return [], lambda values: values
    if isinstance(outputs, Mapping):
        keys = list(outputs)
        return [as_variable(v) for v in outputs.values()], lambda values: dict(zip(keys, values))
    if isinstance(outputs, (list, tuple)):
        return [as_variable(v) for v in outputs], lambda values: values
    return [as_variable(outputs)], lambda values: values[0]


def _pairs(pairs: Pairs) -> list[tuple[Any, Any]]:
    return [] if pairs is None else list(pairs.items() if isinstance(pairs, Mapping) else pairs)


def _updates(updates: Pairs) -> list[tuple[SharedVariable, Variable]]:
    result: list[tuple[SharedVariable, Variable]] = []
    seen: set[int] = set()
    for target, value in _pairs(updates):
        if not isinstance(target, SharedVariable):
            raise GraphError(f"function: updates change shared variables, {target!r} is none")
        if id(target) in seen:
            raise GraphError(f"function: the shared variable {target!r} is updated twice")
        seen.add(id(target))
        result.append((target, _fit_update(target, as_variable(value))))
    return result


def _fit_update(target: SharedVariable, new: Variable) -> Variable:
    if new.dtype != target.dtype and isinstance(new, Constant) and new.ndim == 0:
        new = cast(new, target.dtype)
    if new.dtype != target.dtype:
        raise DTypeError(
            f"function: the update of {target!r} has dtype {new.dtype}\n  new value {new.type} from "
            f"{new.origin}\n  hint: sc.cast(value, {target.dtype!r})"
        )
    if not target.type.accepts(new.type):
        raise ShapeError(
            f"function: the update of {target!r} from {target.origin} has type {new.type}, from {new.origin}"
        )
    return new


def _substitute(
    flat: list[Variable],
    pairs: list[tuple[SharedVariable, Variable]],
    givens: Pairs,
    inputs: Sequence[Variable],
) -> tuple[list[Variable], list[tuple[SharedVariable, Variable]]]:
    replace: dict[Variable, Variable] = {}
    for old, new in _pairs(givens):
        new = as_variable(new)
        if old in inputs:
            raise GraphError(f"function: givens replace {old!r}, which is also an input")
        if new.dtype != old.dtype:
            raise DTypeError(
                f"function: givens replace {old!r} from {old.origin} by {new.type} from {new.origin}\n"
                f"  hint: sc.cast(value, {old.dtype!r})"
            )
        if not old.type.accepts(new.type):
            raise ShapeError(
                f"function: givens replace {old!r} from {old.origin} by {new.type} from {new.origin}"
            )
        replace[old] = new
    roots = rebuild([*flat, *(v for _, v in pairs)], replace)
    return roots[: len(flat)], [(s, v) for (s, _), v in zip(pairs, roots[len(flat) :])]


def _default_updates(
    flat: list[Variable], pairs: list[tuple[SharedVariable, Variable]]
) -> list[tuple[SharedVariable, Variable]]:
    """Add the default updates of shared variables in the graph, and of those that these bring in."""
    pairs = list(pairs)
    known = {s for s, _ in pairs}
    frontier = leaves([*flat, *(v for _, v in pairs)])
    while frontier:
        added = []
        for v in frontier:
            if isinstance(v, SharedVariable) and v.default_update is not None and v not in known:
                known.add(v)
                pairs.append((v, _fit_update(v, v.default_update)))
                added.append(v.default_update)
        frontier = leaves(added) if added else []
    return pairs


def _check_leaves(
    flat: list[Variable],
    pairs: list[tuple[SharedVariable, Variable]],
    inputs: Sequence[Variable],
    policy: str,
) -> None:
    used = set(leaves([*flat, *(v for _, v in pairs)]))
    for v in used:
        if not isinstance(v, (Constant, SharedVariable)) and v not in inputs:
            raise GraphError(
                f"function: the graph needs {v!r} from {v.origin}, which is neither an input nor in givens"
            )
    if policy not in ("raise", "warn", "ignore"):
        raise GraphError(f"function: on_unused_input must be 'raise', 'warn' or 'ignore', got {policy!r}")
    for v in inputs:
        if v in used or policy == "ignore":
            continue
        message = (
            f"function: the input {v!r} from {v.origin} is not used by the outputs or updates\n"
            "  hint: remove it, or pass on_unused_input='ignore'"
        )
        if policy == "raise":
            raise GraphError(message)
        warnings.warn(message, stacklevel=3)


class Function:
    """A compiled function: call it with arrays, or run many steps at once by `loop` and `map`."""

    def __init__(
        self,
        inputs: list[In],
        outputs: list[Variable],
        pack: Callable[[list[np.ndarray]], Any],
        updates: list[tuple[SharedVariable, Variable]],
        name: str | None,
        downcast: bool | None,
        device: str,
        mode: Mode | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.mode = mode
        self.autotune: str | None = None  # config.autotune for the plans of this function
        self.inputs = inputs
        self.outputs = outputs
        self.updates = updates
        self._variables = [i.variable for i in inputs]
        self._pack = pack
        self._downcast = downcast
        roots = [*outputs, *(v for _, v in updates)]
        self._open_shared = [
            s
            for s in {v: None for v in [*leaves(roots), *(s for s, _ in updates)]}
            if isinstance(s, SharedVariable) and not s.type.is_concrete
        ]
        self._guards: dict[Any, list[Variable]] = {}
        self._guard_code: dict[tuple[Variable, ...], Evaluate | None] = {}
        self._plans: dict[Any, Executable] = {}
        # run_directly of the plan that was asked for last, if that plan may serve by shapes alone
        self._direct: Callable[[tuple[Any, ...]], list[np.ndarray] | None] | None = None
        self._registered: State = ((), ())  # the kernels that users had registered when it was made
        self._lock = threading.RLock()
        self._profile: Profile | None = None

    def __repr__(self) -> str:
        ins = ", ".join(repr(v) for v in self._variables)
        return f"<function {self.name or ''}({ins}) on {self.device}, {len(self._plans)} plans>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            direct = self._direct
            if (
                direct is not None
                and not kwargs
                and not config.check_data
                and registrations() == self._registered
            ):
                outputs = direct(args)
                if outputs is not None:
                    return self._pack(outputs)
            arrays = self._bind(args, kwargs)
            return self._pack(self._executable(arrays).run(arrays))

    def on_device(self, *args: Any, **kwargs: Any) -> Any:
        """A call whose outputs stay in device memory (symconv.backends.gpu.interop.DeviceArray).

        They share their memory with CuPy and PyTorch by __cuda_array_interface__ and DLPack. Arguments that
        have that interface are used where they lie, here and in ordinary calls. Raises DeviceError on other
        devices.
        """
        arrays = self._bind(args, kwargs)
        with self._lock:
            executable = self._executable(arrays)
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
        arrays = self._bind(args, {})
        with self._lock:
            executable = self._executable(arrays)
            return self._pack(executable.run_many(n, arrays, False, progress))

    def map(self, *args: Any, progress: Progress | None = None) -> Any:
        """One call per element of the arguments' first axis, in one run; outputs are stacked."""
        stacked = [self._convert(v, a, lead=1) for v, a in zip(self._variables, args)]
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
            for first, last in self._runs(n, stacked):
                part = [a[first:last] for a in stacked]
                executable = self._executable([np.asarray(a[0]) for a in part])
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
        for e in self._plans.values():
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
        return list(self._plans.values())

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
            if profile is not None and self._profile is not None:
                raise GraphError(f"{self!r} is being profiled already\n  hint: stop that profile first")
            self._profile = profile

    def forget_plans(self) -> None:
        """Make every plan anew at its next call, as after a change of settings or of measured choices."""
        with self._lock:
            self._plans, self._guards, self._direct = {}, {}, None

    def prepare(self, *args: Any, **kwargs: Any) -> Executable:
        """Make the plan for these arguments without running it."""
        with self._lock:
            return self._executable(self._bind(args, kwargs))

    def find_nonfinite(self, *args: Any, **kwargs: Any) -> str | None:
        """The first node that gives NaN or Inf for these arguments, with its line; None if none does.

        The graph as it was written is computed node by node by the reference; nothing is updated.
        """
        arrays = self._bind(args, kwargs)
        values = dict(zip(self._variables, arrays))
        with self._lock:
            graph, shared, _ = self._specialize(arrays, values)
            known = dict(zip(graph.inputs, arrays))
            known |= {v: s.get_value(borrow=True) for v, s in zip(graph.states, shared)}
            return first_out_of_bounds(graph.roots, known, Bounds())

    def bisect(self, *args: Any, wrong: Callable[[list[np.ndarray]], Any] | None = None) -> Finding | None:
        """What first changes a result for these arguments: a simplification, a rewrite, a kernel, the plan.

        Results (the outputs, then the new values of the updated variables) are compared with those of the
        graph as it was written, computed by the NumPy reference; or `wrong(results)` says whether they are
        wrong. The finding names the pass, the rule and the node, or the kernel. None where all agrees.
        Nothing is updated.
        """
        arrays = self._bind(args, {})
        values = dict(zip(self._variables, arrays))
        image: dict[Variable, Variable] = {}
        with self._lock:
            graph, shared, _ = self._specialize(arrays, values, image)
            roots = [*self.outputs, *(v for _, v in self.updates)]
            targets = [s for s, _ in self.updates]
            return find_fault(roots, targets, values, (graph, image), shared, self.device, wrong)

    # -- arguments -----------------------------------------------------------------------------

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[np.ndarray]:
        if len(args) > len(self.inputs):
            raise GraphError(f"{self!r}: {len(self.inputs)} arguments expected, got {len(args)}")
        values = list(args)
        kwargs = dict(kwargs)
        for i in self.inputs[len(args) :]:
            name = i.name or i.variable.name
            if name is not None and name in kwargs:
                values.append(kwargs.pop(name))
            elif i.value is not None:
                values.append(i.value)
            else:
                raise GraphError(f"{self!r}: no value for the argument {i.variable!r}")
        if kwargs:
            raise GraphError(f"{self!r}: unknown arguments {', '.join(kwargs)}")
        return [self._convert(v, a) for v, a in zip(self._variables, values)]

    def _convert(self, variable: Variable, value: Any, lead: int = 0) -> np.ndarray:
        """`value` as a C-contiguous array of the variable's dtype; `lead` extra axes come first."""
        type_ = variable.type
        if self.device in ("cuda", "emulated") and is_on_device(value):
            array: Any = take(value, self._runtime(), f"argument {variable!r}", type_.dtype)
        else:
            array = self._as_numpy(variable, value)
        shape = array.shape[lead:]
        if array.ndim - lead != type_.ndim or any(
            d is not None and d != s for d, s in zip(type_.shape, shape)
        ):
            raise ShapeError(
                f"argument {variable!r} from {variable.origin}: expected {type_}, "
                f"got {array.dtype}{list(shape)}"
            )
        if isinstance(array, DeviceArray):
            return array  # type: ignore[return-value]
        if config.check_data and type_.is_float and not np.isfinite(array).all():
            at = np.unravel_index(int(np.argmax(~np.isfinite(array))), array.shape)
            from symconv.errors import NonFiniteError

            raise NonFiniteError(
                f"argument {variable!r}: {array[at]} at index {[int(i) for i in at]} (check_data is on)"
            )
        return array if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(array.shape)

    def _runtime(self) -> Any:
        from symconv.backends.gpu.executable import runtime_of  # needs the device

        return runtime_of(self.device)

    def _as_numpy(self, variable: Variable, value: Any) -> np.ndarray:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise ShapeError(f"argument {variable!r}: {error}") from None
        return array if array.dtype == variable.dtype else self._cast_argument(variable, value, array)

    def _cast_argument(self, variable: Variable, value: Any, array: np.ndarray) -> np.ndarray:
        target = np.dtype(variable.dtype)
        literal = not isinstance(value, (np.ndarray, np.generic))
        kind = {"f": 2, "i": 1, "u": 1, "b": 0}.get(array.dtype.kind, 9)
        wanted = {"f": 2, "i": 1, "u": 1, "b": 0}[target.kind]
        fits = kind <= wanted or bool(self._downcast)
        if fits and self._downcast is False and not literal:
            fits = np.can_cast(array.dtype, target, "safe")
        if fits and kind == wanted == 1 and array.size and not np.can_cast(array.dtype, target, "safe"):
            limits = np.iinfo(target)
            fits = bool(array.min() >= limits.min and array.max() <= limits.max)
        if not fits:
            raise DTypeError(
                f"argument {variable!r} from {variable.origin}: cannot take {array.dtype} for {target}\n"
                f"  hint: convert it with astype({str(target)!r}), or declare the input with its dtype"
            )
        return array.astype(target)

    # -- plans ---------------------------------------------------------------------------------

    def _signature(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        shapes = tuple(a.shape for a in arrays)
        open_shapes = tuple(s.get_value(borrow=True).shape for s in self._open_shared)
        return shapes, open_shapes, registrations()

    def _executable(self, arrays: Sequence[np.ndarray]) -> Executable:
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
        self._direct = getattr(found, "run_directly", None) if alone else None
        self._registered = signature[-1]
        return found

    def _guard_values(self, guards: Sequence[Variable], arrays: Sequence[np.ndarray]) -> tuple[int, ...]:
        key = tuple(guards)
        if key not in self._guard_code:
            self._guard_code[key] = compile_guards(guards, self._variables)
        code = self._guard_code[key]
        if code is not None:
            return code(arrays)
        return tuple(int(a) for a in evaluate(guards, dict(zip(self._variables, arrays))))

    def _runs(self, n: int, stacked: Sequence[np.ndarray]) -> list[tuple[int, int]]:
        """[first, last) ranges of iterations that can share one plan: those with equal guards."""
        if n == 0:
            return []
        first = [np.asarray(a[0]) for a in stacked]
        self._executable(first)
        guards = self._guards[self._signature(first)]
        if not guards:
            return [(0, n)]
        rows = self._guard_rows(guards, stacked, n)
        cuts = np.flatnonzero(np.any(rows[1:] != rows[:-1], axis=1)) + 1
        edges = [0, *cuts.tolist(), n]
        return list(zip(edges[:-1], edges[1:]))

    def _guard_rows(self, guards: Sequence[Variable], stacked: Sequence[np.ndarray], n: int) -> np.ndarray:
        if all(v.ndim == 0 for v in self._variables):
            # scalar arithmetic works on all iterations at once
            try:
                columns = evaluate(guards, dict(zip(self._variables, stacked)))
                if all(np.shape(c) in ((), (n,)) for c in columns):
                    return np.stack([np.broadcast_to(c, (n,)) for c in columns], axis=1)
            except Exception:  # an op on the way is not element-wise: go one by one
                pass
        rows = [self._guard_values(guards, [np.asarray(a[i]) for a in stacked]) for i in range(n)]
        return np.asarray(rows, dtype=np.int64)

    def _specialize(
        self,
        arrays: Sequence[np.ndarray],
        values: Mapping[Variable, np.ndarray],
        image: dict[Variable, Variable] | None = None,
    ) -> tuple[FunctionGraph, list[SharedVariable], list[Variable]]:
        shapes = [a.shape for a in arrays]
        pin = lambda v: int(evaluate([v], values)[0])  # noqa: E731
        return specialize(self.outputs, self.updates, self._variables, shapes, pin, image)

    def _compile(self, signature: Any, arrays: Sequence[np.ndarray]) -> Executable:
        values = dict(zip(self._variables, arrays))
        graph, shared, guards = self._specialize(arrays, values)
        check_memory(graph)
        for (i, new), (target, _) in zip(graph.updates, self.updates):
            if new.type.shape != graph.states[i].type.shape and target.type.is_concrete:
                raise ShapeError(
                    f"function: the update of {target!r} from {target.origin} has shape "
                    f"{list(new.type.shape)}, from {new.origin}"
                )
        passes: Sequence[Any] = ()
        stages = [Stage("shapes", graph)]
        if config.optimize:
            graph, passes = optimize(graph, stages, self.device)
        with config(autotune=config.autotune if self.autotune is None else self.autotune):
            executable = compile_graph(graph, shared, self.device, passes, stages)
        if self.mode is not None:
            executable = self.mode.wrap(executable, shared, self.device)
        known = self._guards.setdefault(signature, guards)
        if known is not guards and set(guards) - set(known):
            # other dimensions turned out to depend on values: forget plans that did not know them
            known.extend(g for g in guards if g not in known)
            self._plans = {k: e for k, e in self._plans.items() if k[0] != signature}
        if self._profile is not None:
            self._profile.watch(executable)
        key = self._guard_values(known, arrays) if known else ()
        self._plans[(signature, key)] = executable
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
