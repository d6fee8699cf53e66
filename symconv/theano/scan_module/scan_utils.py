"""theano.scan_module.scan_utils: until, returned by a step beside its outputs to end the loop; clones and
comparisons of graphs."""

from __future__ import annotations

from typing import Any

from symconv import loops
from symconv.theano.cloning import clone
from symconv.theano.gof.graph import equal_computations
from symconv.theano.scan_module.mapping import map_variables
from symconv.theano.tensor import elementwise
from symconv.theano.variable import as_tensor_variable


class until(loops.until):  # noqa: N801 - Theano's name
    """The loop ends after the step where the condition, a scalar, is true or a number other than 0."""

    def __init__(self, condition: Any) -> None:
        v = as_tensor_variable(condition)
        super().__init__(v if v.dtype == "bool" else elementwise.neq(v, 0))


__all__ = ["clone", "equal_computations", "map_variables", "until"]
