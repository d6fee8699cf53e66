"""Cases of the inverse trigonometric functions."""

from __future__ import annotations

import math

import symconv as sc
from symconv.testing import OpCase, Spec

INSIDE = {"low": -0.8, "high": 0.8}
AROUND = {"low": 0.5, "high": 2}
ODD = [0.0, -0.0, 1, -1, 1.5, -1.5, math.inf, -math.inf, math.nan, 1e-30, -1e-30]

CASES = [
    OpCase("arcsin", sc.arcsin, (Spec((3, 5), **INSIDE),), torch=lambda t, x: t.arcsin(x)),
    OpCase("arccos", sc.arccos, (Spec((7,), **INSIDE),), torch=lambda t, x: t.arccos(x)),
    OpCase("arctan", sc.arctan, (Spec((2, 0)),)),
    OpCase("arctan_cube", sc.arctan, (Spec((2, 3, 5)),), torch=lambda t, x: t.arctan(x)),
    OpCase("arctan_one", sc.arctan, (Spec(()),)),
    OpCase("arcsin_prime", sc.arcsin, (Spec((1031,), **INSIDE),), second=False),
    OpCase("arctan_unknown", sc.arctan, (Spec((3, 7)),), unknown_shapes=True),
    OpCase(
        "arctan2",
        sc.arctan2,
        (Spec((3, 1), **AROUND), Spec((5,), **AROUND)),
        torch=lambda t, y, x: t.arctan2(y, x),
    ),
    OpCase(
        "arctan2_quadrants",
        sc.arctan2,
        (
            Spec((5, 1), kind="values", values=[1.5, -1.5, 0.5, -0.5, 2]),
            Spec((4,), kind="values", values=[1, -1, 3, -3]),
        ),
    ),
    OpCase(
        "angle",
        lambda y, x: sc.arctan(sc.sin(sc.arctan2(y, x)) * 2) + sc.arccos(y * 0.4),
        (Spec((3, 5), **AROUND), Spec((3, 5), **AROUND)),
    ),
    *(
        OpCase(f"{name}_odd_values", getattr(sc, name), (Spec((11,), kind="values", values=ODD),), grad=False)
        for name in ("arcsin", "arccos", "arctan")
    ),
    OpCase(
        "arctan2_odd_values",
        sc.arctan2,
        (Spec((11, 1), kind="values", values=ODD), Spec((11,), kind="values", values=ODD)),
        grad=False,
    ),
]
