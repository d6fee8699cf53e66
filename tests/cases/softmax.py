"""Cases of softmax, log-softmax and the ops with one label a row."""

from __future__ import annotations

from typing import Any

import numpy as np

import symconv as sc
from symconv.ops.softmax import (
    LogSoftmaxGrad,
    PutLabel,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyBoth,
    SoftmaxCrossEntropyGrad,
    SoftmaxGrad,
    TakeLabel,
)
from symconv.testing import OpCase, Spec

# one class, no rows, one row, primes, every axis, a vector
LAYOUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "one_class": ((3, 1), 1),
    "no_rows": ((0, 7), 1),
    "one_row": ((1, 10), -1),
    "rows": ((13, 11), -1),
    "columns": ((13, 11), 0),
    "vector": ((17,), 0),
    "channels": ((2, 3, 5, 7), 1),
    "long": ((3, 1009), 1),
}


def labels(n: int, k: int, dtype: str = "int64") -> Spec:
    return Spec((n,), dtype, kind="index", low=0, high=k)


def along_axis() -> list[OpCase]:
    cases = []
    for name, (shape, axis) in LAYOUTS.items():
        for dtype in ("float32", "float64") if name in ("rows", "channels") else ("float32",):
            x, dy = Spec(shape, dtype), Spec(shape, dtype)
            p = Spec(shape, dtype, kind="uniform", low=0.0, high=1.0)
            k, short, at = shape[axis], dtype.replace("float", "f"), axis % len(shape)
            grad = bool(np.prod(shape)) and k < 100
            options: dict[str, Any] = dict(reduction=k, grad=grad)
            cases += [
                OpCase(
                    f"softmax_{name}_{short}",
                    lambda x, axis=axis: sc.softmax(x, axis),
                    (x,),
                    torch=lambda t, x, axis=axis: t.softmax(x, axis),
                    kernel=f"softmax_{short}",
                    **options,
                ),
                OpCase(
                    f"log_softmax_{name}_{short}",
                    lambda x, axis=axis: sc.log_softmax(x, axis),
                    (x,),
                    torch=lambda t, x, axis=axis: t.log_softmax(x, axis),
                    kernel=f"log_softmax_{short}",
                    **options,
                ),
                OpCase(
                    f"softmax_grad_{name}_{short}",
                    SoftmaxGrad(at),
                    (dy, p),
                    kernel=f"softmax_grad_{short}",
                    tolerance=32,
                    **options,
                ),
                OpCase(
                    f"log_softmax_grad_{name}_{short}",
                    LogSoftmaxGrad(at),
                    (dy, x),
                    kernel=f"log_softmax_grad_{short}",
                    tolerance=32,
                    **options,
                ),
            ]
    return cases


def with_labels() -> list[OpCase]:
    cases = []
    for n, k in ((0, 5), (5, 1), (1, 10), (13, 11), (257, 131)):
        for dtype, label in (("float32", "int64"), ("float64", "int32"), ("float32", "uint8"))[
            : 3 if n == 13 else 1
        ]:
            short = f"{n}x{k}_{dtype.replace('float', 'f')}_{label}"
            suffix = dtype.replace("float", "f")
            grad = 0 < n * k < 1000
            x, t, rows = Spec((n, k), dtype), labels(n, k, label), Spec((n,), dtype)
            p = Spec((n, k), dtype, kind="uniform", low=0.0, high=1.0)
            cases += [
                OpCase(
                    f"softmax_cross_entropy_{short}",
                    SoftmaxCrossEntropy(),
                    (x, t),
                    grad=grad,
                    reduction=k,
                    torch=lambda t, x, y: (
                        t.nn.functional.cross_entropy(x, y.long(), reduction="none"),
                        t.softmax(x, 1),
                    ),
                    kernel=f"softmax_cross_entropy_{suffix}",
                ),
                OpCase(
                    f"softmax_cross_entropy_grad_{short}",
                    SoftmaxCrossEntropyGrad(),
                    (rows, p, t),
                    grad=grad,
                    reduction=k,
                    kernel=f"softmax_cross_entropy_grad_{suffix}",
                ),
                OpCase(
                    f"softmax_cross_entropy_both_{short}",
                    SoftmaxCrossEntropyBoth(),
                    (x, t, rows),
                    grad=False,
                    reduction=k,
                    kernel=f"softmax_cross_entropy_both_{suffix}",
                ),
                OpCase(
                    f"take_label_{short}",
                    TakeLabel(),
                    (x, t),
                    grad=grad,
                    exact=True,
                    bilinear=True,
                    torch=lambda t, x, y: t.gather(x, 1, y.long()[:, None])[:, 0],
                    kernel=f"take_label_{suffix}",
                ),
                OpCase(
                    f"put_label_{short}",
                    lambda y, t, k=k: PutLabel()(y, t, sc.constant(k, "int64")),
                    (rows, t),
                    grad=grad,
                    exact=True,
                    bilinear=True,
                    kernel=f"put_label_{suffix}",
                ),
            ]
    return cases


def hostile() -> list[OpCase]:
    big = Spec((3, 4), kind="values", values=[[1e4, -1e4, 0, 1], [-1e4] * 4, [1e4, 1e4, 0, -np.inf]])
    t = Spec((3,), "int64", kind="values", values=[1, 2, 3])
    return [
        OpCase("softmax_huge", sc.softmax, (big,), grad=False),
        OpCase("log_softmax_huge", sc.log_softmax, (big,), grad=False),
        OpCase("cross_entropy_huge", sc.cross_entropy_with_logits, (big, t), grad=False),
        OpCase(
            "softmax_unknown_shape",
            lambda x: x * sc.softmax(x),
            (Spec((5, 7)),),
            unknown_shapes=True,
            reduction=7,
        ),
        OpCase("cross_entropy_both_huge", SoftmaxCrossEntropyBoth(), (big, t, Spec((3,))), grad=False),
        OpCase(
            "softmax_cross_entropy_unknown_shape",
            SoftmaxCrossEntropy(),
            (Spec((5, 7)), labels(5, 7)),
            unknown_shapes=True,
            reduction=7,
        ),
    ]


CASES = along_axis() + with_labels() + hostile()
