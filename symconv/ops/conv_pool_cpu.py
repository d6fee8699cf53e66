"""Which of the CPU's kernels is taken for conv_pool: of those that can do it, the one with the least estimate
(conv_cpu_costs.py)."""

from __future__ import annotations

from collections.abc import Callable

from symconv.graph import Apply
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_costs import quickest
from symconv.ops.conv_cpu_kernels import transforms_refusal
from symconv.ops.conv_cpu_work import SIDE
from symconv.ops.conv_pool_kernels import Sizes, channels_refusal, sizes_of

WINDOWS = ((3, 3), (5, 5))


def forward_refusal(name: str, node: Apply) -> str | None:
    """Why not the CPU kernel `name`, one of LIMITS."""
    dtype, s = node.inputs[0].dtype, sizes_of(node)
    if refusal := channels_refusal(node) or LIMITS[name](dtype, s):
        return refusal
    forms = [form for form, limits in LIMITS.items() if not limits(dtype, s)]
    best = quickest([(form, _conv(form, s)) for form in forms], "fprop")
    return None if best == name else Slower(f"{best} is estimated faster")


def _conv(name: str, s: Sizes) -> dict[str, int]:
    """The convolution that the kernel does: along columns alone with outputs that no window wants."""
    sizes = {key: getattr(s, key) for key in ("n", "c", "h", "w", "k", "r", "s")}
    p, q = s.rows * s.pool_h, s.cols * s.pool_w
    if name == "winograd_columns_conv_pool":
        p, q = s.h + s.top + s.bottom - s.r + 1, s.w + s.left + s.right - s.s + 1
    return {**sizes, "p": p, "q": q, "stride_h": 1, "stride_w": 1, "groups": 1}


def _tiles_limits(dtype: str, s: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    if (s.r, s.s) not in WINDOWS:
        return f"windows of {s.r}x{s.s}, needs 3x3 or 5x5"
    if SIDE % s.pool_h or SIDE % s.pool_w:
        return f"pooling windows of {(s.pool_h, s.pool_w)} do not divide tiles of 4x4"
    return None


def _columns_limits(dtype: str, s: Sizes) -> str | None:
    if refusal := transforms_refusal(dtype):
        return refusal
    if (s.pool_h, s.pool_w) != (2, 2):
        return f"pooling windows of {(s.pool_h, s.pool_w)}, needs (2, 2)"
    return None


def _no_limits(dtype: str, s: Sizes) -> str | None:
    return None


LIMITS: dict[str, Callable[[str, Sizes], str | None]] = {
    "winograd_conv_pool": _tiles_limits,
    "winograd_columns_conv_pool": _columns_limits,
    "direct_conv_pool": _no_limits,
}
