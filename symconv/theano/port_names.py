"""Names that Python 3 and NumPy 2 have dropped, for symconv.theano.port: time.clock, np.float, np.cast."""

from __future__ import annotations

import re
from typing import Any

# np.name -> Python's own type
BUILTIN_TYPES = {
    "float": "float",
    "int": "int",
    "bool": "bool",
    "object": "object",
    "str": "str",
    "long": "int",
}
# np.name -> np.other, known to every NumPy since 1.17
RENAMED = {
    "Inf": "inf", "Infinity": "inf", "infty": "inf", "PINF": "inf", "NaN": "nan", "NAN": "nan",
    "float_": "float64", "complex_": "complex128", "string_": "bytes_", "unicode_": "str_",
    "product": "prod", "cumproduct": "cumprod", "alltrue": "all", "sometrue": "any", "round_": "round",
    "in1d": "isin", "row_stack": "vstack",
}  # fmt: skip


def moved_clock(source: str) -> str:
    """`from time import clock` names perf_counter: Python 3.8 dropped clock."""
    return re.sub(
        r"^(\s*from time import (?:[\w, ]*, *)?)clock\b(?! as)",
        r"\1perf_counter as clock",
        source,
        flags=re.M,
    )


def replace_names(tree: Any) -> None:
    """Rewrite the dropped attributes of the modules time and numpy, in place."""
    for leaf in list(tree.leaves()):
        trailer = leaf.next_sibling
        text = "" if trailer is None else str(trailer).strip()
        if not text.startswith(".") or _is_attribute(leaf):
            continue
        if leaf.value == "time" and text == ".clock":
            trailer.children[1].value = "perf_counter"
        elif leaf.value in ("np", "numpy"):
            _numpy(leaf, trailer, text[1:])


def _is_attribute(leaf: Any) -> bool:
    return leaf.prev_sibling is not None and str(leaf.prev_sibling).strip() == "."


def _numpy(leaf: Any, trailer: Any, name: str) -> None:
    if name == "cast":
        _cast(trailer)
    elif name in BUILTIN_TYPES:
        leaf.value = BUILTIN_TYPES[name]
        trailer.remove()
    elif name in RENAMED:
        trailer.children[1].value = RENAMED[name]
    elif name == "asscalar" and is_call(trailer.next_sibling):
        trailer.children[1].value = "asarray"
        trailer.next_sibling.children[-1].value = ").item()"


def _cast(trailer: Any) -> None:
    """np.cast[dtype](value), which NumPy 2 dropped, as np.asarray(value, dtype=dtype)."""
    index = trailer.next_sibling
    call = None if index is None else index.next_sibling
    if call is None or not str(index).strip().startswith("[") or not is_call(call):
        return
    dtype = str(index).strip()[1:-1].strip()
    trailer.children[1].value = "asarray"
    call.children[-1].value = f", dtype={dtype})"
    index.remove()


def is_call(node: Any) -> bool:
    """True for the brackets of a call with one argument node or more."""
    children = getattr(node, "children", [])
    return len(children) == 3 and str(children[0]) == "(" and str(children[2]).strip() == ")"
