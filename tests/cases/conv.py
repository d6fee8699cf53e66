"""Cases of conv2d, its gradient ops, the transposed convolution, and the fused conv-pool ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symconv as sc
from symconv.graph import constant
from symconv.ops.conv import Conv2dDgrad, Conv2dWgrad
from symconv.ops.conv_pool import ACTIVATIONS, ConvPool, ConvPoolGrad
from symconv.testing import OpCase, Spec

# name: x, w, attributes. Pairwise different primes, one image and none, 1x1, stride > window, dilation, a
# window as large as the padded image, every padding, groups, depthwise, the layers of the book.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "primes": ((2, 3, 11, 13), (7, 3, 5, 2), {}),
    "one_value": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "no_images": ((0, 3, 7, 5), (2, 3, 3, 3), {}),
    "pointwise": ((2, 5, 7, 3), (17, 5, 1, 1), {}),
    "pointwise_stride": ((1, 5, 7, 8), (16, 5, 1, 1), {"stride": (3, 2)}),
    "whole_window": ((2, 3, 5, 7), (3, 3, 5, 7), {}),
    "stride_over_window": ((2, 2, 11, 13), (5, 2, 2, 3), {"stride": (3, 5)}),
    "stride": ((2, 3, 11, 17), (9, 3, 3, 5), {"stride": 2}),
    "stride_padding": ((1, 3, 13, 11), (17, 3, 7, 7), {"stride": 2, "padding": 3}),
    "dilation": ((2, 3, 11, 13), (7, 3, 3, 2), {"dilation": (2, 3)}),
    "four_paddings": ((2, 3, 7, 5), (11, 3, 3, 2), {"padding": (0, 2, 1, 3)}),
    "same": ((2, 3, 7, 5), (11, 3, 4, 3), {"padding": "same"}),
    "same_stride": ((1, 2, 7, 8), (3, 2, 3, 4), {"padding": "same", "stride": 2}),
    "full": ((1, 2, 3, 4), (9, 2, 3, 2), {"padding": "full"}),
    "half": ((1, 2, 5, 7), (16, 2, 3, 5), {"padding": "half"}),
    "all_at_once": (
        (2, 4, 9, 23),
        (6, 2, 2, 3),
        {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 1), "groups": 2},
    ),
    "groups": ((2, 6, 7, 9), (15, 2, 3, 2), {"groups": 3}),
    "wide_groups": ((1, 34, 5, 6), (34, 17, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 5, 11, 13), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise_5x5": ((2, 3, 9, 37), (6, 1, 5, 5), {"groups": 3, "padding": (1, 3, 0, 2)}),
    "depthwise_7x7": ((1, 3, 10, 29), (3, 1, 7, 7), {"groups": 3, "padding": 9}),
    "depthwise_small": ((3, 4, 2, 3), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "depthwise_stride": ((1, 3, 11, 19), (6, 1, 3, 3), {"groups": 3, "stride": 2, "padding": 1}),
    "depthwise_stride_5x5": (
        (2, 3, 9, 38),
        (3, 1, 5, 5),
        {"groups": 3, "stride": 2, "padding": (1, 3, 0, 2)},
    ),
    "depthwise_stride_7x7": ((1, 3, 12, 67), (3, 1, 7, 7), {"groups": 3, "stride": 2, "padding": 9}),
    "depthwise_rows": ((2, 5, 7, 17), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise_any_window": (
        (2, 19, 13, 11),
        (19, 1, 4, 3),
        {"groups": 19, "stride": (3, 2), "padding": (1, 2), "dilation": (2, 1)},
    ),
    "depthwise_dilated": ((2, 17, 15, 14), (17, 1, 3, 3), {"groups": 17, "dilation": 3, "padding": 3}),
    "depthwise_bands": (
        (1, 9, 97, 83),
        (9, 1, 5, 5),
        {"groups": 9, "stride": 2, "padding": (6, 1, 0, 7)},
    ),
    "skewed_planes": ((1, 9, 16, 16), (19, 9, 3, 3), {"padding": 1}),
    "many_channels": ((1, 71, 6, 7), (33, 71, 3, 3), {"padding": 1}),
    "pointwise_wide": ((3, 37, 5, 7), (41, 37, 1, 1), {}),
    "stride_wide": ((3, 67, 9, 11), (53, 67, 3, 3), {"stride": 2, "padding": 1}),
    "stride_long_rows": ((1, 2, 7, 530), (6, 2, 5, 3), {"stride": (2, 3), "padding": (4, 0)}),
    "stride_pairs": ((5, 9, 6, 34), (7, 9, 3, 3), {"stride": 2, "padding": 1}),
    "few_channels": ((2, 3, 17, 13), (41, 3, 7, 7), {"stride": 2, "padding": 3}),
    "book_first": ((1, 1, 9, 28), (20, 1, 5, 5), {}),
    "book_second": ((2, 20, 12, 12), (40, 20, 5, 5), {}),
    "many_terms": ((8, 8, 12, 12), (8, 8, 5, 5), {}),
    "flipped": ((2, 9, 16, 15), (19, 9, 3, 3), {"padding": (1, 1, 0, 2), "flip": True}),
    "flipped_all_at_once": (
        (2, 4, 9, 23),
        (6, 2, 2, 3),
        {"stride": (3, 2), "padding": (1, 2), "dilation": (2, 1), "groups": 2, "flip": True},
    ),
    "flipped_depthwise": ((2, 19, 13, 21), (19, 1, 3, 3), {"groups": 19, "padding": 1, "flip": True}),
}
# Which kernel runs the forward pass, the input gradient and the weight gradient.
KERNELS = {
    "book_second": ("winograd", "winograd", "channels"),
    "many_terms": ("winograd",) * 3,
    "book_first": ("rows", "gemm_scatter", "channels"),
    "depthwise": ("depthwise_channels",) * 3,
    "depthwise_rows": ("depthwise",) * 3,
    "depthwise_any_window": ("depthwise_channels",) * 3,
    "depthwise_dilated": ("depthwise_channels",) * 3,
    "depthwise_bands": ("depthwise_channels",) * 3,
    "depthwise_5x5": ("depthwise", "rows", None),
    "depthwise_7x7": ("depthwise", "depthwise", None),
    "depthwise_small": ("depthwise_channels",) * 3,
    "depthwise_stride": ("depthwise", "rows", None),
    "depthwise_stride_5x5": ("depthwise", "depthwise", None),
    "depthwise_stride_7x7": ("depthwise", "depthwise", None),
    "many_channels": ("winograd",) * 3,
    "skewed_planes": ("winograd", "winograd", None),
    "flipped": ("winograd", "winograd", None),
    "flipped_depthwise": ("depthwise",) * 3,
    "wide_groups": ("channels",) * 3,
    "dilation": ("channels", "rows", "channels"),
    "pointwise": ("channels", None, "channels"),
    "pointwise_wide": ("channels",) * 3,
    "stride_wide": ("channels", "gemm_gather", "gemm_gather"),
    "few_channels": ("channels", "gemm_scatter", "channels"),
}
# By Winograd's transforms on some instruction set, not exact on whole numbers: forward, and the gradients.
TRANSFORMED = {"primes", "stride_padding", "four_paddings", "same", "groups"}
TRANSFORMED_DGRAD = {"primes"}
TRANSFORMED_WGRAD = {
    "depthwise_5x5",
    "depthwise_7x7",
    "depthwise_stride_7x7",
    "flipped",
    "skewed_planes",
    "stride_long_rows",
}


def _numbers(padding: Any, w: tuple[int, ...], dilation: Any = 1) -> tuple[int, ...]:
    """padding as (left, right, top, bottom), the order of torch's pad."""
    if isinstance(padding, str):
        d = dilation if isinstance(dilation, tuple) else (dilation, dilation)
        sides = []
        for k, step in zip(w[3:1:-1], d[::-1]):
            e = step * (k - 1) + 1
            sides += {"same": [(e - 1) // 2, e // 2], "full": [e - 1] * 2, "half": [e // 2] * 2}[padding]
        return tuple(sides)
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) == 2:
        return (padding[1], padding[1], padding[0], padding[0])
    top, bottom, left, right = padding
    return (left, right, top, bottom)


def _torch_conv(attributes: dict[str, Any], w_shape: tuple[int, ...]) -> Callable[..., Any]:
    rest = {k: v for k, v in attributes.items() if k not in ("padding", "flip")}
    pads = _numbers(attributes.get("padding", 0), w_shape, attributes.get("dilation", 1))

    def run(t: Any, x: Any, w: Any) -> Any:
        w = w.flip(2, 3) if attributes.get("flip") else w
        return t.nn.functional.conv2d(t.nn.functional.pad(x, pads), w, **rest)

    return run


def layers() -> list[OpCase]:
    cases = []
    for name, (x, w, attributes) in LAYERS.items():
        y = sc.conv2d(sc.tensor("float32", x), sc.tensor("float32", w), **attributes)
        op, shape = y.owner.op, y.type.shape
        fields = tuple(op.attributes().values())
        forms = KERNELS.get(name, (None, None, None))
        kernels = [
            f and (f"direct_{f}_{kind}" if f in ("channels", "rows") else f"{f}_{kind}")
            for f, kind in zip(forms, ("fprop", "dgrad", "wgrad"))
        ]
        transformed = (TRANSFORMED, TRANSFORMED_DGRAD, TRANSFORMED_WGRAD)
        exact = [f != "winograd" and name not in names for f, names in zip(forms, transformed)]
        outputs = int(np.prod([shape[0] or 1, *shape[2:]]))
        for dtype in ("float32", "float64") if name in ("primes", "all_at_once") else ("float32",):
            end = "" if dtype == "float32" else "_f64"
            sx, sw, sdy = Spec(x, dtype), Spec(w, dtype), Spec(shape, dtype)
            cases += [
                OpCase(
                    f"conv2d_{name}{end}",
                    lambda x, w, a=attributes: sc.conv2d(x, w, **a),
                    (sx, sw),
                    exact=exact[0] or dtype == "float64",
                    bilinear=True,
                    reduction=outputs * w[0] * w[2] * w[3],
                    kernel=kernels[0],
                    torch=None if x[0] == 0 else _torch_conv(attributes, w),
                    second="book" not in name and name != "many_channels",
                ),
                OpCase(
                    f"dgrad_{name}{end}",
                    lambda dy, w, f=fields, s=x: Conv2dDgrad(*f)(
                        dy, w, constant(s[2], "int64"), constant(s[3], "int64")
                    ),
                    (sdy, sw),
                    exact=exact[1],
                    grad=False,
                    reduction=w[0] * w[2] * w[3],
                    kernel=kernels[1],
                ),
                OpCase(
                    f"wgrad_{name}{end}",
                    lambda x, dy, f=fields, s=w: Conv2dWgrad(*f)(
                        x, dy, constant(s[2], "int64"), constant(s[3], "int64")
                    ),
                    (sx, sdy),
                    exact=exact[2],
                    grad=False,
                    reduction=outputs,
                    kernel=kernels[2],
                ),
            ]
    return cases


def transposed() -> list[OpCase]:
    rows: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
        "plain": ((2, 3, 5, 4), (3, 2, 3, 5), {}),
        "stride": (
            (2, 3, 5, 4),
            (3, 7, 3, 2),
            {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)},
        ),
        "dilation": ((1, 2, 3, 5), (2, 3, 2, 3), {"dilation": (2, 1), "padding": 1}),
        "groups": ((1, 4, 5, 3), (4, 3, 3, 3), {"groups": 2, "stride": 2}),
        "flipped": ((2, 3, 5, 4), (3, 2, 3, 5), {"stride": 2, "padding": 1, "flip": True}),
    }

    def on_torch(t: Any, x: Any, w: Any, flip: bool = False, **a: Any) -> Any:
        return t.nn.functional.conv_transpose2d(x, w.flip(2, 3) if flip else w, **a)

    return [
        OpCase(
            f"conv_transpose2d_{name}",
            lambda x, w, a=a: sc.conv_transpose2d(x, w, **a),
            (Spec(x), Spec(w)),
            exact=True,
            bilinear=True,
            reduction=w[0] * w[2] * w[3],
            torch=lambda t, x, w, a=a: on_torch(t, x, w, **a),
        )
        for name, (x, w, a) in rows.items()
    ] + [
        OpCase(
            "conv2d_unknown_shapes",
            lambda x, w: sc.conv2d(x, w, stride=2, padding=1),
            (Spec((2, 3, 7, 5)), Spec((5, 3, 3, 3))),
            exact=True,
            bilinear=True,
            reduction=90,
            unknown_shapes=True,
        ),
        OpCase(
            "conv_transpose2d_unknown_shapes",
            lambda x, w: sc.conv_transpose2d(x, w, stride=2, output_padding=1),
            (Spec((2, 3, 4, 5)), Spec((3, 2, 3, 3))),
            exact=True,
            bilinear=True,
            reduction=90,
            unknown_shapes=True,
        ),
    ]


# name: x, w, window, padding
POOLED: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, int], tuple[int, int, int, int]]] = {
    "book_first": ((3, 1, 28, 28), (20, 1, 5, 5), (2, 2), (0, 0, 0, 0)),
    "book_second": ((2, 20, 12, 12), (40, 20, 5, 5), (2, 2), (0, 0, 0, 0)),
    "small_windows": ((2, 21, 13, 12), (29, 21, 3, 3), (2, 2), (1, 1, 1, 1)),
    "primes": ((2, 3, 11, 13), (7, 3, 3, 2), (2, 3), (1, 0, 2, 1)),
    "no_images": ((0, 3, 11, 13), (7, 3, 3, 2), (2, 3), (1, 0, 2, 1)),
    "no_pooling": ((1, 2, 5, 7), (1, 2, 1, 1), (1, 1), (0, 0, 0, 0)),
    "large_window": ((2, 5, 17, 7), (13, 5, 2, 3), (5, 2), (0, 0, 0, 0)),
    "long_rows": ((1, 37, 7, 6), (9, 37, 3, 4), (2, 2), (1, 1, 1, 1)),
    # rows of a window in half a cache line, windows of pooling that do not cross one, and one that does
    "lined_eight_taps": ((2, 1, 11, 27), (3, 1, 4, 8), (2, 4), (0, 0, 0, 0)),
    "lined_pairs": ((9, 2, 7, 13), (5, 2, 2, 4), (3, 2), (0, 1, 2, 1)),
    "lined_wide_pool": ((2, 1, 6, 39), (2, 1, 3, 1), (1, 8), (1, 0, 0, 1)),
    "lined_fours": ((2, 4, 5, 9), (3, 4, 3, 2), (2, 2), (0, 0, 0, 0)),
    "crossing_pool": ((2, 1, 12, 27), (3, 1, 5, 5), (2, 3), (0, 0, 0, 0)),
}


def fused() -> list[OpCase]:
    """y, argmax; and from given y, argmax and dy the gradients, half of dy zero."""
    cases = []
    rng = np.random.default_rng(3)
    for name, (x, w, window, padding) in POOLED.items():
        for activation in ACTIVATIONS if name == "primes" else ("relu",):
            op = ConvPool(window, padding, activation)
            y, _ = op(*(sc.tensor("float32", s) for s in (x, w, w[:1])))
            shape = tuple(d or 0 for d in y.type.shape)
            exact = activation in ("linear", "relu")
            winograd, tie = name in ("book_second", "small_windows"), name == "book_first"
            transformed = winograd or tie  # of two kernels that are about as fast, one by transforms
            kernel = None if tie else "winograd_conv_pool" if winograd else "direct_conv_pool"
            reduction = int(np.prod(w[1:]))
            places = rng.integers(0, window[0] * window[1], shape)
            dy = rng.integers(-3, 4, shape) * rng.integers(0, 2, shape)
            given = (Spec(x), Spec(w), Spec(shape), Spec(shape, "uint8", "values", values=places))
            total = max(int(np.prod(shape)) // max(shape[1], 1), 1)
            for dtype in ("float32", "float64") if name == "primes" else ("float32",):
                short = "" if dtype == "float32" else "_f64"

                def typed(s: Spec, dtype: str = dtype) -> Spec:
                    return Spec(s.shape, dtype, s.kind, values=s.values) if s.is_float else s

                cases.append(
                    OpCase(
                        f"conv_pool_{name}_{activation}{short}",
                        lambda *v, op=op: op(*v)[0],
                        tuple(map(typed, (Spec(x), Spec(w), Spec(w[:1])))),
                        exact=exact and not transformed,
                        reduction=reduction,
                        grad=name in ("primes", "no_pooling", "large_window"),
                        second=False,
                        kernel=kernel,
                    )
                )
                for need_dx in (True, False):
                    back = ConvPoolGrad(window, padding, activation, need_dx=need_dx)
                    cases.append(
                        OpCase(
                            f"conv_pool_grad_{name}_{activation}{short}{'' if need_dx else '_no_dx'}",
                            lambda *v, op=back: op(*v),
                            (*map(typed, given), Spec(shape, dtype, "values", values=dy)),
                            exact=exact,
                            grad=False,
                            reduction=max(reduction, total),
                            kernel="argmax_walk",
                        )
                    )
    return cases


CASES = layers() + transposed() + fused()
