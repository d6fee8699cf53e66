"""The CUDA kernels of reductions: how many threads an output gets, into how many groups its terms are cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.params import pack
from symconv.ops.dividers import dividers
from symconv.ops.float_kernels import SUFFIX
from symconv.ops.reduce_kernel import ARG_REDUCE, REDUCE, merged_axes

THREADS, WARP, WARPS = 256, 32, 8
ENOUGH_TILES = 264  # two for each multiprocessor of an H100
GROUP_TERMS = 16  # of a thread, at least, where terms are cut into groups
LEAST_GROUPS = 4  # below this a second launch costs more than it gains
ACCUMULATOR_BYTES = 16  # at most


@dataclass(frozen=True)
class Geometry:
    """2^width_bits columns, 2^lane_bits threads for each output, `groups` groups of per_group terms."""

    width_bits: int
    lane_bits: int
    groups: int
    per_group: int


def _bits(n: int) -> int:
    """Of the least power of two that is n or more."""
    return max(n - 1, 0).bit_length()


def geometry(outputs: int, terms: int, inner: int, inner_reduced: bool) -> Geometry:
    """For `outputs` results of `terms` elements each, the last merged dimension having `inner` elements."""
    if inner_reduced:
        width_bits = 0
        lane_bits = min(_bits(-(-terms // 4)), 5)
        if terms >= 1024 and outputs < WARPS * ENOUGH_TILES:
            lane_bits = 8
    else:
        width_bits = min(_bits(inner), 5)
        plenty = outputs >= THREADS * ENOUGH_TILES or terms <= 8
        lane_bits = (5 if plenty else 8) - width_bits
    lanes = 1 << lane_bits
    tiles = blocks(outputs, THREADS // lanes)
    groups = min(ENOUGH_TILES // max(tiles, 1), terms // (lanes * GROUP_TERMS))
    if groups < LEAST_GROUPS:
        return Geometry(width_bits, lane_bits, 1, max(terms, 1))
    per_group = -(-terms // groups)
    return Geometry(width_bits, lane_bits, -(-terms // per_group), per_group)


def _walks(shape: list[int], reduced: int) -> tuple[dict[str, Any], int, int]:
    """Fields of ReduceTileParams for the kept and reduced dimensions; the number of outputs and terms."""
    fields: dict[str, Any] = {}
    counts = []
    for name, kind in (("kept", 0), ("reduced", 1)):
        dims = [d for d in range(len(shape)) if reduced >> d & 1 == kind]
        lengths = [shape[d] for d in dims]
        multipliers, shifts = dividers(lengths)
        fields[f"{name}_ndim"] = len(dims)
        fields[f"{name}_shape"] = lengths
        fields[f"{name}_stride"] = [math.prod(shape[d + 1 :]) for d in dims]
        fields[f"{name}_multiplier"] = multipliers
        fields[f"{name}_shift"] = shifts
        counts.append(math.prod(lengths))
    return fields, counts[0], counts[1]


def _pack(fields: dict[str, Any], outputs: int, terms: int, g: Geometry, stage: int) -> bytes:
    return pack(
        "ReduceTileParams", width_bits=g.width_bits, lane_bits=g.lane_bits, stage=stage, unused=0,
        outputs=outputs, terms=terms, groups=g.groups, per_group=g.per_group, **fields,
    )  # fmt: skip


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    x = node.inputs[0]
    shape, reduced = merged_axes(x.type.shape, op.axes)  # type: ignore[arg-type]
    fields, outputs, terms = _walks(shape, reduced)
    inner_reduced = bool(shape) and bool(reduced >> (len(shape) - 1) & 1)
    g = geometry(outputs, terms, shape[-1] if shape else 1, inner_reduced)
    opcode, dtype = op.opcode, x.dtype
    if dtype == "bool":
        opcode = {"max": "any", "min": "all"}.get(opcode, opcode)
        dtype = dtype if opcode in ("any", "all") else "uint8"
    entry = f"reduce_{opcode}_{dtype}"
    tiles = blocks(outputs, THREADS >> g.lane_bits)
    shared = WARPS * (1 << g.width_bits) * ACCUMULATOR_BYTES if g.width_bits + g.lane_bits > 5 else 0
    if g.groups == 1:
        return Launch(_pack(fields, outputs, terms, g, 0), tiles, shared, entry)
    join = Launch(_pack(fields, outputs, terms, g, 2), blocks(outputs, WARPS), 0, entry)
    workspace = g.groups * outputs * ACCUMULATOR_BYTES
    params = _pack(fields, outputs, terms, g, 1)
    return Launch(params, tiles * g.groups, shared, entry, workspace=workspace, then=join)


def _others_supports(node: Apply) -> str | None:
    if node.out.dtype not in SUFFIX:
        return f"the output is {node.out.dtype}, this kernel is for floats"
    return REDUCE.supports(node)


def _others_launch(node: Apply) -> Launch:
    op: Any = node.op
    shape, reduced = merged_axes(node.out.type.shape, op.axes)  # type: ignore[arg-type]
    fields, outputs, terms = _walks(shape, reduced)
    params = _pack(fields, outputs, terms, Geometry(0, 5, 1, max(terms, 1)), 0)
    return Launch(params, blocks(outputs, WARPS), entry=f"prod_of_others_{SUFFIX[node.out.dtype]}")


REDUCES = [REDUCE, Kernel("reduce", "cuda", "kernels/reduce.cu", "reduce", REDUCE.supports, _launch)]
ARG_REDUCES = [
    ARG_REDUCE,
    Kernel("arg_reduce", "cuda", "kernels/reduce_arg.cu", "arg_reduce", ARG_REDUCE.supports, _launch),
]
PROD_OF_OTHERS = [
    Kernel(
        "prod_of_others",
        "cuda",
        "kernels/reduce_others.cu",
        "prod_of_others",
        _others_supports,
        _others_launch,
    )
]
