"""CUDA kernel descriptors of the ops in pool.py."""

from __future__ import annotations

from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.kernel import Slower
from symconv.graph.params import pack

FLOATS = ("float32", "float64")
ALL = (*FLOATS, "int8", "uint8", "int16", "int32", "int64")
WARP_WINDOW = 64  # elements of a window from which on a warp shares it
WINDOWS = 2048  # that a tile of the gradient keeps in shared memory
TILE = 4096  # elements of the image in such a tile, at most


def sizes(node: Apply, image: int | None) -> dict[str, int]:
    """The fields that PoolParams and PoolTileParams share; the image is that input, or the output."""
    op: Any = node.op
    n, c, h, w = (node.out if image is None else node.inputs[image]).type.dims
    p, q = op.output_size((), (h, w))
    window, stride = op.geometry((h, w))
    top, bottom, left, right = op.padding
    mode = ("padded", "mean", "sum").index(getattr(op, "mode", "padded"))
    return dict(
        h=h, w=w, p=p, q=q, window_h=window[0], window_w=window[1], stride_h=stride[0], stride_w=stride[1],
        top=top, bottom=bottom, left=left, right=right, mode=mode, planes=n * c,
    )  # fmt: skip


def _by_warp(s: dict[str, int]) -> bool:
    return s["window_h"] * s["window_w"] >= WARP_WINDOW


def _params(node: Apply, s: dict[str, int], rows: int = 0, windows: int = 0) -> bytes:
    fields: dict[str, Any] = {**s, "exponent": getattr(node.op, "p", 0.0)}
    return pack("PoolTileParams", by_warp=int(_by_warp(s)), rows=rows, windows=windows, **fields)


def _windows_over(s: dict[str, int], rows: int) -> int:
    """Windows that hold an element of some `rows` rows, at most."""
    return min(s["p"], (rows + s["window_h"] - 2) // s["stride_h"] + 1) * s["q"]


def _rows(s: dict[str, int]) -> int:
    """Rows of a tile of the gradient; 0 if the windows over one row are too many."""
    rows = min(s["h"], max(1, TILE // s["w"]))
    while rows and _windows_over(s, rows) > WINDOWS:
        rows //= 2
    return rows


def _refusal(node: Apply, dtype: str) -> str | None:
    return None if node.out.dtype == dtype else f"the output is {node.out.dtype}, this kernel is for {dtype}"


def forward(name: str, dtypes: tuple[str, ...] = FLOATS) -> list[Kernel]:
    """max_pool, max_pool_pick, avg_pool or lp_pool of kernels/pool.cu, and avg_pool_grad of pool_grad.cu."""
    grad = name == "avg_pool_grad"
    source = "kernels/pool_grad.cu" if grad else "kernels/pool.cu"

    def kernel(dtype: str) -> Kernel:
        def launch(node: Apply) -> Launch:
            s = sizes(node, None if grad else 0)
            threads = 1 if grad or not _by_warp(s) else 32
            return Launch(_params(node, s), blocks(node.out.type.size, 256 // threads))

        entry = f"{name}_{dtype}"
        return Kernel(entry, "cuda", source, entry, lambda node: _refusal(node, dtype), launch)

    return [kernel(dtype) for dtype in dtypes]


def max_pool_grad() -> list[Kernel]:
    """Tiles where windows overlap or are large, else a thread an element."""

    def kernel(dtype: str, tiled: bool) -> Kernel:
        def supports(node: Apply) -> str | None:
            if refusal := _refusal(node, dtype):
                return refusal
            s = sizes(node, 0)
            if tiled and not _rows(s):
                return f"{_windows_over(s, 1)} windows over one row, at most {WINDOWS} fit"
            small = s["window_h"] * s["window_w"] <= 16
            apart = s["window_h"] <= s["stride_h"] and s["window_w"] <= s["stride_w"]
            if tiled and apart and small:
                return Slower("windows are small and do not overlap: max_pool_grad is estimated faster")
            return None

        def launch(node: Apply) -> Launch:
            s = sizes(node, 0)
            if not tiled:
                return Launch(_params(node, s), blocks(node.out.type.size))
            rows = _rows(s)
            windows = _windows_over(s, rows)
            shared = -(-windows * max(node.out.type.itemsize, 4) // 8) * 8 + 4 * windows
            return Launch(_params(node, s, rows, windows), s["planes"] * blocks(s["h"], rows), shared)

        entry = f"max_pool_grad_{'tiled_' if tiled else ''}{dtype}"
        return Kernel(entry, "cuda", "kernels/pool_grad.cu", entry, supports, launch)

    return [kernel(dtype, tiled) for tiled in (True, False) for dtype in ALL]
