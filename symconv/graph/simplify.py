"""Applying an op in its simplest form: its own simplifications, and constants folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from symconv.errors import CompileError, IndexRangeError, SymconvError
from symconv.graph.core import Apply, Constant, Variable, constant

FOLD_LIMIT = 4096  # elements; a larger constant result is folded only if its inputs were as large
_before_gradients: ContextVar[bool] = ContextVar("before_gradients", default=False)


@contextmanager
def before_gradients() -> Iterator[None]:
    """What is simplified inside will be differentiated: ops that only tell gradients how to flow stay."""
    token = _before_gradients.set(True)
    try:
        yield
    finally:
        _before_gradients.reset(token)


def fold(node: Apply) -> list[Variable] | None:
    """Constants for the outputs of a node whose inputs are all constants, if they are small enough."""
    if not node.inputs or not node.op.foldable or not all(isinstance(v, Constant) for v in node.inputs):
        return None
    largest = max(v.type.size for v in node.inputs)
    if node.op.name == "broadcast_to" and node.out.type.size > largest:
        return None  # a stretched scalar says more than an array of equal numbers
    if any(not o.type.is_concrete or o.type.size > max(FOLD_LIMIT, largest) for o in node.outputs):
        return None
    try:
        values = node.op.reference(*(v.data for v in node.inputs))  # type: ignore[attr-defined]
    except SymconvError:
        raise
    except Exception as error:
        kind = IndexRangeError if isinstance(error, IndexError) else CompileError
        where = f"{node.op.label()} from {node.origin}"
        raise kind(f"{where}: {error}\n  the operands are constants, so it was computed at once") from error
    values = values if isinstance(values, tuple) else (values,)
    return [constant(a, o.dtype) for a, o in zip(values, node.outputs)]


def apply_simplified(node: Apply, inputs: tuple[Variable, ...]) -> Sequence[Variable]:
    """The node's op on `inputs`: simplified by the op's own rule, folded where all is constant."""
    if node.op.for_gradient and _before_gradients.get():
        return node.op.make(*inputs).outputs
    outputs: Sequence[Variable] | None = None
    for _ in range(8):  # a simplification may give a node that simplifies again
        simpler = node.op.simplify(*inputs)
        if simpler is None:
            made = node.op.make(*inputs)
            return fold(made) or made.outputs
        outputs = simpler
        if len(outputs) != 1 or outputs[0].owner is None or outputs[0] in inputs:
            break
        node, inputs = outputs[0].owner, outputs[0].owner.inputs
    assert outputs is not None
    return outputs
