"""theano.printing: values shown while a function runs, and graphs as text and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.graph import Apply as NativeApply
from symconv.graph import TensorType, op_error
from symconv.graph import Variable as Native
from symconv.graph.printing import debugprint as native_debugprint
from symconv.theano.declared import _Identity
from symconv.theano.variable import Variable, as_tensor_variable, wrap


@dataclass(frozen=True)
class PrintValue(_Identity):
    """x, shown whenever the node is computed."""

    message: str
    attrs: tuple[str, ...]
    show: Callable[[Any, Any], None]
    name = "print"

    def infer(self, x: Native) -> TensorType:
        return x.type

    def label(self) -> str:
        return f"print{{{self.message}}}"

    def view(self, node: NativeApply) -> None:
        return None

    def reference(self, x: np.ndarray) -> np.ndarray:
        self.show(self, x)
        return x.copy()


def _default_show(op: PrintValue, x: np.ndarray) -> None:
    for attr in op.attrs:
        value = getattr(x, attr)
        print(op.message, attr, "=", value() if callable(value) else value, flush=True)


class Print:
    """Print('message', attrs=('__str__', 'shape'))(x) is x, and shows its attributes at every call."""

    def __init__(
        self, message: str = "", attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Any, Any], None] = _default_show,
    ) -> None:  # fmt: skip
        self.op = PrintValue(message, tuple(attrs), global_fn)

    def __call__(self, x: Any) -> Any:
        return wrap(self.op(as_tensor_variable(x).native))


@dataclass(frozen=True)
class AssertTrue(_Identity):
    """x; raises where one of the conditions that follow it is not true."""

    message: str
    name = "assert"

    def infer(self, x: Native, *conditions: Native) -> TensorType:
        for c in conditions:
            if c.ndim:
                raise op_error(self, (x, *conditions), "conditions must be scalars", "T.all(condition)")
        return x.type

    def view(self, node: NativeApply) -> None:
        return None

    def reference(self, x: np.ndarray, *conditions: np.ndarray) -> np.ndarray:
        for c in conditions:
            if not c:
                raise AssertionError(self.message)
        return x.copy()


class Assert:
    """Assert('message')(x, condition, ...) is x; a call in which a condition is not true raises."""

    def __init__(self, msg: str = "Theano Assert failed!") -> None:
        self.op = AssertTrue(msg)

    def __call__(self, value: Any, *conditions: Any) -> Any:
        given = [as_tensor_variable(np.asarray(c) if isinstance(c, bool) else c).native for c in conditions]
        return wrap(self.op(as_tensor_variable(value).native, *given))


def _roots(obj: Any) -> list[Native]:
    from symconv.theano.functions import Function

    if isinstance(obj, Function):
        return [*obj.native.outputs, *(v for _, v in obj.native.updates)]
    if isinstance(obj, Variable):
        return [obj.native]
    if isinstance(obj, (list, tuple)):
        return [v for o in obj for v in _roots(o)]
    return [as_tensor_variable(obj).native]


def debugprint(obj: Any, depth: int = -1, print_type: bool = False, file: Any = None, **_: Any) -> Any:
    """The graph of a variable or a function as an indented tree; file='str' returns the text."""
    text = native_debugprint(_roots(obj), None if depth < 0 else depth, types=print_type)
    if file == "str":
        return text
    print(text, file=file or sys.stdout)
    return file


_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "true_div": "/", "floor_div": "//", "mod": "%", "power": "**",
    "eq": "==", "neq": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "dot": "\\dot",
}  # fmt: skip


def pp(*variables: Any) -> str:
    """An expression in one line."""
    return "\n".join(_expression(v) for root in variables for v in _roots(root))


pprint = pp


LONGEST = 10_000  # characters of one expression; what is longer is shown by the name of its op


def _expression(root: Native) -> str:
    from symconv.graph.traversal import toposort

    text: dict[Native, str] = {}
    for node in toposort([root]):
        parts = [text.get(v, str(v)) for v in node.inputs]
        name = node.op.name
        if name in ("same_dims", "declare", "cast", "broadcast_to", "reshape"):
            shown = parts[0]
        elif name in _SIGNS and len(parts) == 2:
            shown = f"({parts[0]} {_SIGNS[name]} {parts[1]})"
        elif name == "neg":
            shown = f"(-{parts[0]})"
        else:
            shown = f"{name}({', '.join(parts)})"
        if len(shown) > LONGEST:  # text grows exponentially where values are used again and again
            shown = f"{name}(...)"
        for out in node.outputs:
            text[out] = out.name or shown
    return text.get(root, str(root))


pydot_imported, pydot_imported_msg = True, ""  # what programs ask before they call it


def pydotprint(fct: Any, outfile: Any = None, format: str = "png", **_: Any) -> str:
    """A picture of the graph in `outfile`, by Graphviz where it is installed; else its text as a .dot
    file."""
    from symconv.graph.traversal import toposort

    roots = _roots(fct)
    lines = ["digraph theano {"]
    for node in toposort(roots):
        lines.append(f'  n{id(node)} [label="{node.op.name}", shape=box];')
        for v in node.inputs:
            source = v.owner if v.owner is not None else v
            if v.owner is None:
                lines.append(f'  n{id(v)} [label="{v}"];')
            lines.append(f"  n{id(source)} -> n{id(node)};")
    text = "\n".join([*lines, "}"])
    name = str(outfile or f"theano.pydotprint.{format}")
    try:
        import graphviz

        data = graphviz.Source(text).pipe(format=name.rsplit(".", 1)[-1])
        with open(name, "wb") as handle:
            handle.write(data)
    except Exception:  # no package, or no program: the description itself is of use too
        name = name.rsplit(".", 1)[0] + ".dot"
        with open(name, "w") as handle:
            handle.write(text)
    print(f"The output file is available at {name}")
    return name


def min_informative_str(obj: Any, **_: Any) -> str:
    """The graph of a variable as text."""
    return str(native_debugprint(_roots(obj)))


__all__ = [
    "Print",
    "debugprint",
    "min_informative_str",
    "pp",
    "pprint",
    "pydotprint",
]
