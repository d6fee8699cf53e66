"""The CUDA kernels of element-wise ops: one text for each program, made of kernels/elementwise.cuh.

The text depends on the instructions, the dtypes, how each input is broadcast and how many elements a thread
does; sizes are in ElementwiseLoopParams. Equal texts have equal entries, and are compiled once.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cache, lru_cache

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.params import kernel_dir, pack
from symconv.ops.dividers import LIMIT, dividers
from symconv.ops.elementwise_kernel import (
    ELEMENTWISE,
    Program,
    inplace_pairs,
    merged_dims,
    program_of,
)

THREADS = 256
FILLS_THE_GPU = 1 << 18  # elements from which four a thread still leave enough blocks
MAX_ARRAYS = 38  # of a launch, with room for what the plan's own kernels add
MAX_WAYS = 8  # in which inputs are broadcast

BOOLS = {"add": "or", "maximum": "or", "mul": "and", "minimum": "and", "square": "copy"}
WITH_IMMEDIATE = ("leaky_relu", "elu")


@cache
def c_types() -> dict[str, str]:
    """{dtype: its type in C} of kernels/elementwise_ops.h."""
    text = (kernel_dir() / "elementwise_ops.h").read_text()
    return dict(re.findall(r"^DTYPE\((\w+), ([\w ]+)\)", text, re.MULTILINE))


def ways_of(bits: list[int], ndim: int) -> tuple[list[int], tuple[int, ...]]:
    """The distinct ways in which inputs are broadcast, as bits of dimensions, and the way of each input.

    -1: the input spans the output; -2: it is a single element.
    """
    ways: list[int] = []
    of_input: list[int] = []
    for b in bits:
        if b == (1 << ndim) - 1:
            of_input.append(-1)
        elif b == 0:
            of_input.append(-2)
        else:
            if b not in ways:
                ways.append(b)
            of_input.append(ways.index(b))
    return ways, tuple(of_input)


def literal(x: float) -> str:
    """x as a double in C."""
    if math.isnan(x):
        return "NAN"
    return ("INFINITY" if x > 0 else "-INFINITY") if math.isinf(x) else x.hex()


@lru_cache(maxsize=4096)
def text_of(
    program: Program,
    outputs: tuple[int, ...],
    dtypes: tuple[str, ...],
    ways: tuple[int, ...],
    per: int,
    wide: bool,
) -> tuple[str, str]:
    """(entry, text) of the kernel of a program on inputs of `dtypes`, broadcast in `ways`."""
    types, n_in = c_types(), len(dtypes)
    lines = []
    if max(ways, default=-1) >= 0:
        lines.append(f"const Offsets<{per}, {max(ways) + 1}, {str(wide).lower()}> offsets(p, i);")
    for k, (dtype, way) in enumerate(zip(dtypes, ways)):
        array = f"args.get<const {types[dtype]}>({k})"
        read = {
            -1: f"load({array}, i, p.count)",
            -2: f"single({array})",
        }.get(way, f"broadcast({array}, offsets, {way})")
        lines.append(f"Elements<{types[dtype]}, {per}> x{k};")
        lines.append(f"x{k}.{read};")
    known = list(dtypes)
    body = []
    for r, (op, args) in enumerate(program):
        operand, result = known[args[-1]], op.result_dtype(*(known[a] for a in args))
        known.append(result)
        values = [f"x{a}.e[j]" if a < n_in else f"r{a - n_in}" for a in args]
        name = op.opcode
        if name == "cast":
            name = "to_bool" if result == "bool" else f"cast<{types[result]}>"
        elif operand == "bool":
            name = BOOLS.get(name, name)
        if name in WITH_IMMEDIATE:
            values.append(literal(op.immediate))
        body.append(f"{types[result]} r{r} = ew_{name}({', '.join(values)});")
    for k, r in enumerate(outputs):
        lines.append(f"Elements<{types[known[n_in + r]]}, {per}> y{k};")
        body.append(f"y{k}.e[j] = r{r};")
    lines.append(f"for (int j = 0; j < {per}; j++) {{")
    lines += ["  " + line for line in body]
    lines.append("}")
    for k, r in enumerate(outputs):
        lines.append(f"y{k}.store(args.get<{types[known[n_in + r]]}>({n_in + k}), i, p.count);")
    inner = "".join(f"  {line}\n" for line in lines)
    digest = hashlib.sha256(f"{per} {inner}".encode()).hexdigest()[:16]
    entry = f"elementwise_{digest}"
    return entry, (
        '#include "elementwise.cuh"\n'
        f"DEVICE void {entry}_tile(const ElementwiseLoopParams& p, const Args& args, int tile, Shared) {{\n"
        f"  ll i = elementwise_first<{per}>(tile);\n"
        "  if (i >= p.count) return;\n"
        f"{inner}}}\n"
        f"KERNEL({entry}, ElementwiseLoopParams, {entry}_tile)\n"
    )


def _supports(node: Apply) -> str | None:
    refusal = ELEMENTWISE.supports(node)
    if refusal is not None:
        return refusal
    arrays = len(node.inputs) + len(node.outputs)
    if arrays > MAX_ARRAYS:
        return f"{arrays} arrays; at most {MAX_ARRAYS}"
    shape, bits = merged_dims(node)
    ways, _ = ways_of(bits, len(shape))
    return f"inputs are broadcast in {len(ways)} ways; at most {MAX_WAYS}" if len(ways) > MAX_WAYS else None


def _launch(node: Apply) -> Launch:
    program, outputs = program_of(node)
    shape, bits = merged_dims(node)
    ways, of_input = ways_of(bits, len(shape))
    count = math.prod(shape)
    per = 4 if count >= FILLS_THE_GPU else 1
    wide = count >= LIMIT
    entry, text = text_of(program, outputs, tuple(v.dtype for v in node.inputs), of_input, per, wide)
    strides = [0] * (8 * MAX_WAYS)
    for w, way in enumerate(ways):
        step = 1
        for d in range(len(shape) - 1, -1, -1):
            if way >> d & 1:
                strides[8 * w + d] = step
                step *= shape[d]
    multipliers, shifts = dividers(shape)
    params = pack(
        "ElementwiseLoopParams", ndim=len(shape), quad=int(bool(shape) and shape[-1] % per == 0), count=count,
        shape=shape, multiplier=multipliers, shift=shifts, stride=strides,
    )  # fmt: skip
    return Launch(params, blocks(count, THREADS * per), entry=entry, code=text)


ELEMENTWISE_CUDA = Kernel(
    "elementwise", "cuda", "kernels/elementwise.cuh", "elementwise", _supports, _launch, inplace_pairs
)
