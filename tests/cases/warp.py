"""Cases of random_warp and its transpose: the oracle shares the places, so only the sampling is rounded."""

from __future__ import annotations

from typing import Any

from symconv.ops.warp import random_warp
from symconv.testing import OpCase, Spec

EPOCH = Spec((), "int64", kind="values", values=3)
BENT = {"rotation": 10, "translation": (1.5, 2), "scale": 0.1, "shear": 8, "crop": (11, 12), "elastic": 20}
ALL = {
    "turned": {"rotation": 180},
    "moved": {"translation": 2.5},
    "scaled": {"scale": 0.4, "border": "edge"},
    "sheared": {"shear": 30},
    "cropped": {"crop": 9},
    "cropped_oblong": {"crop": (13, 3), "border": "edge"},
    "elastic": {"elastic": 30, "sigma": 3},
    "elastic_edge": {"elastic": 60, "sigma": 1.5, "border": "edge"},
    "bent": BENT,
}


def case(name: str, shape: tuple[int, ...], dtype: str = "float32", **changes: Any) -> OpCase:
    n = shape[0]
    index = Spec((n,), "int64", kind="index", low=-5, high=50000)

    def build(x: Any, index: Any, epoch: Any) -> Any:
        return random_warp(x, index, epoch, seed=2**40 + 7, **changes)

    tag = "_".join([name, *map(str, shape), *([dtype] if dtype != "float32" else [])])
    grad = (0,) if all(shape) and shape[2] * shape[3] < 200 else False
    return OpCase(tag, build, (Spec(shape, dtype), index, EPOCH), grad=grad, tolerance=32)


CASES = [
    *[case(name, (3, 1, 13, 17), **changes) for name, changes in ALL.items()],
    case("bent", (2, 3, 13, 17), "float64", **BENT),
    case("bent", (5, 1, 28, 28), rotation=10, scale=0.1, crop=25, elastic=34),
    case("bent", (0, 1, 13, 17), **BENT),
    case("bent", (2, 0, 13, 17), **BENT),
    case("bent", (1, 2, 31, 12), **{**BENT, "border": "edge"}),
    case("point", (3, 1, 1, 1), rotation=50, translation=1, elastic=10),
    case("line", (2, 1, 1, 19), rotation=20, translation=1, elastic=10, border="edge"),
    case("elastic_large", (1, 1, 97, 103), elastic=30, sigma=6),
]
