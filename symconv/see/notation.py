"""How each op is written in equations. An op that is not here is written as a function of its operands.

∗ convolution as in the book's equation (126), without turning the filter; ⊛ the full convolution that carries
an error back through a filter; ⋆ the sum over images and positions of inputs times errors, one for each
weight; up(δ, argmax c) puts each error where the maximum was, and zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symconv.graph import Apply
from symconv.ops import arithmetic as ar
from symconv.ops.activations import Elu, LeakyRelu, Relu, Sigmoid, Softplus
from symconv.ops.conv import Conv2d, Conv2dDgrad, Conv2dWgrad
from symconv.ops.dense import BatchedDot, Dot
from symconv.ops.pool import MaxPool2d, MaxPool2dGrad
from symconv.ops.random import Dropout
from symconv.ops.reduce import Sum
from symconv.ops.shape import BroadcastTo, Reshape, ShapeOf, SumTo, Transpose
from symconv.ops.softmax import SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad
from symconv.ops.transcendental import Tanh
from symconv.see.terms import ATOM, MATRIX, PRODUCT, Term, Values, bare, call, product, total

# How the activation is written as a function, and in LaTeX.
ACTIVATIONS: dict[type, tuple[str, str]] = {
    Sigmoid: ("σ", r"\sigma"),
    Tanh: ("tanh", r"\tanh"),
    Relu: ("relu", r"\mathrm{relu}"),
    LeakyRelu: ("leaky", r"\mathrm{leaky}"),
    Elu: ("elu", r"\mathrm{elu}"),
    Softplus: ("softplus", r"\mathrm{softplus}"),
}
SUBSCRIPTS = str.maketrans("0123456789×", "₀₁₂₃₄₅₆₇₈₉ₓ")
LINEAR = (Conv2d, Dot, BatchedDot)
# Rearrangements: the same numbers in another shape, which the equations leave to the reader.
SILENT = (Reshape, ar.Cast, ar.StopGradient)
Write = Callable[[Apply, int, list[Term]], Term]


def evaluated(node: Apply, index: int, operands: list[Term]) -> Callable[[Values], Any]:
    """The op's NumPy reference on the operands' values."""

    def value(values: Values) -> Any:
        arrays = []
        for term, v in zip(operands, node.inputs):
            arrays.append(np.asarray(term.value(values), v.dtype))
        found = node.op.reference(*arrays)
        return found[index] if isinstance(found, tuple) else found

    return value


def write(node: Apply, index: int, operands: list[Term]) -> Term:
    """The term of output `index` of the node."""
    writer = WRITERS.get(type(node.op))
    if writer is not None:
        return writer(node, index, operands)
    value = evaluated(node, index, operands)
    if type(node.op) in ACTIVATIONS:
        name, latex = ACTIVATIONS[type(node.op)]
        return call(name, *operands, value=value, latex=latex)
    shown = [t for i, t in enumerate(operands) if i not in node.op.shape_operands(len(operands))]
    suffix = f".{index}" if index else ""
    return call(node.op.name + suffix, *shown, value=value)


def between(node: Apply, index: int, a: Term, b: Term, sign: str, latex: str, value: Any) -> Term:
    attributes = geometry(node)
    suffix = rf"\;\mathrm{{{attributes}}}" if attributes else ""
    return Term(
        f"{a.show(ATOM)} {sign} {b.show(ATOM)}{attributes}" if sign else f"{a.show(ATOM)} {b.show(ATOM)}",
        f"{a.show(ATOM, True)} {latex} {b.show(ATOM, True)}{suffix}",
        MATRIX,
        value,
    )  # fmt: skip


def geometry(node: Apply) -> str:
    """The attributes of a convolution that are not the plain ones: [stride 2, padding 1]."""
    op: Any = node.op
    if not isinstance(op, (Conv2d, Conv2dDgrad, Conv2dWgrad)):
        return ""
    plain = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    changed = [(k, getattr(op, k)) for k, v in plain.items() if getattr(op, k) != v]
    text = [f"{k} {v[0] if isinstance(v, tuple) and len(set(v)) == 1 else v}" for k, v in changed]
    if op.flip:
        text.append("flipped")
    return f" [{', '.join(text)}]" if text else ""


def write_dot(node: Apply, index: int, operands: list[Term]) -> Term:
    op: Any = node.op
    a, b = (transposed(t) if flag else t for t, flag in zip(operands, (op.trans_a, op.trans_b)))
    return between(node, index, a, b, "", r"\,", evaluated(node, index, operands))


def transposed(t: Term) -> Term:
    return Term(f"({t.show(ATOM)})ᵀ", f"({t.show(ATOM, True)})^T", ATOM, t.body, t.factor)


def write_conv(node: Apply, index: int, operands: list[Term]) -> Term:
    x, w = operands[:2]
    return between(node, index, w, x, "∗", r"*", evaluated(node, index, operands))


def write_dgrad(node: Apply, index: int, operands: list[Term]) -> Term:
    dy, w = operands[:2]
    return between(node, index, w, dy, "⊛", r"\circledast", evaluated(node, index, operands))


def write_wgrad(node: Apply, index: int, operands: list[Term]) -> Term:
    x, dy = operands[:2]
    return between(node, index, x, dy, "⋆", r"\star", evaluated(node, index, operands))


def write_max_pool(node: Apply, index: int, operands: list[Term]) -> Term:
    window = "×".join(map(str, node.op.window))  # type: ignore[attr-defined]
    latex = rf"\max\nolimits_{{{window}}}".replace("×", r" \times ")
    return call(
        "max" + window.translate(SUBSCRIPTS), operands[0], value=evaluated(node, index, operands), latex=latex
    )


def write_max_pool_grad(node: Apply, index: int, operands: list[Term]) -> Term:
    x, dy = operands
    return Term(
        f"up({dy.show()}, argmax {x.show(ATOM)})",
        rf"\mathrm{{up}}({dy.show(latex=True)}, \arg\max {x.show(ATOM, True)})",
        ATOM,
        evaluated(node, index, operands),
    )


def write_dropout(node: Apply, index: int, operands: list[Term]) -> Term:
    op: Any = node.op
    k, x = op.stream + 1, operands[0]
    head = f"{op.factor:.6g} " if op.scale else ""
    return Term(
        f"{head}m{str(k).translate(SUBSCRIPTS)} ⊙ {bare(x)}",
        rf"{head}m_{{{k}}} \odot {bare(x, True)}",
        PRODUCT,
        evaluated(node, index, [Term(x.text, x.latex, x.level, x.body), *operands[1:]]),
        x.factor,
    )


def write_loss(node: Apply, index: int, operands: list[Term]) -> Term:
    z, y = operands
    value = evaluated(node, index, operands)
    if index == 1:
        return call("softmax", z, value=value)
    return Term(
        f"−ln softmax({z.show()})[{y.show()}]",
        rf"-\ln \mathrm{{softmax}}({z.show(latex=True)})_{{{y.show(latex=True)}}}",
        PRODUCT,
        value,
    )


def write_loss_grad(node: Apply, index: int, operands: list[Term]) -> Term:
    """dloss (p - y) for every row, y as rows with a one at the label."""
    dloss, p, y = operands
    value = evaluated(node, index, operands)
    text = f"{dloss.show(PRODUCT)} ({p.show()} − 1[{y.show()}])"
    latex = rf"{dloss.show(PRODUCT, True)} ({p.show(latex=True)} - 1_{{{y.show(latex=True)}}})"
    return Term(text, latex, PRODUCT, value)


def write_sum(node: Apply, index: int, operands: list[Term]) -> Term:
    x = operands[0]
    return Term(
        f"Σ {x.show(PRODUCT)}", rf"\sum {x.show(PRODUCT, True)}", PRODUCT, evaluated(node, index, operands)
    )


def write_sum_to(node: Apply, index: int, operands: list[Term]) -> Term:
    """Nothing where the shapes are the same, else a sum."""
    x = node.inputs[0]
    if x.type.shape == node.out.type.shape:
        return silent(node, index, operands)
    return write_sum(node, index, operands)


def silent(node: Apply, index: int, operands: list[Term]) -> Term:
    x = operands[0]
    inner = [Term(x.text, x.latex, x.level, x.body), *operands[1:]]
    return Term(x.text, x.latex, x.level, evaluated(node, index, inner), x.factor)


def write_broadcast(node: Apply, index: int, operands: list[Term]) -> Term:
    """A number stays a number; a tensor stretches silently."""
    return operands[0] if operands[0].is_number else silent(node, index, operands)


def write_shape(node: Apply, index: int, operands: list[Term]) -> Term:
    value = evaluated(node, index, operands)
    if node.op.axis == 0:  # type: ignore[attr-defined]
        return Term("n", "n", ATOM, value)
    return call("size", operands[0], value=value)


def write_div(node: Apply, index: int, operands: list[Term]) -> Term:
    a, b = operands
    if b.is_number:
        return Term(a.text, a.latex, a.level, a.body, a.factor / b.factor)
    return Term(
        f"{a.show(ATOM)}/{b.show(ATOM)}",
        rf"\frac{{{a.show(latex=True)}}}{{{b.show(latex=True)}}}",
        PRODUCT,
        lambda values: a.value(values) / b.value(values),
    )


def write_square(node: Apply, index: int, operands: list[Term]) -> Term:
    (x,) = operands
    value = evaluated(node, index, operands)
    return Term(f"({x.show()})²", f"({x.show(latex=True)})^2", ATOM, value)


def write_mul(node: Apply, index: int, operands: list[Term]) -> Term:
    a, b = operands
    return product(a, b, "", r"\,") if 0 in {v.ndim for v in node.inputs} else product(a, b)


def write_neg(node: Apply, index: int, operands: list[Term]) -> Term:
    (x,) = operands
    return Term(x.text, x.latex, x.level, x.body, -x.factor)


def write_transpose(node: Apply, index: int, operands: list[Term]) -> Term:
    value = evaluated(node, index, operands)
    t = transposed(operands[0])
    return Term(t.text, t.latex, t.level, value)


WRITERS: dict[type, Write] = {
    ar.Add: lambda node, index, operands: total(operands[0], operands[1]),
    ar.Sub: lambda node, index, operands: total(operands[0], operands[1], -1),
    ar.Mul: write_mul,
    ar.Neg: write_neg,
    ar.TrueDiv: write_div,
    ar.Square: write_square,
    Dot: write_dot,
    BatchedDot: write_dot,
    Conv2d: write_conv,
    Conv2dDgrad: write_dgrad,
    Conv2dWgrad: write_wgrad,
    MaxPool2d: write_max_pool,
    MaxPool2dGrad: write_max_pool_grad,
    Dropout: write_dropout,
    SoftmaxCrossEntropy: write_loss,
    SoftmaxCrossEntropyGrad: write_loss_grad,
    Sum: write_sum,
    SumTo: write_sum_to,
    BroadcastTo: write_broadcast,
    ShapeOf: write_shape,
    Transpose: write_transpose,
    **{kind: silent for kind in SILENT},
}
