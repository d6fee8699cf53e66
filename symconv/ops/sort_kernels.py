"""The kernels of sort and argsort: csrc/kernels/sort.cpp and kernels/sort.cu."""

from __future__ import annotations

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import InplacePairs
from symconv.graph.params import pack
from symconv.ops.elementwise_kernel import dtype_code
from symconv.ops.extents import extents

TILE_BITS, EACH_BITS = 11, 3  # places of a tile, and of a thread: PLACES and EACH of kernels/sort.cuh
PLACES = 1 << TILE_BITS
SKEWED = PLACES + PLACES // 32
OUTPUT = 2  # beside the halves 0 and 1 of the workspace
KEYS = {"int64": ("i64", 8), "float32": ("f32", 4), "float64": ("f64", 8)}  # of others: ("i32", 4)
PLACE_BYTES = 4


def _supports(node: Apply) -> str | None:
    n = extents(node)[1]
    return f"{n} elements along the axis, whose places do not fit into 31 bits" if n >> 31 else None


def _launch(node: Apply) -> Launch:
    outer, n, inner = extents(node)
    dtype = dtype_code(node.inputs[0].dtype)
    return Launch(pack("SortParams", dtype=dtype, unused=0, outer=outer, n=n, inner=inner))


def _cuda_launch(node: Apply) -> Launch:
    """The tiles sorted, then a launch for each round of merges."""
    outer, n, inner = extents(node)
    if outer * n * inner == 0:
        return Launch(tiles=0)
    name = node.op.name
    key, key_bytes = KEYS.get(node.inputs[0].dtype, ("i32", 4))
    place_bytes = PLACE_BYTES if name == "argsort" else 0
    shared = SKEWED * (key_bytes + place_bytes)
    width_bits = min(max((n - 1).bit_length(), EACH_BITS), TILE_BITS)
    rounds = max(blocks(n, PLACES) - 1, 0).bit_length()

    def params(source: int, target: int, run: int) -> bytes:
        return pack(
            "SortTileParams", dtype=dtype_code(node.inputs[0].dtype), width_bits=width_bits, source=source,
            target=target, outer=outer, n=n, inner=inner, run=run,
        )  # fmt: skip

    launch: Launch | None = None
    for r in reversed(range(rounds)):
        target = OUTPUT if r == rounds - 1 else (r + 1) % 2
        launch = Launch(
            params(r % 2, target, PLACES << r), outer * inner * blocks(n, PLACES), shared + 8,
            f"{name}_merge_{key}", then=launch,
        )  # fmt: skip
    tiles = blocks(outer * inner, PLACES >> width_bits) * blocks(n, 1 << width_bits)
    workspace = 2 * outer * n * inner * (key_bytes + place_bytes) if rounds else 0
    first = params(0, 0 if rounds else OUTPUT, PLACES)
    return Launch(first, tiles, shared, f"{name}_tiles_{key}", workspace=workspace, then=launch)


def sort_kernels(name: str, inplace: InplacePairs = ()) -> list[Kernel]:
    """Those of the op `name`, sort or argsort."""
    return [
        Kernel(name, "cpu", "csrc/kernels/sort.cpp", name, _supports, _launch, inplace),
        Kernel(name, "cuda", "kernels/sort.cu", name, _supports, _cuda_launch, inplace),
    ]
