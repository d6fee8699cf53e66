"""theano.d3viz: a function, or an expression, as a page for a browser that needs no other file."""

from __future__ import annotations

from typing import Any

from symconv.files import atomic_path
from symconv.function import function as native_function
from symconv.graph import Constant, SharedVariable
from symconv.graph.traversal import leaves
from symconv.theano.functions import Function
from symconv.theano.variable import Variable, native_of


def d3viz(fct: Any, outfile: Any, copy_deps: bool = True, *_: Any, **__: Any) -> None:
    """Write the graph of a function, a variable, or a list of variables, to the file `outfile`.

    Of a function that has been called: f.explain(html=outfile), with kernels, memory and rewrites. Other
    arguments have no effect.
    """
    if isinstance(fct, Function) and fct.native.executables:
        fct.native.explain(html=outfile)
        return
    page = _native(fct)._repr_html_()
    with atomic_path(outfile) as temporary:
        temporary.write_text(f"<!doctype html>\n<meta charset='utf-8'>\n{page}\n", encoding="utf-8")


def _native(fct: Any) -> Any:
    if isinstance(fct, Function):
        return fct.native
    outputs = [native_of(v) for v in ([fct] if isinstance(fct, Variable) else fct)]
    inputs = [v for v in leaves(outputs) if not isinstance(v, (Constant, SharedVariable))]
    return native_function(inputs, outputs)


__all__ = ["d3viz"]
