"""The error function in its tails: 1 - erf(x) has no digits left where erfc(x) has all of them, and erfc(x)
itself is 0 beyond 27, where its logarithm, and the slope of that, are ordinary numbers.

For large x erfc(x) = e^(-x^2) / (x sqrt(pi)) (1 - t + 3 t^2 - 15 t^3 ...), Abramowitz and Stegun 7.1.23,
with t = 1 / (2 x^2).
"""

from __future__ import annotations

import math

from symconv.graph import Apply, Variable
from symconv.ops.arithmetic import Mul, TrueDiv, add, mul, neg, square, sub, true_div
from symconv.ops.logic import less, where
from symconv.ops.rounding import maximum, minimum
from symconv.ops.transcendental import Log, erf, erfc, exp, log, log1p
from symconv.rewrite.pattern import LocalRule, Rule, filled_value

TAIL = {"float32": 9.0, "float64": 25.0}  # from here on the series has all digits
MAX_DEPTH = 4


def _series(x: Variable) -> Variable:
    """t - 3 t^2 + 15 t^3 - 105 t^4 + 945 t^5 for t = 1 / (2 x^2): what is missing to 1."""
    t = true_div(0.5, square(x))
    total = mul(t, 945.0)
    for k in (105.0, 15.0, 3.0, 1.0):
        total = mul(t, sub(k, total))
    return total


def _log_of_erfc(node: Apply) -> Variable | None:
    """log(c erfc(x)) for a number c > 0, by the series where x is large."""
    tops: list[Variable] = []
    bottoms: list[Variable] = []
    _factors(node.inputs[0], tops, bottoms, 0)
    found = [(v, x) for v in tops if (x := _argument(v)) is not None]
    if len(found) != 1 or node.out.dtype not in TAIL:
        return None
    (e, x), scale = found[0], 1.0
    for v in (*(t for t in tops if t is not e), *bottoms):
        number = filled_value(v)
        if number is None or not float(number) > 0:
            return None
        scale = scale / float(number) if any(v is b for b in bottoms) else scale * float(number)
    far, near = maximum(x, TAIL[x.dtype]), minimum(x, TAIL[x.dtype])
    tail = sub(sub(log1p(neg(_series(far))), square(far)), log(mul(far, math.sqrt(math.pi))))
    chosen: Variable = where(less(x, TAIL[x.dtype]), log(erfc(near)), tail)
    return chosen if scale == 1 else add(chosen, math.log(scale))


def _argument(v: Variable) -> Variable | None:
    """x of an erfc(x) that no rule here has made."""
    node = v.owner
    if node is None or node.op.name != "erfc" or v.dtype not in TAIL:
        return None
    inner = node.inputs[0]
    return None if inner.owner is not None and inner.owner.op.name == "minimum" else inner


def _slope_over_erfc(node: Apply) -> Variable | None:
    """... e^(-x^2) / erfc(x) ..., the slope of log(erfc(x)), without 0 / 0."""
    tops: list[Variable] = []
    bottoms: list[Variable] = []
    _factors(node.out, tops, bottoms, 0)
    for bottom in bottoms:
        x = _argument(bottom)
        top = None if x is None else next((t for t in tops if _is_bell(t, x)), None)
        if x is None or top is None:
            continue
        far, near = maximum(x, TAIL[x.dtype]), minimum(x, TAIL[x.dtype])
        tail = true_div(mul(far, math.sqrt(math.pi)), sub(1.0, _series(far)))
        result = where(less(x, TAIL[x.dtype]), true_div(exp(neg(square(near))), erfc(near)), tail)
        tops.remove(top)
        bottoms.remove(bottom)
        for factor in tops:
            result = mul(result, factor)
        for factor in bottoms:
            result = true_div(result, factor)
        return result
    return None


def _factors(v: Variable, tops: list[Variable], bottoms: list[Variable], depth: int) -> None:
    node = v.owner
    name = node.op.name if node is not None and depth < MAX_DEPTH else ""
    if name == "mul":
        for x in node.inputs:  # type: ignore[union-attr]
            _factors(x, tops, bottoms, depth + 1)
    elif name == "true_div":
        _factors(node.inputs[0], tops, bottoms, depth + 1)  # type: ignore[union-attr]
        _factors(node.inputs[1], bottoms, tops, depth + 1)  # type: ignore[union-attr]
    else:
        tops.append(v)


def _is_bell(v: Variable, x: Variable) -> bool:
    """Whether v is e^(-x^2)."""
    e = v.owner
    if e is None or e.op.name != "exp":
        return False
    n = e.inputs[0].owner
    if n is None or n.op.name != "neg":
        return False
    s = n.inputs[0].owner
    return s is not None and s.op.name == "square" and _without_sign(s.inputs[0]) is _without_sign(x)


def _without_sign(x: Variable) -> Variable:
    while x.owner is not None and x.owner.op.name == "neg":
        x = x.owner.inputs[0]
    return x


RULES: list[Rule | LocalRule] = [
    LocalRule("log_of_erfc", Log, _log_of_erfc),
    LocalRule("slope_over_erfc", Mul, _slope_over_erfc),
    LocalRule("slope_over_erfc", TrueDiv, _slope_over_erfc),
    Rule("log1p_erf", lambda x: log1p(erf(x)), lambda x: log(erfc(neg(x)))),
    Rule("log1p_minus_erf", lambda x: log1p(neg(erf(x))), lambda x: log(erfc(x))),
    Rule("one_plus_erf", lambda x: add(1.0, erf(x)), lambda x: erfc(neg(x))),
    Rule("one_minus_erf", lambda x: sub(1.0, erf(x)), lambda x: erfc(x)),
    Rule("erf_minus_one", lambda x: sub(erf(x), 1.0), lambda x: neg(erfc(x))),
    Rule("one_minus_erfc", lambda x: sub(1.0, erfc(x)), lambda x: erf(x)),
]
