"""Cases of the inverse trigonometric functions."""

from __future__ import annotations

import symconv as sc
from symconv.testing import OpCase, Spec

CASES = [
    OpCase("arcsin", sc.arcsin, (Spec((3, 5), low=-0.8, high=0.8),), torch=lambda t, x: t.arcsin(x)),
    OpCase("arccos", sc.arccos, (Spec((7,), low=-0.8, high=0.8),), torch=lambda t, x: t.arccos(x)),
    OpCase("arctan", sc.arctan, (Spec((2, 0)),)),
    OpCase("arctan_cube", sc.arctan, (Spec((2, 3, 5)),), torch=lambda t, x: t.arctan(x)),
    OpCase(
        "arctan2",
        sc.arctan2,
        (Spec((3, 1), low=0.5, high=2), Spec((5,), low=0.5, high=2)),
        torch=lambda t, y, x: t.arctan2(y, x),
    ),
]
