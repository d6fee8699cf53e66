"""Cases of the tensors made from numbers and sizes."""

from __future__ import annotations

from typing import Any

import symconv as sc
from symconv.testing import OpCase, Spec


def whole(dtype: str, value: Any, shape: tuple[int, ...] = ()) -> Spec:
    return Spec(shape, dtype, "values", values=value)


STEP = whole("float32", 0.25)
CASES = [
    OpCase("arange", lambda a, b: sc.arange(a, b), (whole("int32", -2), whole("int64", 9)), exact=True),
    OpCase("arange_down", lambda a: sc.arange(a, 0, -3), (whole("int64", 11),), exact=True),
    OpCase("arange_empty", lambda a: sc.arange(a, 0), (whole("int64", 11),), exact=True),
    # the length jumps with start, stop and step, so differences say nothing; the gradient is checked by hand
    OpCase("arange_float", lambda s: sc.arange(0, 3, s), (STEP,), grad=False),
    OpCase("linspace", lambda a, b: sc.linspace(a, b, 11), (Spec(()), Spec(()))),
    OpCase("eye", lambda n: sc.eye(n, 5, -1), (whole("int64", 7),), exact=True),
    OpCase("one_hot", lambda y: sc.one_hot(y, 5), (Spec((3, 7), "int32", "index", 0, 5),), exact=True),
    OpCase(
        "one_hot_empty",
        lambda y: sc.one_hot(y, 5, "int8"),
        (Spec((0, 7), "uint8", "index", 0, 5),),
        exact=True,
    ),
    OpCase(
        "full", lambda v, n: sc.full((n, 3, 5), v), (Spec(()), whole("int32", 2)), exact=True, bilinear=True
    ),
    OpCase("zeros_like", lambda x: x + sc.zeros_like(x), (Spec((3, 5)),), exact=True, unknown_shapes=True),
    OpCase("ones_like", lambda x: x * sc.ones_like(x), (Spec((3, 0)),), exact=True),
]
