"""theano.clone: an expression with variables replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symconv.errors import DTypeError
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves, rebuild
from symconv.theano import test_values
from symconv.theano.tensor.monotone import as_written
from symconv.theano.variable import Variable, native_of, wrap


def clone(
    output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True, copy_inputs: Any = None
) -> Any:
    """`output` (a variable or a list of them) with {old: new} replaced; a new one must have the old
    one's type. Without share_inputs the inputs and shared variables below it, those of the new ones among
    them, are new, too."""
    pairs = list(replace.items()) if isinstance(replace, Mapping) else list(replace or [])
    exchange = {}
    for old, new in pairs:
        fresh = native_of(new)
        if fresh.dtype != old.dtype and not strict:
            from symconv.ops.operands import cast

            fresh = cast(fresh, old.dtype)
        if fresh.dtype != old.dtype or fresh.ndim != old.ndim:
            raise DTypeError(
                f"clone: {old!r}, {old.type}, cannot be replaced by {fresh.type} from {fresh.origin}"
            )
        exchange[old.native] = fresh
    outputs = [output] if isinstance(output, Variable) else list(output)
    shared = share_inputs if copy_inputs is None else copy_inputs
    natives = rebuild(as_written([v.native for v in outputs], exchange), exchange)
    if not shared:
        fresh_inputs = {
            v: v.front.clone().native if hasattr(v, "front") else Native(v.type, name=v.name)
            for v in leaves(natives)
            if not isinstance(v, NativeConstant)
        }
        natives = rebuild(natives, fresh_inputs)
    with test_values.at_rest():
        made = [wrap(v) for v in natives]
    for old, new in zip(outputs, made):
        test_values.hand_on(old, new)
        for name, value in vars(old.tag).items():
            if name != "test_value":
                vars(new.tag).setdefault(name, value)
    return made[0] if isinstance(output, Variable) else made
