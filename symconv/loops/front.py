"""scan(): a loop from a function that builds one step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symconv.errors import ArgumentError, DTypeError, GraphError, ShapeError
from symconv.graph import Constant, SharedVariable, TensorType, Variable, constant
from symconv.graph.origin import origin, user_line
from symconv.graph.traversal import leaves, rebuild
from symconv.loops.build import Carry, Output, Row, Trace, make_scan
from symconv.ops.axes import expand_dims
from symconv.ops.elementwise import cast, minimum
from symconv.ops.operands import as_dim, as_variable, is_scalar
from symconv.ops.random import is_counter, step_counters
from symconv.ops.shape import shape_of
from symconv.ops.slicing import Slice


@dataclass(frozen=True)
class until:  # noqa: N801 - reads as a word: return x, until(x > 10)
    """Returned by the step of a scan beside its outputs: the loop ends after the step where this is true."""

    condition: Any


@dataclass(frozen=True)
class Convention:
    """How values go into the step and come out of it; another front than the native one has its own."""

    give: Callable[[Variable], Any] = lambda v: v  # noqa: E731
    take: Callable[[Any], Variable] = as_variable
    is_symbolic: Callable[[Any], bool] = lambda v: isinstance(v, Variable)  # noqa: E731
    shared: Callable[[Any], SharedVariable | None] = lambda v: v if isinstance(v, SharedVariable) else None  # noqa: E731
    hidden: type[GraphError] = GraphError  # raised where strict=True forbids what the step reads
    rewrite: Callable[[Sequence[Variable], Sequence[Variable]], list[Variable]] | None = None  # of a step's
    # results, given its arguments


NATIVE = Convention()


def scan(
    step: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    *,
    go_backwards: bool = False,
    truncate_gradient: int = -1,
    strict: bool = False,
    name: str | None = None,
) -> tuple[Any, dict[SharedVariable, Variable]]:
    """y[t] = step(rows of sequences, past values of outputs, non_sequences) for t = 0 ... n_steps - 1.

    sequences: variables [n, ...] of which the step gets a row each; or {"input": x, "taps": [-1, 0, 1]}: rows
    at these distances, one argument for each. outputs_info, one entry per output: None for an output that
    the step does not read again; its value before the first step; or {"initial": x, "taps": [-2, -1]} with x
    [2, ...], to get the values of two steps before and of the step before. The step gets them in this order,
    then non_sequences, and returns an output or a list of outputs, and beside them, if it wants, a
    dictionary of updates of shared variables and `sc.until(condition)`.

    Returns (outputs, updates). Each output is [n, ...]; with until, it ends with the step where the condition
    was true. updates maps shared variables that change from step to step to their values after the loop: pass
    them on to `sc.function`. Draws of a RandomStream are new in every step and need no updates. n_steps may
    be symbolic; without it, the sequences must have one length. go_backwards reads sequences from their
    ends. truncate_gradient: how many steps, from the last, the gradient goes back through. strict: the step
    may read no shared variable that is not in non_sequences.

    Raises ShapeError, DTypeError, ArgumentError or GraphError for a step or arguments that do not fit.
    """
    outputs, single, updates = build_loop(
        NATIVE, step, sequences, outputs_info, non_sequences, n_steps, go_backwards, strict,
        truncate_gradient, name,
    )  # fmt: skip
    return (outputs[0] if len(outputs) == 1 and single else outputs), updates


def build_loop(
    convention: Convention,
    step: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any,
    n_steps: Any,
    go_backwards: bool,
    strict: bool,
    truncate_gradient: int,
    name: str | None,
    shortest: bool = False,
) -> tuple[list[Variable], bool, dict[SharedVariable, Variable]]:
    """scan() for any front: outputs, whether the step returned a single one, and updates.

    shortest: without n_steps the shortest sequence says how many steps there are; else their lengths must
    be equal.
    """
    builder = _Loop(
        convention, sequences, outputs_info, non_sequences, n_steps, go_backwards, strict, shortest
    )
    outputs, updates = builder.run(step, truncate_gradient, name)
    return outputs, builder.single, updates


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


@dataclass
class _Info:
    """What an output starts from; initial None: it is not read again."""

    initial: Variable | None = None
    taps: tuple[int, ...] = ()
    inner: tuple[Variable, ...] = ()
    weak: bool = False  # given as a Python number, which adopts the dtype of the output


class _Loop:
    def __init__(
        self,
        convention: Convention,
        sequences: Any,
        outputs_info: Any,
        non_sequences: Any,
        n_steps: Any,
        go_backwards: bool,
        strict: bool,
        shortest: bool,
    ) -> None:
        self.convention = convention
        self.shortest = shortest
        self.strict = strict
        self.single = True
        self.fixed = as_list(non_sequences)
        self.infos = [self._info(k, item) for k, item in enumerate(as_list(outputs_info))]
        self.rows: list[Row] = []
        self._read_sequences(as_list(sequences), n_steps, go_backwards)

    def _read_sequences(self, sequences: list[Any], n_steps: Any, backward: bool) -> None:
        parts: list[tuple[Variable, int, int, int]] = []  # sequence, first row, rows lost in all, tap
        for k, item in enumerate(sequences):
            given, taps = (
                (item, [0]) if not isinstance(item, Mapping) else _tapped(f"sequence {k}", item, "input", [0])
            )
            x = self.convention.take(given)
            if x.ndim == 0:
                raise ShapeError(f"scan: sequence {k} is a scalar, {x!r} from {x.origin}; it has no rows")
            low, high = min(*taps, 0), max(*taps, 0)
            parts += [(x, tap - low, high - low, tap) for tap in taps]
        tapped = any(lost for _, _, lost, _ in parts)
        if n_steps is None:
            if not parts:
                raise ArgumentError("scan: without sequences n_steps must say how many steps there are")
            lengths = [shape_of(x, 0) - lost if lost else shape_of(x, 0) for x, _, lost, _ in parts]
            n = lengths[0]
            if tapped or self.shortest:
                for other in lengths[1:]:
                    n = n if other is n else minimum(n, other)
        else:
            n = as_dim(self.convention.take(n_steps) if self.convention.is_symbolic(n_steps) else n_steps)
        self.n = as_dim(n)
        if isinstance(self.n, Constant) and self.n.data < 0:
            raise ArgumentError(f"scan: n_steps must not be negative, got {self.n.data}")
        self.exact = n_steps is None and not tapped and not self.shortest
        for x, first, lost, tap in parts:
            if lost:
                length = shape_of(x, 0) - lost
                x = Slice((0,), (1,))(x, constant(first, "int64"), as_dim(length))
            suffix = f"t{tap:+d}" if tap else "t"
            row = Variable(
                TensorType(x.dtype, x.type.shape[1:]), name=f"{x.name}[{suffix}]" if x.name else None
            )
            self.rows.append(Row(x, row, backward))

    def _info(self, k: int, item: Any) -> _Info:
        if item is None:
            return _Info()
        given, taps = item, [-1]
        if isinstance(item, Mapping):
            if item.get("initial") is None:
                if item.get("taps"):
                    raise ArgumentError(f"scan: output {k} has taps {item['taps']} but no 'initial' value")
                return _Info()
            given, taps = _tapped(f"output {k}", item, "initial", [-1])
        if any(tap >= 0 for tap in taps):
            raise ArgumentError(f"scan: taps of output {k} look back and must be negative, got {list(taps)}")
        x = self.convention.take(given)
        rows = x if tuple(taps) != (-1,) else expand_dims(x, 0)
        if rows.ndim == 0:
            raise ShapeError(
                f"scan: output {k} with taps {list(taps)} needs an initial value [{-min(taps)}, ...], "
                f"got {x.type} from {x.origin}"
            )
        if tuple(taps) != (-1,):
            rows = rows[: -min(taps)] if rows.type.shape[0] != -min(taps) else rows
        info = _Info(rows, tuple(taps), (), is_scalar(given))
        self._open(info, rows.dtype, x.name)
        return info

    def _open(self, info: _Info, dtype: str, name: str | None) -> None:
        """Variables that stand for the past values inside the step."""
        assert info.initial is not None
        type_ = TensorType(dtype, info.initial.type.shape[1:])
        info.inner = tuple(Variable(type_, name=f"{name}[t{tap}]" if name else None) for tap in info.taps)

    def run(
        self, step: Callable[..., Any], truncate: int, name: str | None
    ) -> tuple[list[Variable], dict[SharedVariable, Variable]]:
        where = user_line()
        if isinstance(truncate, bool) or not isinstance(truncate, int) or truncate < -1:
            raise ArgumentError(f"scan: truncate_gradient must be -1 or a number of steps, got {truncate!r}")
        if not callable(step):
            raise ArgumentError(f"scan: the step must be a function, got {type(step).__name__}")
        give = self.convention.give
        for attempt in range(2):
            arguments = [give(r.inner) for r in self.rows]
            arguments += [give(v) for info in self.infos for v in info.inner]
            arguments += self.fixed
            self._check_arguments(step, len(arguments))
            outputs, updates, condition = self._read(step(*arguments))
            if not self._widen(outputs) or attempt:
                break
        if self.convention.rewrite is not None:
            outputs, updates, condition = self._rewritten(outputs, updates, condition)
        with origin(where):
            return self._build(outputs, updates, condition, truncate, name or "")

    def _rewritten(
        self, outputs: list[Variable], updates: list[tuple[SharedVariable, Variable]], condition: Any
    ) -> tuple[list[Variable], list[tuple[SharedVariable, Variable]], Any]:
        assert self.convention.rewrite is not None
        results = [*outputs, *(v for _, v in updates), *([] if condition is None else [condition])]
        arguments = [r.inner for r in self.rows] + [v for info in self.infos for v in info.inner]
        news = iter(self.convention.rewrite(results, arguments))
        return (
            [next(news) for _ in outputs],
            [(s, next(news)) for s, _ in updates],
            None if condition is None else next(news),
        )

    def _check_arguments(self, step: Callable[..., Any], count: int) -> None:
        try:
            signature = inspect.signature(step)
        except (TypeError, ValueError):  # builtins do not all tell theirs
            return
        try:
            signature.bind(*[None] * count)
        except TypeError as error:
            past = sum(len(info.inner) for info in self.infos)
            raise ArgumentError(
                f"scan: the step {signature} is given {count} arguments: {len(self.rows)} rows of sequences, "
                f"{past} past values, {len(self.fixed)} non_sequences\n  {error}\n"
                "  hint: outputs_info gives the values that past ones start from, None for an output without"
            ) from None

    def _widen(self, outputs: Sequence[Variable]) -> bool:
        """Give states that start from a Python number the dtype of what the step makes of them."""
        changed = False
        for info, new in zip(self.infos, outputs):
            if info.weak and info.initial is not None and info.initial.dtype != new.dtype:
                info.initial = cast(info.initial, new.dtype)
                self._open(info, new.dtype, None)
                changed = True
        return changed

    def _read(self, result: Any) -> tuple[list[Variable], list[tuple[SharedVariable, Variable]], Any]:
        """What the step returned: outputs, updates, condition."""
        convention = self.convention
        items: list[Any] = list(result) if isinstance(result, (list, tuple)) else [result]
        updates: list[tuple[SharedVariable, Variable]] = []
        condition = None
        outputs: list[Any] = []
        nested = 0
        plain = bool(items) and all(_is_pair(convention, i) for i in items)
        for item in [dict(items)] if plain else items:
            if isinstance(item, until) or hasattr(item, "condition"):
                condition = convention.take(item.condition)
            elif isinstance(item, Mapping):
                updates += self._pairs(item.items())
            elif isinstance(item, (list, tuple)):
                if item and all(_is_pair(convention, i) for i in item):
                    updates += self._pairs(item)
                else:
                    outputs += item
                    nested += 1
            elif item is not None:
                outputs.append(item)
        self.single = not isinstance(result, (list, tuple)) or (nested == 0 and len(outputs) < len(items))
        variables = [convention.take(v) for v in outputs]
        if self.infos and len(self.infos) != len(variables):
            raise GraphError(
                f"scan: the step returns {len(variables)} outputs, outputs_info has {len(self.infos)}\n"
                "  hint: one entry per output, None for an output that the step does not read again"
            )
        self.infos = self.infos or [_Info() for _ in variables]
        return variables, updates, condition

    def _pairs(self, pairs: Iterable[tuple[Any, Any]]) -> list[tuple[SharedVariable, Variable]]:
        found = []
        for target, value in pairs:
            shared = self.convention.shared(target)
            if shared is None:
                raise GraphError(f"scan: updates of a step change shared variables, {target!r} is none")
            found.append((shared, self.convention.take(value)))
        return found

    def _build(
        self,
        outputs: list[Variable],
        updates: list[tuple[SharedVariable, Variable]],
        condition: Variable | None,
        truncate: int,
        title: str,
    ) -> tuple[list[Variable], dict[SharedVariable, Variable]]:
        # non_sequences are values from outside: what they were made of does not change from step to step
        outside = [v for v in map(self._taken, self.fixed) if v is not None and v.owner is not None]
        updates = _with_defaults([*outputs, *([] if condition is None else [condition])], updates, outside)
        if self.strict:
            self._check_strict(outputs, updates, outside)
        for k, (info, new) in enumerate(zip(self.infos, outputs)):
            if info.initial is not None and new.dtype != info.initial.dtype:
                raise DTypeError(
                    f"scan: output {k} starts as {info.initial.dtype} from {info.initial.origin} and the "
                    f"step makes it {new.dtype}, at {new.origin}\n  hint: cast the initial value to "
                    f"{new.dtype!r}, or the output to {info.initial.dtype!r}"
                )
        rows, replace = list(self.rows), {}
        results = [*outputs, *(v for _, v in updates), *([] if condition is None else [condition])]
        states: list[tuple[SharedVariable, Variable]] = []
        for shared in leaves(results, stop=outside):
            if is_counter(shared) and shared not in dict(updates):
                counter = replace[shared] = Variable(shared.type, name=shared.name)
                rows.append(Row(step_counters(shared, self.n), counter))
        for shared, _ in updates:
            state = replace[shared] = Variable(shared.type, name=shared.name)
            states.append((shared, state))
        results = rebuild(results, {**replace, **{v: v for v in outside}})
        news = results[: len(outputs)]
        after = results[len(outputs) : len(outputs) + len(updates)]
        traces = [
            Trace(info.initial, info.taps, info.inner, new)
            for info, new in zip(self.infos, news)
            if info.initial is not None
        ]
        carries = [Carry(shared, state, new) for (shared, state), new in zip(states, after)]
        plain = [Output(new) for info, new in zip(self.infos, news) if info.initial is None]
        if not (traces or carries or plain):
            return [], {}
        node = make_scan(
            self.n, rows, traces, carries, plain, None if condition is None else results[-1],
            exact=self.exact, truncate=truncate, title=title,
        )  # fmt: skip
        made = node.op.split_outputs(node.outputs)  # type: ignore[attr-defined]
        length = self.n if condition is None else made.stop
        kept, values = iter(zip(traces, made.traces)), iter(made.outputs)
        whole = []
        for info in self.infos:
            if info.initial is None:
                first, value = 0, next(values)
            else:
                trace, value = next(kept)
                first = -min(trace.taps)
            if first or condition is not None:
                value = Slice((0,), (1,))(value, constant(first, "int64"), length)
            whole.append(value)
        return whole, {shared: new for (shared, _), new in zip(states, made.carries)}

    def _taken(self, given: Any) -> Variable | None:
        return self.convention.take(given) if self.convention.is_symbolic(given) else None

    def _check_strict(self, outputs: Sequence[Variable], updates: Any, outside: list[Variable]) -> None:
        """A state that the steps change, such as that of a random stream, need not be passed."""
        known = {self._taken(v) for v in self.fixed} | {s for s, _ in updates}
        for v in leaves([*outputs, *(new for _, new in updates)], stop=outside):
            if isinstance(v, SharedVariable) and v not in known and not is_counter(v):
                raise self.convention.hidden(
                    f"scan: the step reads the shared variable {v!r} from {v.origin}, which is not in "
                    "non_sequences; strict=True forbids that"
                )


def _tapped(what: str, item: Mapping[str, Any], key: str, default: list[int]) -> tuple[Any, list[int]]:
    unknown = set(item) - {key, "taps", "return_steps", "inplace", "wrap"}
    if unknown or key not in item:
        raise ArgumentError(f"scan: {what} is given as {sorted(item)}; a dictionary has {key!r} and 'taps'")
    taps = item.get("taps", default)
    taps = default if taps is None else [taps] if isinstance(taps, int) else list(taps)
    if not taps or not all(isinstance(t, int) for t in taps) or len(set(taps)) != len(taps):
        raise ArgumentError(f"scan: taps of {what} must be different integers, got {taps}")
    return item[key], taps


def _is_pair(convention: Convention, item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and convention.shared(item[0]) is not None


def _with_defaults(
    results: list[Variable], updates: list[tuple[SharedVariable, Variable]], outside: list[Variable]
) -> list[tuple[SharedVariable, Variable]]:
    """The updates, and the default updates of shared variables that the step reads, but not by `outside`."""
    updates = list(updates)
    known = {s for s, _ in updates}
    frontier = leaves([*results, *(v for _, v in updates)], stop=outside)
    while frontier:
        added = []
        for v in frontier:
            if isinstance(v, SharedVariable) and v.default_update is not None and v not in known:
                known.add(v)
                if not is_counter(v):
                    updates.append((v, v.default_update))
                    added.append(v.default_update)
        frontier = leaves(added, stop=outside) if added else []
    return updates
