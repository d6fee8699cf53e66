"""Matrix products with all that surrounds them: alpha and beta, bias and activation, derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from symconv.graph import Apply, Constant, Variable, constant
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.origin import origin
from symconv.graph.traversal import Readers, inherit_lines
from symconv.ops.arithmetic import add, mul, neg
from symconv.ops.dense import Dot
from symconv.ops.gemm import DenseAct, DotMulActGrad, Gemm
from symconv.ops.operands import cast
from symconv.ops.shape import reshape
from symconv.rewrite.activation import FUSED, match_activation_grad, owner
from symconv.rewrite.driver import Applied, Trace
from symconv.rewrite.limit import permitted

MAX_TERMS = 16


def _read_once(v: Variable, readers: Readers) -> bool:
    return len(readers.get(v, ())) == 1


# -- sums of products: w - eta * dot(x.T, dy) - eta * lam * w ---------------------------------------


@dataclass
class Coefficient:
    """number * product of scalar variables."""

    number: float = 1.0
    scalars: tuple[Variable, ...] = ()

    def times(self, v: Variable) -> Coefficient:
        if isinstance(v, Constant):
            return Coefficient(self.number * float(v.data.flat[0]), self.scalars)
        return Coefficient(self.number, (*self.scalars, v))

    def variable(self, dtype: str) -> Variable:
        total: Variable | None = None
        for s in self.scalars:
            s = reshape(s, ()) if s.ndim else s
            total = s if total is None else mul(total, s)
        if total is None:
            return constant(self.number, dtype)
        return cast(total if self.number == 1.0 else mul(total, self.number), dtype)


@dataclass
class Sum:
    """A linear combination: the products in it and the other terms."""

    products: list[tuple[Coefficient, Apply]] = field(default_factory=list)
    others: list[tuple[Coefficient, Variable]] = field(default_factory=list)


def _expand(v: Variable, coefficient: Coefficient, into: Sum, readers: Readers, root: bool) -> None:
    """Add coefficient * v to the sum, going down through add, sub, neg, and multiples by a scalar."""
    stack = [(v, coefficient, root)]
    shape = v.type.shape
    while stack:
        v, c, is_root = stack.pop()
        node = v.owner
        full = v.type.shape == shape
        inside = node is not None and full and (is_root or _read_once(v, readers))
        if inside and len(into.products) + len(into.others) + len(stack) < MAX_TERMS:
            assert node is not None
            if node.op.name in ("add", "sub"):
                a, b = node.inputs
                sign = -1.0 if node.op.name == "sub" else 1.0
                stack += [(b, Coefficient(c.number * sign, c.scalars), False), (a, c, False)]
                continue
            if node.op.name == "neg":
                stack.append((node.inputs[0], Coefficient(-c.number, c.scalars), False))
                continue
            scaled = _scaled(node)
            if scaled is not None:
                stack.append((scaled[0], c.times(scaled[1]), False))
                continue
            if isinstance(node.op, Dot):
                into.products.append((c, node))
                continue
        into.others.append((c, v))


def _scaled(node: Apply) -> tuple[Variable, Variable] | None:
    """(x, s) where the node is x * s with a scalar s."""
    if node.op.name != "mul":
        return None
    for x, s in (node.inputs, node.inputs[::-1]):
        if s.type.size == 1 and x.type.shape == node.out.type.shape:
            return x, s
    return None


def _as_gemm(root: Variable, readers: Readers) -> Variable | None:
    terms = Sum()
    _expand(root, Coefficient(), terms, readers, True)
    products = [(c, n) for c, n in terms.products if n.out.type == root.type]
    if not products or not terms.others or not root.type.is_float:
        return None
    (alpha, product), *rest = products
    others = [*terms.others, *((c, n.out) for c, n in rest)]
    beta, c = _collect(others, root)
    if c.type != root.type:
        return None
    op: Any = product.op
    gemm = Gemm(op.trans_a, op.trans_b)
    return gemm(c, *product.inputs, alpha.variable(root.dtype), beta)  # type: ignore[no-any-return]


def _collect(others: list[tuple[Coefficient, Variable]], root: Variable) -> tuple[Variable, Variable]:
    """(beta, c) such that beta * c is the sum of the terms: one term if all are multiples of one value."""
    merged: dict[tuple[Variable, tuple[Variable, ...]], float] = {}
    for k, v in others:
        merged[v, k.scalars] = merged.get((v, k.scalars), 0.0) + k.number
    values = {v for v, _ in merged}
    if len(values) == 1:
        beta: Variable | None = None
        for (_, scalars), number in merged.items():
            term = Coefficient(number, scalars).variable(root.dtype)
            beta = term if beta is None else add(beta, term)
        assert beta is not None
        return beta, values.pop()
    total: Variable | None = None
    for (v, scalars), number in merged.items():
        k = Coefficient(number, scalars)
        term = v if not scalars and number == 1.0 else mul(v, k.variable(root.dtype))
        if number == -1.0 and not scalars:
            term = neg(v)
        total = term if total is None else add(total, term)
    assert total is not None
    return constant(1.0, root.dtype), total


def fuse_gemm(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """beta * c + alpha * op(a) @ op(b) in one node, in place on c where the planner can."""
    readers = graph.readers()
    replace: dict[Variable, Variable] = {}
    for node in reversed(graph.nodes()):
        if node.op.name not in ("add", "sub") or node.out.ndim != 2:
            continue
        if any(
            r is not None and r.op.name in ("add", "sub") and _read_once(node.out, readers)
            for r, _ in readers.get(node.out, ())
        ):
            continue  # a larger sum takes it in
        with origin(node.origin):
            new = _as_gemm(node.out, readers)
        if new is not None and permitted():
            assert new.owner is not None
            inherit_lines(new.owner, [node.out])
            replace[node.out] = new
            trace.append(Applied("gemm", repr(node), repr(new.owner), new.origin))
    return graph.substitute(replace)


# -- bias, activation, derivative -------------------------------------------------------------------


def _row_bias(b: Variable, columns: int) -> Variable | None:
    """b as a vector of `columns` where it is added to every row."""
    if b.type.shape in ((columns,), (1, columns)):
        return b if b.ndim == 1 else reshape(b, (columns,))
    return None


def _dense_act(node: Apply, readers: Readers) -> Variable | None:
    """act(dot(x, w) + b) -> dense_act; for the node of the activation, or of the sum."""
    activation, total = "linear", node
    if node.op.name in FUSED:
        activation = node.op.name
        inner = owner(node.inputs[0], "add")
        if inner is None or not _read_once(inner.out, readers):
            return None
        total = inner
    elif node.op.name != "add":
        return None
    for a, b in (total.inputs, total.inputs[::-1]):
        product = owner(a, "dot")
        if product is None or not _read_once(a, readers) or a.ndim != 2 or not a.type.is_float:
            continue
        bias = _row_bias(b, a.type.shape[1] or 0)
        if bias is not None and total.out.type == a.type:
            op: Any = product.op
            return DenseAct(op.trans_a, op.trans_b, activation)(*product.inputs, bias)  # type: ignore[no-any-return]
    return None


def fuse_dense(graph: FunctionGraph, trace: Trace) -> FunctionGraph:
    """act(x @ w + b) in one node, and (dy @ w.T) * act'(y) in one node."""
    readers = graph.readers()
    replace: dict[Variable, Variable] = {}
    covered: set[Variable] = set()
    for node in reversed(graph.nodes()):
        if node.outputs[0] in covered:
            continue
        with origin(node.origin):
            new = found = _dense_act(node, readers)
            if found is None:
                new = _dot_act_grad(node, readers)
        if new is not None and permitted():
            if found is not None:
                covered.update(node.inputs)
            replace[node.out] = new
            assert new.owner is not None
            inherit_lines(new.owner, [node.out])
            trace.append(Applied(new.owner.op.name, repr(node), repr(new.owner), new.origin))
    return graph.substitute(replace)


def _dot_act_grad(node: Apply, readers: Readers) -> Variable | None:
    found = match_activation_grad(node.outputs[0])
    if found is None:
        return None
    activation, dy, y = found
    product = owner(dy, "dot")
    if product is None or not _read_once(dy, readers) or y.type != dy.type or dy.ndim != 2:
        return None
    op: Any = product.op
    return DotMulActGrad(op.trans_a, op.trans_b, activation)(*product.inputs, y)  # type: ignore[no-any-return]
