"""The gradient that the compiler derives, as numbered equations in the book's notation.

For layer l: w^l, b^l weights and biases; z^l the weighted input, a^l the activation, a^0 the images; c^l the
output of a convolution that is pooled; δ^l = ∂C/∂z^l; ∇v = ∂C/∂v for any other v. A row of a matrix is an
image, so that products stand the other way round than in the book's equations for a single column vector.

Each equation's right-hand side is one structure that prints (see.terms) and evaluates: what is checked
against finite differences is what is printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.autodiff import grad
from symconv.errors import GraphError
from symconv.graph import Apply, Constant, SharedVariable, Variable, constant
from symconv.graph.traversal import toposort
from symconv.ops.arithmetic import Add
from symconv.ops.pool import MaxPool2d
from symconv.ops.random import Dropout
from symconv.ops.shape import Reshape, ShapeOf, Transpose, broadcast_like
from symconv.ops.softmax import Softmax, SoftmaxCrossEntropy
from symconv.see.notation import ACTIVATIONS, LINEAR, write
from symconv.see.terms import ATOM, Term, call, nabla, number, product, symbol

# Characters of a term, after which it gets a name of its own: where it is read once, where it is read again.
LONG, SHORT = 60, 16


@dataclass(frozen=True, eq=False)
class Equation:
    """symbol = term, the value of `variable`; `part` is "forward" or "backward"."""

    number: int
    part: str
    variable: Variable
    symbol: Term
    term: Term

    def text(self) -> str:
        return f"{self.symbol.text} = {self.term.show()}"

    def latex(self) -> str:
        return rf"{self.symbol.latex} = {self.term.show(latex=True)} \tag{{{self.number}}}"


class Equations:
    """The equations of a cost and its gradients. str() is their text, `latex()` the same for LaTeX."""

    def __init__(
        self, cost: Variable, wrt: Sequence[Variable], equations: list[Equation], leaves: dict[Variable, Term]
    ) -> None:
        self.cost, self.wrt, self.equations, self.leaves = cost, list(wrt), equations, leaves

    def __iter__(self) -> Any:
        return iter(self.equations)

    def __len__(self) -> int:
        return len(self.equations)

    def __str__(self) -> str:
        width = max(len(e.text()) for e in self.equations)
        lines = []
        for part in ("forward", "backward"):
            lines.append(part.capitalize())
            lines += [f"  {e.text():<{width}}  ({e.number})" for e in self.equations if e.part == part]
        return "\n".join(lines)

    def latex(self) -> str:
        """A gather environment of amsmath; each equation has its number."""
        lines = " \\\\\n".join(e.latex() for e in self.equations)
        return f"\\begin{{gather*}}\n{lines}\n\\end{{gather*}}"

    def evaluate(self, values: Mapping[Variable, Any]) -> dict[str, np.ndarray]:
        """The left-hand sides by their text, each computed from its equation, in order.

        `values` gives the inputs; shared variables have their own unless it names them. Raises GraphError
        for an input without a value.
        """
        known: dict[Variable, Any] = {}
        for v, name in self.leaves.items():
            if v in values:
                known[v] = np.asarray(values[v], v.dtype)
            elif isinstance(v, SharedVariable):
                known[v] = v.get_value()
            elif isinstance(v, Constant):
                known[v] = v.data
            else:
                raise GraphError(f"evaluate: {name.text}, the input {v!r} from {v.origin}, has no value")
        found = {}
        for e in self.equations:
            value = np.asarray(e.term.value(known), e.variable.dtype)
            value = np.broadcast_to(value, shape_like(e.variable, value))
            known[e.variable] = found[e.symbol.text] = value
        return found


def shape_like(v: Variable, value: np.ndarray) -> tuple[int, ...]:
    """The value's shape; where a plain number stands for a tensor of known shape, that shape."""
    shape = value.shape
    known = tuple(d for d in v.type.shape if d is not None)
    return known if not shape and len(known) == v.ndim else shape


def explain(cost: Variable, wrt: Variable | Sequence[Variable]) -> Equations:
    """The forward pass and d cost / d wrt as equations, as the compiler derives them before any rewriting.

    Raises GradientError where there is no gradient, as `grad` does.
    """
    targets = [wrt] if isinstance(wrt, Variable) else list(wrt)
    return _Writer(cost, targets).write()


class _Names:
    """Names of the forward variables by layer."""

    def __init__(self, cost: Variable, wrt: Sequence[Variable]) -> None:
        self.terms: dict[Variable, Term] = {}
        self.layer: dict[Variable, int] = {}
        self.taken: Counter[tuple[str, str]] = Counter()
        self.wrt = set(wrt)
        self.nodes = toposort([cost])
        self.clients: dict[Variable, list[Apply]] = {}
        for node in self.nodes:
            for v in node.inputs:
                self.clients.setdefault(v, []).append(node)
        self.give(cost, "C")
        for node in self.nodes:
            self.look_at(node)

    def give(self, v: Variable, name: str, layer: int | None = None) -> None:
        if v in self.terms:
            return
        label = "" if layer is None else str(layer)
        self.taken[name, label] += 1
        primes = "′" * (self.taken[name, label] - 1)
        self.terms[v] = symbol(v, name + primes, label)

    def parameter(self, v: Variable) -> Variable | None:
        """The leaf that v is, or rearranges, if it is a parameter."""
        while v.owner is not None and isinstance(v.owner.op, (Reshape, Transpose)):
            v = v.owner.inputs[0]
        is_parameter = v in self.wrt or isinstance(v, SharedVariable)
        return v if v.owner is None and v.type.is_float and is_parameter else None

    def look_at(self, node: Apply) -> None:
        out = node.out
        if out.ndim == 0:
            return
        here = max((self.layer.get(v, 0) for v in node.inputs), default=0)
        kind = type(node.op)
        if kind in LINEAR:
            weights = [p for v in node.inputs if (p := self.parameter(v)) is not None]
            if weights:
                here = max(self.layer.values(), default=0) + 1
                for data in node.inputs:
                    if here == 1 and self.parameter(data) is None:
                        self.name_images(data)
                self.give(weights[-1], "w", here)
                self.name_output(out, here, is_conv=out.ndim == 4)
        elif kind is Add and here:
            for v in node.inputs:
                p = self.parameter(v)
                if p is not None and p not in self.terms:
                    self.give(p, "b", here)
                    self.give(out, "z", here)
        elif kind in ACTIVATIONS and here:
            self.give(out, "a", here)
        elif kind is Dropout and here:
            self.give(out, "ã", here)
        elif kind is Softmax and here:
            self.give(out, "a", here)
        elif kind is SoftmaxCrossEntropy and here:
            self.give(node.outputs[1], "a", here)
        for v in node.outputs:
            self.layer[v] = here

    def name_images(self, v: Variable) -> None:
        while v.owner is not None and isinstance(v.owner.op, (Reshape, Dropout)):
            v = v.owner.inputs[0]
        if v.owner is None:
            self.give(v, "a", 0)

    def name_output(self, out: Variable, layer: int, is_conv: bool) -> None:
        """A convolution's output is c^l where it is pooled, and z^l where neither pool nor bias follow."""
        readers = [type(n.op) for n in self.clients.get(out, ())]
        if is_conv and MaxPool2d in readers:
            self.give(out, "c", layer)
        elif Add not in readers:
            self.give(out, "z", layer)


class _Writer:
    """Writes every quantity that the gradients need, producers first."""

    def __init__(self, cost: Variable, wrt: Sequence[Variable]) -> None:
        self.cost, self.wrt = cost, list(wrt)
        names = _Names(cost, wrt)
        self.forward = {v for node in names.nodes for v in node.outputs}
        self.symbols = dict(names.terms)
        self.leaves: dict[Variable, Term] = {}
        self.terms: dict[Variable, Term] = {}
        self.equations: list[Equation] = []
        self.chains: dict[Variable, tuple[Variable, Apply]] = {}
        self.auxiliary = 0
        grad(cost, self.wrt)  # refuses what has no gradient
        named = [v for v in names.terms if v is not cost and v.type.is_float and v.owner is not None]
        targets = list(dict.fromkeys([*wrt, *named]))
        gradients = dict(zip(targets, grad(cost, targets, disconnected_inputs="ignore")))
        # δ first: where a gradient is that of several quantities, it is the error.
        for v in sorted(targets, key=lambda v: (not self.is_weighted_input(v), v.owner is None)):
            self.name_gradient(v, gradients[v], gradients)
        self.gradients = [gradients[w] for w in wrt]

    def is_weighted_input(self, v: Variable) -> bool:
        return v in self.symbols and self.symbols[v].text.startswith("z")

    def name_gradient(self, v: Variable, g: Variable, gradients: Mapping[Variable, Variable]) -> None:
        own = self.symbols.get(v) or symbol(v, v.name or "v")
        if g.owner is None or g in self.symbols:
            return
        if own.text.startswith("z"):
            self.symbols[g] = Term("δ" + own.text[1:], own.latex.replace("z", r"\delta", 1), ATOM, at(g))
            # a = f(z) alone: δ = ∇a ⊙ f'(z).
            for node in {n for w in gradients if (n := w.owner) is not None}:
                if type(node.op) in ACTIVATIONS and node.inputs[0] is v and node.out in gradients:
                    da = gradients[node.out]
                    if node.op.grad(node, da)[0] is g:
                        self.chains[g] = (da, node)
        elif v in self.wrt or own.text.startswith("c"):
            self.symbols[g] = nabla(g, own)

    def needs(self, v: Variable) -> Sequence[Variable]:
        if v in self.chains:
            da, node = self.chains[v]
            return (da, node.inputs[0])
        return () if v.owner is None else v.owner.inputs

    def order(self) -> list[Variable]:
        """Every variable that the equations need, producers first."""
        found: dict[Variable, None] = {}
        stack = [(v, False) for v in reversed([self.cost, *self.gradients])]
        while stack:
            v, ready = stack.pop()
            if v in found:
                continue
            if ready:
                found[v] = None
            else:
                stack.append((v, True))
                stack += [(u, False) for u in reversed(list(self.needs(v))) if u not in found]
        return list(found)

    def write(self) -> Equations:
        order = self.order()
        # A value that only its shape is read of is used for nothing.
        uses = Counter(u for v in order for u in self.needs(v) if not is_shape(v))
        for v in order:
            self.put(v, uses[v])
        known = {e.variable for e in self.equations}
        for w, g in zip(self.wrt, self.gradients):
            own = nabla(g, self.symbols.get(w) or symbol(w, w.name or "v"))
            if g not in known or self.symbols[g].text != own.text:
                # The gradient is a quantity that has another name already, or a constant.
                fresh = Variable(g.type)
                self.equations.append(self.equation("backward", fresh, own, self.terms[g]))
        return Equations(self.cost, self.wrt, self.equations, self.leaves)

    def equation(self, part: str, v: Variable, left: Term, right: Term) -> Equation:
        return Equation(len(self.equations) + 1, part, v, left, right)

    def put(self, v: Variable, uses: int) -> None:
        """Make v's term, and its equation if it has a name or needs one."""
        if v.owner is None:
            self.terms[v] = self.leaf(v)
            return
        term = self.right_side(v)
        name = self.symbols.get(v)
        if name is None and term.text and v.ndim and (
            len(term.text) > LONG or (uses > 1 and (term.level < ATOM or len(term.text) > SHORT))
        ):  # fmt: skip
            self.auxiliary += 1
            name = symbol(v, "t", str(self.auxiliary))
        if name is None:
            self.terms[v] = term
            return
        part = "forward" if v in self.forward else "backward"
        self.equations.append(self.equation(part, v, name, term))
        self.terms[v] = Term(name.text, name.latex, ATOM, at(v))

    def leaf(self, v: Variable) -> Term:
        if isinstance(v, Constant) and v.data.size == 1:
            return number(float(v.data.reshape(())))
        name = self.symbols.get(v) or symbol(v, v.name or f"v{len(self.leaves)}")
        self.leaves[v] = name
        return name

    def right_side(self, v: Variable) -> Term:
        node = v.owner
        assert node is not None
        if v in self.chains:
            da, activation = self.chains[v]
            return product(self.terms[da], slope(activation, self.terms[activation.inputs[0]]))
        return write(node, v.index, [self.terms[u] for u in node.inputs])


def is_shape(v: Variable) -> bool:
    return v.owner is not None and isinstance(v.owner.op, ShapeOf)


def at(v: Variable) -> Any:
    return lambda values: values[v]


def slope(node: Apply, z: Term) -> Term:
    """f'(z) of the activation a = f(z) that the node computes."""
    x = node.inputs[0]
    derivative = node.op.grad(node, broadcast_like(constant(1, x.dtype), x))[0]
    assert derivative is not None
    steps = toposort([derivative], stop=[x])

    def value(values: Any) -> Any:
        known: dict[Variable, Any] = {x: np.asarray(z.value(values), x.dtype)}
        for step in steps:
            arrays = [v.data if isinstance(v, Constant) else known[v] for v in step.inputs]
            found = step.op.reference(*arrays)
            known.update(zip(step.outputs, found if isinstance(found, tuple) else (found,)))
        return known[derivative]

    name, latex = ACTIVATIONS[type(node.op)]
    return call(f"{name}′", z, value=value, latex=f"{latex}'")


__all__ = ["Equation", "Equations", "explain"]
