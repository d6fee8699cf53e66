"""Cases of the reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import symconv as sc
from symconv.testing import OpCase, Spec

# name: shape, axis, keepdims
LAYOUTS: dict[str, tuple[tuple[int, ...], Any, bool]] = {
    "all": ((5, 7), None, False),
    "rows": ((5, 7), 1, False),
    "columns": ((5, 7), 0, False),
    "keepdims": ((5, 7), -1, True),
    "channels": ((2, 3, 5, 7), (0, 2, 3), False),
    "ends": ((3, 5, 7), (0, 2), True),
    "middle": ((3, 5, 7), 1, False),
    "odd_even": ((2, 3, 2, 3, 2), (1, 3), False),
    "vector": ((13,), 0, False),
    "scalar": ((), None, False),
    "no_axes": ((3, 5), (), False),
    "ones": ((1, 1, 3), (0, 1), False),
    "long_rows": ((3, 1031), 1, False),
    "long_columns": ((1031, 3), 0, False),
    "wide": ((3, 1031), 0, False),
}


def terms(shape: tuple[int, ...], axis: Any) -> int:
    axes = range(len(shape)) if axis is None else np.atleast_1d(np.array(axis, dtype=int))
    return max(1, math.prod(shape[a] for a in axes))


def table(name: str, op: Any, torch: Any = None, skip: tuple[str, ...] = (), **options: Any) -> list[OpCase]:
    spec = options.pop("spec", {})
    return [
        OpCase(
            f"{name}_{layout}",
            lambda x, axis=axis, keepdims=keepdims: op(x, axis=axis, keepdims=keepdims),
            (Spec(shape, **spec),),
            torch=None
            if torch is None or axis == ()
            else (lambda t, x, axis=axis, keepdims=keepdims: torch(t, x, axis, keepdims)),
            reduction=terms(shape, axis),
            **options,
        )
        for layout, (shape, axis, keepdims) in LAYOUTS.items()
        if layout not in skip
    ]


def dims(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else tuple(np.atleast_1d(axis).tolist())


def floats() -> list[OpCase]:
    near_one = {"kind": "uniform", "low": 0.75, "high": 1.25}
    distinct = {"kind": "distinct"}
    long = ("long_rows", "long_columns", "wide")
    return [
        *table("sum", sc.sum, lambda t, x, a, k: t.sum(x, dims(x, a), keepdim=k), exact=True),
        *table("mean", sc.mean, lambda t, x, a, k: t.mean(x, dims(x, a), keepdim=k)),
        *table("max", sc.max, lambda t, x, a, k: t.amax(x, dims(x, a), keepdim=k), exact=True, spec=distinct),
        *table("min", sc.min, lambda t, x, a, k: t.amin(x, dims(x, a), keepdim=k), exact=True, spec=distinct),
        *table("prod", sc.prod, spec=near_one, exact=True, skip=long),
        *table("var", sc.var, lambda t, x, a, k: t.var(x, dims(x, a), correction=0, keepdim=k)),
        *table("logsumexp", sc.logsumexp, lambda t, x, a, k: t.logsumexp(x, dims(x, a), keepdim=k)),
        *table("argmax", sc.argmax, grad=False, exact=True),
        *table("argmin", sc.argmin, grad=False, exact=True),
        *table("any", sc.any, grad=False, exact=True),
        *table("all", sc.all, grad=False, exact=True),
        OpCase(
            "std_ddof",
            lambda x: sc.std(x, axis=0, ddof=1),
            (Spec((5, 7)),),
            reduction=5,
            torch=lambda t, x: t.std(x, 0),
        ),
        OpCase("var_ddof_unknown", lambda x: sc.var(x, axis=0, ddof=1), (Spec((5, 7)),), unknown_shapes=True),
        OpCase("mean_unknown", lambda x: sc.mean(x, axis=1), (Spec((5, 7)),), unknown_shapes=True),
        OpCase(
            "max_ties",
            lambda x: sc.max(x, axis=1),
            (Spec((2, 3), kind="values", values=[[1, 3, 3], [2, 2, 2]]),),
            exact=True,
            grad=False,
            torch=lambda t, x: t.amax(x, 1),
        ),
        OpCase(
            "prod_zeros",
            lambda x: sc.prod(x, axis=1),
            (Spec((4, 3), kind="values", values=[[2, 3, 5], [0, 3, 5], [0, 0, 5], [0, 0, 0]]),),
            exact=True,
            torch=lambda t, x: t.prod(x, 1),
        ),
        OpCase(
            "prod_zeros_axes",
            lambda x: sc.prod(x, axis=(0, 2)),
            (Spec((2, 2, 2), kind="values", values=[2, 0, 3, 4, 5, 6, 0, 0]),),
            exact=True,
        ),
        OpCase(
            "prod_unknown", lambda x: sc.prod(x, axis=0), (Spec((3, 4), **near_one),), unknown_shapes=True
        ),
        OpCase(
            "logsumexp_large",
            lambda x: sc.logsumexp(x, axis=1),
            (Spec((2, 3), kind="values", values=[[1000, 1001, -1000], [-1000, -1001, -999]]),),
            torch=lambda t, x: t.logsumexp(x, 1),
        ),
        OpCase(
            "logsumexp_infinite",
            lambda x: sc.logsumexp(x, axis=1),
            (Spec((3, 2), kind="values", values=[[math.inf, 1], [-math.inf, -math.inf], [-math.inf, 2]]),),
            grad=False,
        ),
        OpCase(
            "sum_long", sc.sum, (Spec((100_003,), kind="uniform", low=0, high=1),), reduction=1, grad=False
        ),
        OpCase(
            "sum_tall",
            lambda x: sc.sum(x, axis=0),
            (Spec((50_021, 2), kind="uniform", low=0, high=1),),
            reduction=1,
            grad=False,
        ),
    ]


def empties() -> list[OpCase]:
    none, kept = Spec((0, 3)), Spec((3, 0, 2))
    return [
        OpCase(
            f"{name}_nothing_{i}",
            lambda x, op=op, axis=axis: op(x, axis=axis),
            (spec,),
            exact=True,
            grad=False,
        )
        for name, op in {
            "sum": sc.sum,
            "prod": sc.prod,
            "any": sc.any,
            "all": sc.all,
            "mean": sc.mean,
        }.items()
        for i, (spec, axis) in enumerate([(none, 0), (kept, 1)])
    ] + [
        OpCase(f"{name}_of_empty_batch", lambda x, op=op: op(x, axis=1), (none,), exact=True, grad=False)
        for name, op in {"sum": sc.sum, "max": sc.max, "argmax": sc.argmax, "logsumexp": sc.logsumexp}.items()
    ]


def other_dtypes() -> list[OpCase]:
    cases = []
    for dtype in ("bool", "int8", "uint8", "int16", "int32", "int64", "float64"):
        for name in ("sum", "prod", "max", "min", "argmax", "argmin", "any", "all", "mean"):
            for axis in (0, 1):
                cases.append(
                    OpCase(
                        f"{name}_{dtype}_{axis}",
                        lambda x, name=name, axis=axis: getattr(sc, name)(x, axis=axis),
                        (Spec((5, 37) if axis else (37, 5), dtype),),
                        exact=name != "mean",
                        grad=False,
                    )
                )
    odd = [[1, math.nan, 3], [math.nan, math.nan, 0], [1, math.inf, 2], [-math.inf, -math.inf, -math.inf]]
    for name in ("sum", "max", "min", "argmax", "argmin", "prod"):
        for axis in (0, 1):
            cases.append(
                OpCase(
                    f"{name}_with_nan_{axis}",
                    lambda x, name=name, axis=axis: getattr(sc, name)(x, axis=axis),
                    (Spec((4, 3), kind="values", values=odd),),
                    exact=True,
                    grad=False,
                )
            )
    return cases


CASES: list[OpCase] = [*floats(), *empties(), *other_dtypes()]
