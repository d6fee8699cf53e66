"""Cases of pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

import symconv as sc
from symconv.ops.pool import AvgPool2dGrad, MaxPool2dGrad, MaxPool2dPick
from symconv.testing import OpCase, Spec

# name: x, window, attributes. Primes, no images, one value, a remainder that floor mode leaves, stride above
# and below the window, unequal padding, ceil mode with a window half outside, one larger than x.
ROWS: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "halves": ((2, 3, 8, 12), 2, {}),
    "halves_remainder": ((2, 3, 7, 37), 2, {}),
    "remainder": ((2, 3, 11, 13), (2, 3), {}),
    "no_images": ((0, 3, 5, 7), 2, {}),
    "one_value": ((1, 1, 1, 1), 1, {}),
    "overlap": ((1, 2, 19, 23), 3, {"stride": 2, "padding": 1}),
    "stride_one": ((1, 2, 7, 21), (3, 2), {"stride": 1}),
    "stride_over_window": ((1, 2, 5, 17), 2, {"stride": 3}),
    "padding": ((1, 2, 9, 7), (3, 4), {"stride": (2, 3), "padding": (1, 2)}),
    "ceil": ((1, 2, 7, 8), 3, {"stride": 2, "ceil_mode": True}),
    "ceil_padding": ((1, 2, 6, 5), 4, {"stride": 3, "padding": 2, "ceil_mode": True}),
    "ceil_one_window": ((2, 2, 5, 3), (7, 4), {"stride": (9, 4), "ceil_mode": True}),
    "ceil_one_window_stride": (
        (1, 2, 3, 37),
        (5, 39),
        {"stride": 1, "padding": (0, 0, 0, 1), "ceil_mode": True},
    ),
    "whole_image": ((2, 3, 5, 6), (5, 6), {}),
    "whole_image_and_padding": ((2, 3, 5, 6), (9, 10), {"padding": (2, 2)}),
    "whole_image_beside_padding": ((2, 2, 6, 5), (7, 8), {"padding": (1, 0, 3, 0)}),
    "nearly_whole_image": ((2, 2, 5, 6), (4, 6), {"stride": 3}),
    "four_paddings": ((1, 2, 6, 9), (4, 5), {"stride": (2, 4), "padding": (1, 3, 0, 4)}),
    "wide": ((1, 1, 3, 71), (2, 5), {"stride": (1, 5)}),
}


def cases() -> list[OpCase]:
    out = []
    for name, (x, window, a) in ROWS.items():
        pairs = window == 2 and not a  # side by side, on the image
        for dtype in (
            ("float32", "float64") if name.endswith("remainder") or name == "padding" else ("float32",)
        ):
            end = "" if dtype == "float32" else "_f64"
            plain = len(np.shape(a.get("padding", 0))) == 0 or len(a["padding"]) == 2
            grad = x[0] > 0
            data = Spec(x, dtype, "distinct")
            pooled = sc.max_pool2d(sc.tensor(dtype, x), window, **a)
            y, fields = Spec(pooled.type.shape, dtype), tuple(pooled.owner.op.attributes().values())  # type: ignore[arg-type]
            size = int(np.prod(window)) if isinstance(window, tuple) else window**2

            def torch_of(function: str, window: Any = window, a: Any = a, **more: Any) -> Any:
                return lambda t, v: getattr(t.nn.functional, function)(v, window, **a, **more)

            out += [
                OpCase(
                    f"max_pool2d_{name}{end}",
                    lambda x, w=window, a=a: sc.max_pool2d(x, w, **a),
                    (data,),
                    exact=True,
                    grad=grad,
                    torch=torch_of("max_pool2d") if grad and plain else None,
                    kernel="paired_max_pool" if pairs else "separable_max_pool",
                ),
                OpCase(
                    f"max_pool2d_grad_{name}{end}",
                    lambda x, dy, f=fields: MaxPool2dGrad(*f)(x, dy),
                    (data, y),
                    exact=True,
                    grad=(1,) if grad else False,
                    reduction=size,
                    kernel="paired_max_pool_grad" if pairs else "max_pool_grad",
                ),
                OpCase(
                    f"max_pool2d_pick_{name}{end}",
                    lambda x, v, f=fields: MaxPool2dPick(*f)(x, v),
                    (data, Spec(x, dtype)),
                    exact=True,
                    grad=(1,) if grad else False,
                    kernel="max_pool_pick",
                ),
                OpCase(
                    f"l2_pool2d_{name}{end}",
                    lambda x, w=window, a=a: sc.l2_pool2d(x, w, **a),
                    (data,),
                    reduction=size,
                    grad=grad,
                    kernel="separable_lp_pool",
                ),
                OpCase(
                    f"sum_pool2d_{name}{end}",
                    lambda x, w=window, a=a: sc.sum_pool2d(x, w, **a),
                    (data,),
                    exact=True,
                    reduction=size,
                    grad=grad,
                    bilinear=True,
                    kernel="separable_avg_pool",
                ),
            ]
            for padded in (True, False):
                mode = "padded" if padded else "mean"
                more = {"count_include_pad": padded}
                out += [
                    OpCase(
                        f"avg_pool2d_{name}_{mode}{end}",
                        lambda x, w=window, a=a, m=more: sc.avg_pool2d(x, w, **a, **m),
                        (data,),
                        reduction=size,
                        grad=grad,
                        kernel="separable_avg_pool",
                        torch=torch_of("avg_pool2d", **more) if grad and plain else None,
                    ),
                    OpCase(
                        f"avg_pool2d_grad_{name}_{mode}{end}",
                        lambda dy, f=(*fields, mode), s=x: AvgPool2dGrad(*f)(
                            dy, sc.constant(s[2], "int64"), sc.constant(s[3], "int64")
                        ),
                        (y,),
                        reduction=size,
                        grad=grad,
                        kernel="avg_pool_grad",
                    ),
                ]
    return out


def others() -> list[OpCase]:
    x = Spec((2, 3, 5, 7), kind="distinct")
    return [
        OpCase("global_max_pool2d", sc.global_max_pool2d, (x,), exact=True, kernel="separable_max_pool"),
        OpCase(
            "global_avg_pool2d",
            sc.global_avg_pool2d,
            (x,),
            reduction=35,
            kernel="separable_avg_pool",
            torch=lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 1),
        ),
        OpCase("lp_pool2d_3", lambda x: sc.lp_pool2d(x, 3, 2), (x,), reduction=4, kernel="separable_lp_pool"),
        OpCase("lp_pool2d_1", lambda x: sc.lp_pool2d(x, 1, (2, 3)), (x,), reduction=6),
        OpCase(
            "max_pool2d_ties",
            lambda x: sc.max_pool2d(x, (3, 2), stride=1),
            (Spec((1, 2, 5, 6)),),
            exact=True,
            grad=False,
            gaussian=False,
        ),
        OpCase(
            "max_pool2d_integers", lambda x: sc.max_pool2d(x, 2), (Spec((1, 2, 5, 6), "int32"),), grad=False
        ),
        OpCase(
            "avg_pool2d_integers", lambda x: sc.avg_pool2d(x, 2), (Spec((1, 2, 5, 6), "uint8"),), grad=False
        ),
        OpCase(
            "max_pool2d_unknown_shapes",
            lambda x: sc.max_pool2d(x, 3, stride=2, padding=1),
            (x,),
            exact=True,
            unknown_shapes=True,
        ),
        OpCase(
            "global_avg_pool2d_unknown_shapes", sc.global_avg_pool2d, (x,), reduction=35, unknown_shapes=True
        ),
    ]


CASES = cases() + others()
