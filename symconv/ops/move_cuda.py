"""The CUDA kernels of ops that are strided copies (kernels/copy.cu), beside those of the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from symconv.graph import Apply, Constant, Kernel, Launch, blocks
from symconv.graph.params import pack
from symconv.ops.dividers import dividers
from symconv.ops.index_kernels import FILL, Piece, bits, pieces_kernel

THREADS = 256
FILLS_THE_GPU = 1 << 18  # units from which four a thread still leave enough blocks
SQUARE = 32  # side of a transposed tile
LEAST_SIDE = 8  # below this a tile would be mostly empty
SOURCE = "kernels/copy.cu"
ADDS = {"bool": "bool", "float32": "f32", "float64": "f64"}

Axes = list[tuple[int, int, int]]


def unit_of(piece: Piece, itemsize: int) -> int:
    """The largest number of bytes, up to 16, in which the piece can be moved."""
    axes = piece.merged()
    if not axes or piece.add or axes[-1][1:] != (1, 1):
        return itemsize
    steps = [axes[-1][0], piece.in_offset, piece.out_offset]
    steps += [s for _, a, b in axes[:-1] for s in (a, b)] + [s.stride for s in piece.starts]
    return next(u for u in (16, 8, 4, 2, 1) if u <= itemsize or all(s % (u // itemsize) == 0 for s in steps))


def transposed_axes(axes: Axes) -> tuple[int, int] | None:
    """(rows, cols): the input is dense along rows, the output along cols; None if that is one, or short."""
    if len(axes) < 2 or axes[-1][2] != 1 or axes[-1][1] in (0, 1):
        return None
    rows = next((d for d, (_, a, _) in enumerate(axes) if a == 1), None)
    if rows is None or min(axes[rows][0], axes[-1][0]) < LEAST_SIDE:
        return None
    return rows, len(axes) - 1


def packed(
    piece: Piece, output: int, itemsize: int, unit: int, first_tile: int = 0
) -> tuple[bytes, int, tuple[int, int] | None]:
    """(MoveParams, tiles, transposed axes) of a piece in units of `unit` bytes."""
    k = unit // itemsize
    axes = piece.merged() or [(1, 1, 1)]
    if k > 1:
        n, a, b = axes[-1]
        axes = [(n, a // k, b // k) for n, a, b in axes[:-1]] + [(n // k, a, b)]
    turned = None if piece.add or k > 1 else transposed_axes(axes)
    count = math.prod(n for n, _, _ in axes)
    per = 4 if count >= FILLS_THE_GPU and not piece.add else 1
    tiles = blocks(count, THREADS * per)
    if turned is not None:
        height, width = (axes[d][0] for d in turned)
        tiles = count // (height * width) * blocks(height, SQUARE) * blocks(width, SQUARE)
    shape = [n for n, _, _ in axes]
    multipliers, shifts = dividers(shape)
    rows, cols = turned or (0, 0)
    params = pack(
        "MoveParams", source=piece.source, output=output, itemsize=itemsize, unit=unit, ndim=len(axes),
        per=per, whole=piece.whole, moving=piece.moves_output, rows=rows, cols=cols,
        n_starts=len(piece.starts), tiles=tiles, first_tile=first_tile, count=count,
        in_offset=piece.in_offset // k, out_offset=piece.out_offset // k, shape=shape,
        in_stride=[a for _, a, _ in axes], out_stride=[b for _, _, b in axes], multiplier=multipliers,
        shift=shifts, start_input=[s.input for s in piece.starts],
        start_stride=[s.stride // k for s in piece.starts], start_low=[s.low for s in piece.starts],
        start_high=[s.high for s in piece.starts],
    )  # fmt: skip
    return params, tiles, turned


def stage(piece: Piece, output: int, dtype: str, itemsize: int, then: Launch | None = None) -> Launch:
    """The launch that moves one piece."""
    unit = unit_of(piece, itemsize)
    params, tiles, turned = packed(piece, output, itemsize, unit)
    if piece.add:
        return Launch(params, tiles, 0, f"add_piece_{ADDS.get(dtype, f'b{itemsize}')}", then=then)
    if turned is not None:
        shared = SQUARE * (SQUARE + 1) * max(itemsize, 4)
        return Launch(params, tiles, shared, f"transpose_b{itemsize}", then=then)
    return Launch(params, tiles, 0, f"move_b{unit}", then=then)


def pieces_kernels(
    name: str, pieces: Callable[[Apply], Iterable[Piece]], inplace: tuple[tuple[int, int], ...] = ()
) -> list[Kernel]:
    """Kernels that put the output together from the pieces given.

    On CUDA a single piece takes one launch, a piece on top of a whole input two; many pieces that lie side
    by side share one.
    """
    cpu = pieces_kernel(name, pieces, inplace)

    def parts(node: Apply) -> list[Piece]:
        return [p for p in pieces(node) if 0 not in p.shape]

    def one_supports(node: Apply) -> str | None:
        found = parts(node)
        if len(found) > 1 and not (len(found) == 2 and found[0].whole):
            return f"{len(found)} pieces, this kernel takes one, and one on top of a whole input"
        return cpu.supports(node)

    def one_launch(node: Apply) -> Launch:
        launch: Launch | None = None
        for piece in reversed(parts(node)):
            launch = stage(piece, len(node.inputs), node.out.dtype, node.out.type.itemsize, launch)
        return launch or Launch(tiles=0)

    def many_launch(node: Apply) -> Launch:
        found, itemsize = parts(node), node.out.type.itemsize
        unit = min(unit_of(p, itemsize) for p in found)
        tail, tiles = b"", 0
        for piece in found:
            params, own, _ = packed(piece, len(node.inputs), itemsize, unit, tiles)
            tail += params
            tiles += own
        head = pack("MovesParams", n_pieces=len(found), unused=0, tail=tail)
        return Launch(head, tiles, 0, f"moves_b{unit}")

    return [
        cpu,
        Kernel(name, "cuda", SOURCE, "move", one_supports, one_launch, inplace),
        Kernel(f"{name}_pieces", "cuda", SOURCE, "moves", cpu.supports, many_launch, inplace, tail=True),
    ]


def copy_launch(node: Apply) -> Launch:
    """The whole input to the output."""
    n = node.out.type.size
    return stage(Piece(0, [n], [1], [1]), len(node.inputs), node.out.dtype, node.out.type.itemsize)


def _fill_launch(node: Apply) -> Launch:
    value = node.inputs[0]
    assert isinstance(value, Constant)
    itemsize, count = value.data.itemsize, node.out.type.size
    params = pack(
        "FillArrayParams", output=len(node.inputs), unused=0, count=count, value=bits(value.data.reshape(()))
    )  # fmt: skip
    return Launch(params, blocks(count * itemsize, 16 * THREADS), 0, f"fill_b{itemsize}")


FILLS: Sequence[Kernel] = (FILL, Kernel("fill", "cuda", SOURCE, "fill", FILL.supports, _fill_launch))
