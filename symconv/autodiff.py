"""Symbolic differentiation: one reverse walk over Op.grad, closed under repeated use."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from symconv.errors import DisconnectedInputError, GradientError
from symconv.graph import Apply, Variable, constant
from symconv.graph.origin import origin
from symconv.graph.traversal import rebuild, toposort
from symconv.ops import add, cast, mul, reduce_sum
from symconv.ops.operands import as_variable
from symconv.ops.shape import broadcast_like


@overload
def grad(
    cost: Variable | None,
    wrt: Variable,
    *,
    consider_constant: Iterable[Variable] = (),
    known_grads: Mapping[Variable, Any] | None = None,
    disconnected_inputs: str = "raise",
) -> Variable: ...
@overload
def grad(
    cost: Variable | None,
    wrt: Sequence[Variable],
    *,
    consider_constant: Iterable[Variable] = (),
    known_grads: Mapping[Variable, Any] | None = None,
    disconnected_inputs: str = "raise",
) -> list[Variable]: ...
def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    *,
    consider_constant: Iterable[Variable] = (),
    known_grads: Mapping[Variable, Any] | None = None,
    disconnected_inputs: str = "raise",
) -> Variable | list[Variable]:
    """d cost / d w for every w in `wrt`, as expressions of the same graph.

    cost must be a float scalar; it may be None where `known_grads` {variable: its gradient} starts
    the walk. A gradient reaches those in `consider_constant` and goes no further. `disconnected_inputs`
    says what happens to a w that does not influence the cost: 'raise', 'warn' or 'ignore' (the latter two
    give zeros).
    Raises GradientError for a cost that is no scalar, DisconnectedInputError.
    """
    many = not isinstance(wrt, Variable)
    targets: list[Variable] = list(wrt) if many else [wrt]  # type: ignore[arg-type, list-item]
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise GradientError(
            f"grad: disconnected_inputs must be 'raise', 'warn' or 'ignore', got {disconnected_inputs!r}"
        )
    seeds = _seeds(cost, known_grads)
    for w in targets:
        if not isinstance(w, Variable):
            raise GradientError(f"grad: wrt must be variables, got {type(w).__name__}")
        if not w.type.is_inexact:
            raise GradientError(
                f"grad: cannot differentiate by {w!r} from {w.origin}, whose dtype is not a float\n"
                "  hint: sc.cast it to float32 before it enters the cost"
            )
    gradients, stopped = _backward(seeds, targets, consider_constant)
    result = []
    for w in targets:
        dw = gradients.get(w)
        if dw is None:
            dw = _disconnected(w, cost, stopped, disconnected_inputs)
        if dw.name is None and w.name is not None and dw.owner is not None:
            dw.name = f"d{w.name}"
        result.append(dw)
    return result if many else result[0]


def _seeds(cost: Variable | None, known: Mapping[Variable, Any] | None) -> dict[Variable, Variable]:
    seeds: dict[Variable, Variable] = {}
    for v, g in (known or {}).items():
        g = as_variable(g)
        if g.ndim != v.ndim:
            raise GradientError(f"grad: known gradient {g.type} does not fit {v!r} from {v.origin}")
        seeds[v] = cast(g, v.dtype)
    if cost is None:
        if not seeds:
            raise GradientError("grad: give a cost, or known_grads to start from")
        return seeds
    if cost.ndim != 0:
        raise GradientError(
            f"grad: the cost must be a scalar, got {cost!r} from {cost.origin}\n"
            "  hint: take its sum() or mean(), or use sc.jacobian"
        )
    if not cost.type.is_float:
        hint = "comparisons, argmax and integer sums have no gradient"
        if cost.type.is_complex:
            hint = "real(), imag() or abs() of it have one"
        raise GradientError(
            f"grad: the cost has dtype {cost.dtype}, gradients need a float; from {cost.origin}\n"
            f"  hint: {hint}"
        )
    one = constant(1, cost.dtype)
    seeds[cost] = add(seeds[cost], one) if cost in seeds else one
    return seeds


def _backward(
    seeds: Mapping[Variable, Variable], targets: Sequence[Variable], consider_constant: Iterable[Variable]
) -> tuple[dict[Variable, Variable], list[Apply]]:
    """Gradients of every variable between seeds and targets, and the nodes where none got through."""
    constants = set(consider_constant)
    order = toposort(seeds, stop=constants)
    reaches: set[Variable] = set(targets)
    for node in order:
        if any(v in reaches for v in node.inputs):
            reaches.update(o for o in node.outputs if o not in constants)
    gradients: dict[Variable, Variable] = {v: g for v, g in seeds.items() if v in reaches}
    stopped: list[Apply] = []
    for node in reversed(order):
        dys = [None if o in constants else gradients.get(o) for o in node.outputs]
        if all(dy is None for dy in dys) or not any(v in reaches for v in node.inputs):
            continue
        with origin(f"gradient of {node.op.name} at {_plain(node.origin)}"):
            dxs = node.op.grad(node, *dys)
            _check_count(node, dxs)
            if all(dx is None for dx, x in zip(dxs, node.inputs) if x in reaches):
                stopped.append(node)
            for x, dx in zip(node.inputs, dxs):
                if dx is None or x not in reaches:
                    continue
                if not isinstance(dx, Variable) or dx.dtype != x.dtype or dx.ndim != x.ndim:
                    what = dx.type if isinstance(dx, Variable) else type(dx).__name__
                    raise GradientError(
                        f"{node.op.name}.grad gave {what} as the gradient of {x.type} from {x.origin}\n"
                        f"  in the gradient of {node.op.label()} from {node.origin}"
                    )
                gradients[x] = add(gradients[x], dx) if x in gradients else dx
    return gradients, stopped


def _check_count(node: Apply, dxs: object) -> None:
    """grad() gives a sequence with one variable, or None, for each input."""
    if not isinstance(dxs, (list, tuple)):
        given = "nothing" if dxs is None else type(dxs).__name__
    elif len(dxs) != len(node.inputs):
        given = f"{len(dxs)} gradients"
    else:
        return
    raise GradientError(
        f"{node.op.name}.grad gave {given} for {len(node.inputs)} inputs\n"
        f"  in the gradient of {node.op.label()} from {node.origin}\n"
        "  hint: return a list with one variable, or None, for each input"
    )


def accumulate(seeds: Mapping[Variable, Variable], targets: Sequence[Variable]) -> dict[Variable, Variable]:
    """u^T J for each of `targets` that the seeded variables {f: u} depend on; others are left out."""
    found, _ = _backward(seeds, targets, ())
    return {v: found[v] for v in targets if v in found}


def _plain(where: str) -> str:
    """The user's line alone, also for a gradient of a gradient."""
    return where.rsplit(" at ", 1)[-1]


def _disconnected(w: Variable, cost: Variable | None, stopped: list[Apply], policy: str) -> Variable:
    message = f"grad: the cost does not depend on {w!r} from {w.origin}"
    if stopped:
        at = ", ".join(f"{n.op.name} from {n.origin}" for n in stopped[:3])
        message = f"grad: no gradient reaches {w!r} from {w.origin}; it ends at {at}"
    if policy == "raise":
        raise DisconnectedInputError(
            f"{message}\n  hint: disconnected_inputs='ignore' gives zeros for such inputs"
        )
    if policy == "warn":
        warnings.warn(message, stacklevel=3)
    return _zeros_like(w)


def Lop(  # noqa: N802 - the name that users of Theano know
    outputs: Variable | Sequence[Variable],
    wrt: Variable | Sequence[Variable],
    eval_points: Any,
    *,
    consider_constant: Iterable[Variable] = (),
    disconnected_inputs: str = "raise",
) -> Any:
    """u^T J: the vector-Jacobian product of `outputs` by `wrt` at u = `eval_points`."""
    outs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    points = [eval_points] if isinstance(outputs, Variable) else list(eval_points)
    if len(outs) != len(points):
        raise GradientError(f"Lop: {len(outs)} outputs but {len(points)} evaluation points")
    seeds: dict[Variable, Variable] = {}
    for f, u in zip(outs, points):
        u = cast(as_variable(u), f.dtype)
        seeds[f] = add(seeds[f], u) if f in seeds else u
    return grad(
        None,
        wrt,
        known_grads=seeds,
        consider_constant=consider_constant,
        disconnected_inputs=disconnected_inputs,
    )


def Rop(  # noqa: N802
    outputs: Variable | Sequence[Variable], wrt: Variable | Sequence[Variable], eval_points: Any
) -> Any:
    """J v: the Jacobian-vector product of `outputs` by `wrt` at v = `eval_points`.

    By differentiating u^T J, which is linear in u, once more: J v = d(u^T J v) / du.
    """
    outs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    ins = [wrt] if isinstance(wrt, Variable) else list(wrt)
    points = [eval_points] if isinstance(wrt, Variable) else list(eval_points)
    if len(ins) != len(points):
        raise GradientError(f"Rop: {len(ins)} variables in wrt but {len(points)} evaluation points")
    dummies = [Variable(f.type, name="u") for f in outs]
    rows = Lop(outs, ins, dummies, disconnected_inputs="ignore")
    product: Variable | None = None
    for row, v in zip(rows, points):
        term = reduce_sum(mul(row, cast(as_variable(v), row.dtype)))
        product = term if product is None else add(product, term)
    if product is None:
        raise GradientError("Rop: wrt is empty")
    result = grad(product, dummies, disconnected_inputs="ignore")
    result = rebuild(result, {u: _zeros_like(f) for u, f in zip(dummies, outs)})
    return result[0] if isinstance(outputs, Variable) else result


def _zeros_like(x: Variable) -> Variable:
    return broadcast_like(constant(0, x.dtype), x)
