"""Cases of the losses."""

from __future__ import annotations

from typing import Any

import symconv as sc
from symconv.testing import OpCase, Spec

SHAPES = {"one_class": (3, 1), "no_rows": (0, 7), "rows": (13, 11), "images": (2, 5, 3, 7), "vector": (7,)}


def index(shape: tuple[int, ...], dtype: str = "int64") -> Spec:
    """One label for each row of the last axis."""
    return Spec(shape[:-1], dtype, kind="index", low=0, high=shape[-1])


def chance(shape: tuple[int, ...], dtype: str = "float32") -> Spec:
    return Spec(shape, dtype, kind="uniform", low=0.05, high=0.95)


def taken(t: Any, x: Any, y: Any) -> Any:
    return t.take_along_dim(x, y.long()[..., None], -1)[..., 0]


def by_class() -> list[OpCase]:
    cases = []
    for name, shape in SHAPES.items():
        for dtype in ("float32", "float64") if name == "rows" else ("float32",):
            tag = f"{name}_{dtype.replace('float', 'f')}"
            x, p, t = Spec(shape, dtype), chance(shape, dtype), index(shape)
            options: dict[str, Any] = dict(grad=shape != (0, 7), reduction=shape[-1])
            cases += [
                OpCase(
                    f"cross_entropy_labels_{tag}",
                    sc.cross_entropy_with_logits,
                    (x, t),
                    torch=lambda t, x, y: -taken(t, t.log_softmax(x, -1), y),
                    **options,
                ),
                OpCase(
                    f"cross_entropy_probabilities_{tag}",
                    sc.cross_entropy_with_logits,
                    (x, p),
                    torch=lambda t, x, p: -(p * t.log_softmax(x, -1)).sum(-1),
                    tolerance=64,
                    **options,
                ),
                OpCase(
                    f"categorical_labels_{tag}",
                    sc.categorical_crossentropy,
                    (p, t),
                    torch=lambda t, p, y: -taken(t, p.log(), y),
                    **options,
                ),
                OpCase(
                    f"categorical_probabilities_{tag}",
                    sc.categorical_crossentropy,
                    (p, chance(shape, dtype)),
                    torch=lambda t, p, q: -(q * p.log()).sum(-1),
                    tolerance=64,
                    **options,
                ),
                OpCase(f"nll_{tag}", sc.nll, (x, t), torch=lambda t, x, y: -taken(t, x, y), **options),
                OpCase(
                    f"log_likelihood_{tag}",
                    sc.log_likelihood,
                    (p, t),
                    torch=lambda t, p, y: taken(t, p.log(), y),
                    **options,
                ),
                OpCase(
                    f"of_softmax_{tag}",
                    lambda x, t: sc.categorical_crossentropy(sc.softmax(x), t),
                    (x, t),
                    torch=lambda t, x, y: -taken(t, t.log_softmax(x, -1), y),
                    tolerance=64,
                    **options,
                ),
            ]
    return cases


def by_element() -> list[OpCase]:
    shape = (5, 7)
    bce = "binary_cross_entropy"
    extreme = Spec((6,), kind="values", values=[1e4, -1e4, 1e4, -1e4, 0, -30])
    target = Spec((6,), kind="values", values=[1, 0, 0, 1, 0.25, 1])
    cases = [
        OpCase(
            "binary_with_logits_extreme", sc.binary_cross_entropy_with_logits, (extreme, target), grad=False
        ),
        OpCase(
            "binary_with_logits_at_zero",
            sc.binary_cross_entropy_with_logits,
            (Spec((3,), kind="values", values=[0, 0, 0]), Spec((3,), kind="values", values=[0, 1, 0.5])),
            torch=lambda t, z, y: t.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
        ),
        OpCase(
            "binary_integer_targets",
            sc.binary_cross_entropy,
            (chance(shape), Spec(shape, "int32", kind="index", low=0, high=2)),
            tolerance=64,
        ),
        OpCase("squared_error_integers", sc.squared_error, (Spec(shape), Spec((7,))), exact=True),
    ]
    for dtype in ("float32", "float64"):
        for size in (shape, (0, 3), ()):
            tag = f"{'x'.join(map(str, size)) or 'scalar'}_{dtype.replace('float', 'f')}"
            z, p = Spec(size, dtype), chance(size, dtype)
            cases += [
                OpCase(
                    f"{bce}_{tag}",
                    sc.binary_cross_entropy,
                    (p, chance(size, dtype)),
                    torch=lambda t, p, y: -(y * p.log() + (1 - y) * (1 - p).log()),
                    grad=0 not in size,
                    tolerance=64,
                ),
                OpCase(
                    f"{bce}_with_logits_{tag}",
                    sc.binary_cross_entropy_with_logits,
                    (z, p),
                    torch=lambda t, z, y: t.nn.functional.binary_cross_entropy_with_logits(
                        z, y, reduction="none"
                    ),
                    grad=0 not in size,
                ),
                OpCase(
                    f"squared_error_{tag}",
                    sc.squared_error,
                    (z, Spec(size, dtype)),
                    torch=lambda t, a, b: (a - b) ** 2,
                    grad=0 not in size,
                    exact=True,
                ),
            ]
    return cases


CASES = by_class() + by_element()
