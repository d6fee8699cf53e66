"""The CPU kernels of reductions, and how a node becomes their ReduceParams."""

from __future__ import annotations

from typing import Any

from symconv.graph import Apply, Kernel, Launch
from symconv.graph.params import pack
from symconv.ops.elementwise_kernel import MAX_DIMS, dtype_code, table


def merged_axes(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[int], int]:
    """The shape with neighbours of one kind merged, so that kept and reduced alternate; reduced as bits."""
    dims: list[int] = []
    kinds: list[bool] = []
    for axis, dim in enumerate(shape):
        kind = axis in axes
        if dim == 1:
            continue
        if kinds and kinds[-1] == kind:
            dims[-1] *= dim
        else:
            dims.append(dim)
            kinds.append(kind)
    return dims, sum(1 << i for i, kind in enumerate(kinds) if kind)


def _supports(node: Apply) -> str | None:
    op: Any = node.op
    dims, _ = merged_axes(node.inputs[0].type.shape, op.axes)  # type: ignore[arg-type]
    return f"{len(dims)} dimensions that do not merge; at most {MAX_DIMS}" if len(dims) > MAX_DIMS else None


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    x = node.inputs[0]
    dims, bits = merged_axes(x.type.shape, op.axes)  # type: ignore[arg-type]
    code = table("reduce_ops.h", "REDUCE_OP")[op.opcode]
    return Launch(
        pack("ReduceParams", op=code, dtype=dtype_code(x.dtype), ndim=len(dims), reduced=bits, shape=dims)
    )


REDUCE = Kernel("reduce", "cpu", "csrc/kernels/reduce.cpp", "reduce", _supports, _launch)
ARG_REDUCE = Kernel("arg_reduce", "cpu", "csrc/kernels/reduce_arg.cpp", "arg_reduce", _supports, _launch)
