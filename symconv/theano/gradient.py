"""theano.gradient: derivatives, and variables that change how they flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv import autodiff
from symconv.errors import DisconnectedInputError, GradientError
from symconv.graph import Variable as Native
from symconv.graph.traversal import rebuild, toposort
from symconv.jacobian import hessian as native_hessian
from symconv.jacobian import jacobian as native_jacobian
from symconv.ops.arithmetic import Cast
from symconv.ops.shape import broadcast_like
from symconv.theano import constant_targets, traces, verify
from symconv.theano import null_gradient as null_gradients_of_ops
from symconv.theano.configuration import config
from symconv.theano.connection import connection
from symconv.theano.errors import CostError
from symconv.theano.flow import (
    GradClip,
    GradScale,
    UndefinedGrad,
    ZeroGrad,
    consider_constant,
    consider_constant_,
    disconnected_grad,
    disconnected_grad_,
    grad_clip,
    grad_scale,
    undefined_grad,
    zero_grad,
    zero_grad_,
)
from symconv.theano.null_gradient import check, null_gradient
from symconv.theano.tensor.monotone import as_written
from symconv.theano.variable import Variable, native_of, wrap

NullTypeGradError = null_gradients_of_ops.NullTypeGradError
verify_grad = verify.verify_grad


def _many(wrt: Any) -> bool:
    return not isinstance(wrt, Variable)


def _natives(variables: Any) -> list[Native]:
    if variables is None:
        return []
    if isinstance(variables, Variable):
        return [variables.native]
    return [native_of(v) for v in variables]


def grad(
    cost: Any,
    wrt: Any,
    consider_constant: Any = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Any = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """d cost / d w for each w, in the order of `wrt`; for a single variable the gradient itself.

    The gradient by integers, in floatX, is that by the floats which they become in the cost; what is
    computed in integers passes none. A gradient that an Op says not to exist, or one by the parameters of a
    random draw, raises NullTypeGradError, unless null_gradients="return". Raises GradientError,
    DisconnectedInputError.
    """
    targets = list(wrt) if _many(wrt) else [wrt]
    for w in targets:
        if not isinstance(w, Variable):
            raise GradientError(f"grad: wrt must be variables, got {w!r}")
    known = {  # None: DisconnectedType()()
        k: g for k, g in dict(known_grads or {}).items() if g is not None and not isinstance(g, _Disconnected)
    }
    if cost is not None and cost in dict(known_grads or {}) and cost not in known:
        cost = None
        if not known:
            return _of_nothing(targets, wrt, disconnected_inputs)
    seeds = {k.native: _stretched(native_of(g), k.native) for k, g in known.items()}
    if null_gradients == "raise":
        check(list(seeds.values()))
    root = None if cost is None else native_of(cost)
    asked = [*(w.native for w in targets), *seeds, *_natives(consider_constant)]
    written = as_written([*seeds, *([] if root is None else [root])], asked)
    seeds, root = dict(zip(written, seeds.values())), None if root is None else written[-1]
    floats = [w for w in targets if w.native.type.is_inexact]
    if root is not None:
        root = constant_targets.read_from([w.native for w in floats], root)
    if root is not None and root.ndim:
        raise CostError(
            f"grad: the cost must be a scalar, got {root.type} from {root.origin}\n"
            "  hint: cost.sum() or cost.mean(); theano.gradient.jacobian for vectors"
        )
    traces.held([root, *seeds] if root is not None else list(seeds))
    found: dict[Any, Any] = {}
    constants = _natives(consider_constant)
    paths = connection([root, *seeds] if root is not None else list(seeds), constants)
    for w in targets:
        if w.native in paths.undefined:
            found[w] = wrap(null_gradient(w.native, _through_draw(w)))
            if null_gradients == "raise":
                check([found[w].native])
    if root is not None and not root.type.is_inexact and not known_grads:
        return _of_integer_cost(root, targets, wrt, consider_constant, disconnected_inputs)
    floats = [w for w in floats if w not in found]
    if return_disconnected != "zero" and disconnected_inputs != "raise":
        apart_from = None if return_disconnected == "None" else _Disconnected()
        found |= {w: apart_from for w in floats if w.native not in paths.connected}
        floats = [w for w in floats if w.native in paths.connected]
    if floats:
        gradients = autodiff.grad(
            root, [w.native for w in floats], consider_constant=constants, known_grads=seeds,
            disconnected_inputs=disconnected_inputs,
        )  # fmt: skip
        _unname(gradients, [w.native for w in floats])
        found |= dict(zip(floats, map(wrap, gradients)))
        apart = [w for w in floats if w.native not in paths.connected]
        if apart and disconnected_inputs == "raise":
            raise DisconnectedInputError(
                f"grad: the cost does not depend on {apart[0]!r} from {apart[0].native.origin}: no step of "
                "the loops between them passes its value on\n"
                "  hint: disconnected_inputs='ignore' gives zeros for such inputs"
            )
    for w in targets:
        if w not in found:
            if (
                disconnected_inputs == "raise"
                and root is not None
                and w.native not in _below([root], constants)
            ):
                raise DisconnectedInputError(
                    f"grad: the cost does not depend on {w!r} from {w.native.origin}"
                )
            found[w] = _of_integers(root, w, constants, seeds)
    result = [found[w] for w in targets]
    if null_gradients == "raise":
        check([g.native for g in result if isinstance(g, Variable)])
    else:
        result = [_null_or(g) for g in result]
    if add_names and root is not None and root.name is not None:
        _name(root.name, targets, result)
    if not _many(wrt):
        return result[0]
    return tuple(result) if isinstance(wrt, tuple) else result


def _null_or(g: Any) -> Any:
    """g, with NullType as its type if it is a gradient that does not exist."""
    from symconv.theano.gof.null_type import null_variable

    missing = isinstance(g, Variable) and null_gradients_of_ops.reason(g.native) is not None
    return null_variable(g.native) if missing else g


def _of_nothing(targets: list[Any], wrt: Any, disconnected: str) -> Any:
    """The gradients where that of the cost is said to be disconnected."""
    from symconv.theano.tensor.shape_ops import zeros_like

    if disconnected == "raise":
        raise DisconnectedInputError("grad: known_grads says that the cost is disconnected")
    result = [zeros_like(w, w.dtype if w.native.type.is_inexact else config.floatX) for w in targets]
    return result if _many(wrt) else result[0]


def _stretched(g: Native, v: Native) -> Native:
    """A known gradient of v; a scalar is that of every element."""
    return g if g.ndim or not v.ndim else broadcast_like(g, v)


def _through_draw(w: Any) -> str:
    return (
        f"grad: the cost depends on {w!r} from {w.native.origin} through the parameters of a random draw, or "
        "through undefined_grad: there is no gradient\n"
        "  hint: consider_constant=[sample] or theano.gradient.disconnected_grad(sample) leaves that path "
        "out; avg + std * normal(size) has a gradient by avg and std"
    )


def _check_draws(roots: Sequence[Native], wrt: Sequence[Native], constants: Sequence[Native] = ()) -> None:
    """Raise NullTypeGradError if the roots depend on one of `wrt` through the parameters of a draw."""
    undefined = connection(roots, constants).undefined
    for w in wrt:
        if w in undefined:
            raise NullTypeGradError(_through_draw(wrap(w)))


def _unname(gradients: Sequence[Native], targets: Sequence[Native]) -> None:
    """Theano names a gradient by its cost, where that has a name."""
    for w, g in zip(targets, gradients):
        if g.owner is not None and g.name == f"d{w.name}":
            g.name = None


def _name(cost: str, targets: list[Any], gradients: list[Any]) -> None:
    """(dcost/dw) as the name of what was computed for w, unless somebody has named it."""
    for w, g in zip(targets, gradients):
        if w.name is not None and isinstance(g, Variable) and g.owner is not None and g.name is None:
            g.name = f"(d{cost}/d{w.name})"


def _of_integer_cost(
    root: Native, targets: list[Any], wrt: Any, consider_constant: Any, disconnected: str
) -> Any:  # fmt: skip
    """The gradients of what is computed in integers: 0, and 1 by the cost itself."""
    from symconv.theano.tensor.shape_ops import ones_like, zeros_like

    connected = _below([root], _natives(consider_constant))
    result = []
    for w in targets:
        if w.native not in connected and disconnected == "raise":
            raise DisconnectedInputError(f"grad: the cost does not depend on {w!r} from {w.native.origin}")
        dtype = w.dtype if w.native.type.is_inexact else config.floatX
        result.append(ones_like(w, dtype) if w.native is root else zeros_like(w, dtype))
    return result if _many(wrt) else result[0]


def _of_integers(root: Native | None, w: Any, constants: list[Native], seeds: dict[Native, Native]) -> Any:
    """The gradient by integers: that by the floats which they are cast to, in floatX; 0 where there are
    none."""
    from symconv.theano.tensor import elementwise
    from symconv.theano.tensor.shape_ops import ones_like, zeros_like

    if w.native in seeds:
        return wrap(seeds[w.native])
    if root is w.native:
        return ones_like(w, config.floatX)
    there = [root] if root is not None else list(seeds)
    casts = [
        node.outputs[0]
        for node in toposort(there, stop=constants)
        if isinstance(node.op, Cast) and node.inputs[0] is w.native and node.outputs[0].type.is_inexact
    ]
    if not casts or (root is not None and not root.type.is_inexact):
        return zeros_like(w, config.floatX)
    parts = autodiff.grad(
        root, casts, consider_constant=constants, known_grads=seeds, disconnected_inputs="ignore"
    )
    total = wrap(parts[0])
    for part in parts[1:]:
        total = elementwise.add(total, wrap(part))
    return elementwise.cast(total, config.floatX)


def _below(roots: Sequence[Native | None], stop: Sequence[Native]) -> set[Native]:
    """All variables that the roots are computed from."""
    there = [r for r in roots if r is not None]
    seen: set[Native] = set(there)
    for node in toposort(there, stop=stop):
        seen.update(node.inputs)
    return seen


def subgraph_grad(wrt: Any, end: Any, start: Any = None, cost: Any = None, details: bool = False) -> Any:
    """(gradients by wrt, gradients by end) of one stretch of a graph, from those of its outputs `start`; what
    lies below `end` counts as given."""
    ends = [native_of(v) for v in end]
    leaf = {v: Native(v.type, name=v.name) for v in ends if v.owner is not None}
    starts = {native_of(v): native_of(g) for v, g in dict(start or {}).items()}
    roots = [*starts, *([] if cost is None else [native_of(cost)])]
    cut = rebuild(roots, leaf)
    found = grad(
        None if cost is None else wrap(cut[-1]),
        [*wrt, *(wrap(leaf.get(v, v)) for v in ends)],
        known_grads={wrap(v): wrap(g) for v, g in zip(cut, starts.values())},
        disconnected_inputs="ignore",
    )
    back = {new: old for old, new in leaf.items()}
    together = [wrap(v) for v in rebuild([native_of(v) for v in found], back)]
    by_wrt, by_end = together[: len(wrt)], together[len(wrt) :]
    return (by_wrt, by_end, None, None) if details else (by_wrt, by_end)


def Lop(
    f: Any, wrt: Any, eval_points: Any, consider_constant: Any = None, disconnected_inputs: str = "raise"
) -> Any:  # noqa: N802
    """eval_points^T J: the vector-Jacobian product."""
    outs = _natives(f)
    points = [
        native_of(p) for p in (eval_points if isinstance(eval_points, (list, tuple)) else [eval_points])
    ]
    _check_draws(outs, _natives(wrt), _natives(consider_constant))
    out = autodiff.Lop(
        outs, _natives(wrt), points, consider_constant=_natives(consider_constant),
        disconnected_inputs=disconnected_inputs,
    )  # fmt: skip
    _unname(out, _natives(wrt))
    wrapped = [wrap(v) for v in out]
    if not _many(wrt):
        return wrapped[0]
    return tuple(wrapped) if isinstance(wrt, tuple) else wrapped


def Rop(
    f: Any, wrt: Any, eval_points: Any, disconnected_outputs: str = "raise", return_disconnected: str = "zero"
) -> Any:  # noqa: N802
    """J eval_points: the Jacobian-vector product; by R_op where a user's op has one, and by rop_overrides."""
    from symconv.theano.forward import rop  # which knows of all kinds of ops

    points = [
        native_of(p) for p in (eval_points if isinstance(eval_points, (list, tuple)) else [eval_points])
    ]
    ins = _natives(wrt)
    for v, p in zip(ins, points):
        if v.ndim != p.ndim:
            raise GradientError(f"Rop: the evaluation point {p.type} does not fit {v!r}, {v.type}")
    out = [wrap(v) for v in rop(_natives(f), ins, points)]
    if not _many(f):
        return out[0]
    return tuple(out) if isinstance(f, tuple) else out


def jacobian(
    expression: Any, wrt: Any, consider_constant: Any = None, disconnected_inputs: str = "raise"
) -> Any:
    """d expression[i] / d wrt for a vector (or scalar) expression."""
    return _second(native_jacobian, native_of(expression), wrt, disconnected_inputs)


def hessian(cost: Any, wrt: Any, consider_constant: Any = None, disconnected_inputs: str = "raise") -> Any:
    """d2 cost / d wrt d wrt for vectors."""
    return _second(native_hessian, native_of(cost), wrt, disconnected_inputs)


def _second(derivative: Any, y: Native, wrt: Any, disconnected_inputs: str) -> Any:
    """derivative(y, w) for each w, in a tuple, a list or alone, as wrt is given."""
    targets = _natives(wrt)
    _check_draws([y], targets)
    traces.held([y, *targets])
    y = as_written([y], targets)[0]
    out = [wrap(derivative(y, v, disconnected_inputs)) for v in targets]
    return tuple(out) if isinstance(wrt, tuple) else out if _many(wrt) else out[0]


def grad_not_implemented(op: Any, x_pos: int, x: Any, comment: str = "") -> Any:
    """What a custom Op's grad returns for an input without gradient rule: grad raises NullTypeGradError where
    it is needed."""
    why = f"{op}: the gradient by input {x_pos} ({x!r}) is not implemented. {comment}"
    return wrap(null_gradient(native_of(x), why))


def grad_undefined(op: Any, x_pos: int, x: Any, comment: str = "") -> Any:
    """What a custom Op's grad returns for an input by which it has no derivative: grad raises
    NullTypeGradError where it is needed."""
    why = f"{op}: the gradient by input {x_pos} ({x!r}) is not defined. {comment}"
    return wrap(null_gradient(native_of(x), why))


class DisconnectedType:
    """The type of a gradient that does not exist: DisconnectedType()() in a custom Op's grad."""

    def __call__(self, *_: Any, **__: Any) -> None:
        return None


disconnected_type = DisconnectedType()


class _Disconnected:
    """What grad(return_disconnected="Disconnected") gives where the cost is not connected."""

    type = disconnected_type
    name = owner = None


__all__ = [
    "DisconnectedInputError", "DisconnectedType", "GradClip", "GradScale", "UndefinedGrad", "ZeroGrad",
    "Lop", "NullTypeGradError", "Rop", "consider_constant",
    "consider_constant_", "disconnected_grad", "disconnected_grad_", "disconnected_type", "grad", "grad_clip",
    "grad_not_implemented", "grad_scale", "grad_undefined", "hessian", "jacobian", "subgraph_grad",
    "undefined_grad", "verify_grad", "zero_grad", "zero_grad_",
]  # fmt: skip
