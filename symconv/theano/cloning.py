"""theano.clone: an expression with variables replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symconv.errors import DTypeError
from symconv.graph import Apply
from symconv.graph import Constant as NativeConstant
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves, rebuild
from symconv.theano import test_values
from symconv.theano.declared import SameDims, same_dims
from symconv.theano.tensor.monotone import as_written
from symconv.theano.variable import Variable, native_of, wrap


def remade(outputs: Sequence[Native], replace: Mapping[Native, Native]) -> list[Native]:
    """`outputs` with variables replaced, also by ones of other ranks or flags: element-wise operations then
    stretch what is flagged broadcastable now."""
    if all(_flags(old) == _flags(new) for old, new in replace.items()):
        return rebuild(outputs, replace)

    def make(node: Apply, inputs: tuple[Native, ...]) -> Sequence[Native]:
        if inputs == tuple(node.inputs):
            return node.outputs
        return [same_dims(inputs)[0]] if isinstance(node.op, SameDims) else node.op.make(*inputs).outputs

    return rebuild(outputs, replace, make)


def _flags(v: Native) -> list[bool]:
    return [d == 1 for d in v.type.shape]


def clone(
    output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True, copy_inputs: Any = None
) -> Any:
    """`output` (a variable or a list of them) with {old: new} replaced.

    A new one must have the old one's type; without `strict` it is cast to the dtype, and may have another
    rank. Without share_inputs the inputs and shared variables below it, those of the new ones among them, are
    new, too.
    """
    pairs = list(replace.items()) if isinstance(replace, Mapping) else list(replace or [])
    exchange = {}
    for old, new in pairs:
        fresh = native_of(new)
        if fresh.dtype != old.dtype and not strict:
            from symconv.ops.operands import cast

            fresh = cast(fresh, old.dtype)
        if fresh.dtype != old.dtype or (strict and fresh.ndim != old.ndim):
            raise DTypeError(
                f"clone: {old!r}, {old.type}, cannot be replaced by {fresh.type} from {fresh.origin}"
            )
        exchange[old.native] = fresh
    outputs = [output] if isinstance(output, Variable) else list(output)
    shared = share_inputs if copy_inputs is None else copy_inputs
    natives = (rebuild if strict else remade)(as_written([v.native for v in outputs], exchange), exchange)
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


__all__ = ["clone"]
