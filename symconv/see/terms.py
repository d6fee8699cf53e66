"""Terms: pieces of formulas that print as Unicode and LaTeX and have a value, all from one structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from symconv.graph import Variable

Values = Mapping[Variable, Any]
SUM, PRODUCT, MATRIX, ATOM = 1, 2, 3, 4  # how tightly a term holds together; looser ones go into parentheses
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class Term:
    """factor times body: `text` and `latex` are the body's, '' for a plain number.

    `body` gives the body's value from those of the named variables.
    """

    text: str
    latex: str
    level: int
    body: Callable[[Values], Any]
    factor: float = 1.0

    def value(self, values: Values) -> Any:
        found = self.body(values)
        return found if self.factor == 1 else self.factor * found

    @property
    def is_number(self) -> bool:
        return not self.text

    def show(self, level: int = SUM, latex: bool = False) -> str:
        """The term, in parentheses if it holds together less tightly than `level`."""
        text, own = self.latex if latex else self.text, self.level
        if self.is_number:
            return f"{self.factor:.6g}"
        if self.factor != 1:
            inner = f"({text})" if own < PRODUCT else text
            text = f"−{inner}" if self.factor == -1 else f"{self.factor:.6g} {inner}"
            text = text.replace("−", "-") if latex else text
            own = PRODUCT if self.factor > 0 else SUM
        return text if own >= level else f"({text})"


def number(value: float) -> Term:
    return Term("", "", ATOM, lambda values: 1.0, value)


def symbol(v: Variable, name: str, layer: str = "") -> Term:
    """A named quantity of a layer: δ, 2 -> δ², whose value is known by its variable."""
    primes = name.count("′")
    base = GREEK.get(name.rstrip("′"), name.rstrip("′")) + "'" * primes
    if len(name.rstrip("′")) > 2 and name not in GREEK:
        base = rf"\mathrm{{{base}}}".replace("_", r"\_")
    latex = f"{base}^{{{layer}}}" if layer and not primes else (f"{{{base}}}^{{{layer}}}" if layer else base)
    return Term(name + layer.translate(SUPERSCRIPTS), latex, ATOM, lambda values: values[v])


GREEK = {"δ": r"\delta", "σ": r"\sigma", "∇": r"\nabla", "ã": r"\tilde a"}


def nabla(v: Variable, of: Term) -> Term:
    """The gradient of the cost by `of`."""
    return Term(f"∇{of.text}", rf"\nabla_{{{of.latex}}} C", ATOM, lambda values: values[v])


def call(name: str, *arguments: Term, value: Callable[[Values], Any], latex: str | None = None) -> Term:
    """name(arguments)."""
    text = f"{name}({', '.join(a.show() for a in arguments)})"
    head = latex or rf"\mathrm{{{name}}}".replace("_", r"\_")
    return Term(text, f"{head}({', '.join(a.show(latex=True) for a in arguments)})", ATOM, value)


def product(a: Term, b: Term, sign: str = "⊙", latex: str = r"\odot") -> Term:
    """a times b, element by element; numbers are multiplied out, `sign` stands between tensors."""
    factor = a.factor * b.factor
    if a.is_number or b.is_number:
        rest = b if a.is_number else a
        return Term(rest.text, rest.latex, rest.level, rest.body, factor)
    return Term(
        f"{bare(a)} {sign} {bare(b)}" if sign else f"{bare(a)} {bare(b)}",
        f"{bare(a, True)} {latex} {bare(b, True)}",
        PRODUCT,
        lambda values: a.body(values) * b.body(values),
        factor,
    )


def bare(a: Term, latex: bool = False) -> str:
    """The body of a factor, in parentheses if it is a sum or a product of another kind."""
    text = a.latex if latex else a.text
    return text if a.level in (PRODUCT, ATOM) else f"({text})"


def total(a: Term, b: Term, sign: int = 1) -> Term:
    """a + b or a - b; zeros vanish, and a negative b changes the sign."""
    if b.is_number and b.factor == 0:
        return a
    if a.is_number and a.factor == 0 and sign > 0:
        return b
    minus = (sign < 0) != (b.factor < 0)
    shown = Term(b.text, b.latex, b.level, b.body, abs(b.factor))
    level = PRODUCT if minus else SUM
    return Term(
        f"{a.show()} {'−' if minus else '+'} {shown.show(level)}",
        f"{a.show(latex=True)} {'-' if minus else '+'} {shown.show(level, True)}",
        SUM,
        lambda values: a.value(values) + sign * b.value(values),
    )
