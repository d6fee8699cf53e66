"""Cases of sorting and running sums. Values are distinct almost surely, so differences exist."""

from __future__ import annotations

import math

import symconv as sc
from symconv.testing import OpCase, Spec

INTEGERS = ("bool", "int8", "uint8", "int16", "int32", "int64")
ODD = [3, math.nan, -0.0, 0.0, -math.inf, 1, math.inf, math.nan, 0.0, -0.0, 1, 1, -5, 3, math.inf]


def sorting() -> list[OpCase]:
    rows = [
        OpCase("sort", lambda x: sc.sort(x), (Spec((3, 7)),), torch=lambda t, x: t.sort(x, dim=-1).values),
        OpCase("sort_0", lambda x: sc.sort(x, 0), (Spec((5, 2, 3)),)),
        OpCase("sort_negative_axis", lambda x: sc.sort(x, -2), (Spec((2, 13, 3)),)),
        OpCase("sort_flat", lambda x: sc.sort(x, None), (Spec((2, 3)),)),
        OpCase("sort_empty", lambda x: sc.sort(x), (Spec((2, 0)),)),
        OpCase("sort_no_rows", lambda x: sc.sort(x), (Spec((0, 3)),)),
        OpCase("sort_one", lambda x: sc.sort(x), (Spec((5, 1)),)),
        OpCase("sort_unknown", lambda x: sc.sort(x, 0), (Spec((5, 3)),), unknown_shapes=True),
        OpCase("sort_256", lambda x: sc.sort(x), (Spec((2, 257)),), second=False),
        OpCase("sort_columns_257", lambda x: sc.sort(x, 0), (Spec((257, 11)),), grad=False),
        OpCase("sort_long", lambda x: sc.sort(x), (Spec((2, 4099)),), grad=False),
        OpCase("sort_long_columns", lambda x: sc.sort(x, 1), (Spec((2, 2053, 3)),), grad=False),
        OpCase("argsort", lambda x: sc.argsort(x, 0), (Spec((5, 3)),), grad=False),
        OpCase("argsort_negative_axis", lambda x: sc.argsort(x, -3), (Spec((7, 2, 3)),), grad=False),
        OpCase("argsort_flat", lambda x: sc.argsort(x, None), (Spec((7, 11)),), exact=True, grad=False),
        OpCase("argsort_empty", lambda x: sc.argsort(x, 0), (Spec((0, 3)),), exact=True, grad=False),
        OpCase("argsort_long", lambda x: sc.argsort(x), (Spec((2, 6151)),), exact=True, grad=False),
        OpCase(
            "argsort_long_columns", lambda x: sc.argsort(x, 0), (Spec((2503, 2)),), exact=True, grad=False
        ),
        OpCase("sort_by_index", lambda x: sc.take_along_axis(x, sc.argsort(x), 1), (Spec((3, 5)),)),
    ]
    for name, op in (("sort", sc.sort), ("argsort", sc.argsort)):
        odd = Spec((3, 5), kind="values", values=ODD)
        for axis in (0, 1):
            rows.append(
                OpCase(
                    f"{name}_odd_values_{axis}",
                    lambda x, op=op, axis=axis: op(x, axis),
                    (odd,),
                    exact=True,
                    grad=False,
                )
            )
        rows.append(
            OpCase(f"{name}_odd_values", lambda x, op=op: op(x, None), (odd,), exact=True, grad=False)
        )
        for dtype in (*INTEGERS, "float64"):  # full of ties
            spec = Spec((37, 5), dtype)
            rows.append(OpCase(f"{name}_{dtype}", lambda x, op=op: op(x, 0), (spec,), exact=True, grad=False))
    return rows


def running() -> list[OpCase]:
    near_one = {"kind": "uniform", "low": 0.75, "high": 1.25}
    rows = [
        OpCase("cumsum", lambda x: sc.cumsum(x, 1), (Spec((3, 7)),), torch=lambda t, x: t.cumsum(x, 1)),
        OpCase("cumsum_negative_axis", lambda x: sc.cumsum(x, -2), (Spec((2, 13, 3)),)),
        OpCase("cumsum_flat", lambda x: sc.cumsum(x), (Spec((2, 3, 2)),)),
        OpCase("cumsum_empty", lambda x: sc.cumsum(x, 0), (Spec((0, 3)),)),
        OpCase("cumsum_one", lambda x: sc.cumsum(x, 1), (Spec((5, 1, 3)),)),
        OpCase("cumsum_unknown", lambda x: sc.cumsum(x, 0), (Spec((5, 3)),), unknown_shapes=True),
        OpCase("cumsum_257", lambda x: sc.cumsum(x, 1), (Spec((2, 257)),), second=False),
        OpCase("cumsum_long", lambda x: sc.cumsum(x, 1), (Spec((2, 70_001)),), reduction=70_001, grad=False),
        OpCase("cumsum_tall", lambda x: sc.cumsum(x, 0), (Spec((5003, 3)),), reduction=5003, grad=False),
        OpCase("cumprod", lambda x: sc.cumprod(x, 0), (Spec((4, 3), low=1, high=3),)),
        OpCase("cumprod_rows", lambda x: sc.cumprod(x, -1), (Spec((3, 131), **near_one),), second=False),
        OpCase(
            "cumprod_tall",
            lambda x: sc.cumprod(x, 0),
            (Spec((5003, 2), kind="uniform", low=0.99, high=1.01),),
            reduction=5003,
            grad=False,
        ),  # fmt: skip
    ]
    for name, op in (("cumsum", sc.cumsum), ("cumprod", sc.cumprod)):
        nan = Spec((3, 4), kind="values", values=[1, math.nan, 2, 3, 2, math.inf, 1, 0, 3, 0, 5, 7])
        for axis in (0, 1):
            rows.append(
                OpCase(
                    f"{name}_with_nan_{axis}",
                    lambda x, op=op, axis=axis: op(x, axis),
                    (nan,),
                    exact=True,
                    grad=False,
                )
            )
        for dtype in (*INTEGERS, "float64"):
            rows.append(
                OpCase(
                    f"{name}_{dtype}",
                    lambda x, op=op: op(x, 0),
                    (Spec((37, 5), dtype),),
                    exact=True,
                    grad=False,
                )
            )
    return rows


CASES: list[OpCase] = [*sorting(), *running()]
