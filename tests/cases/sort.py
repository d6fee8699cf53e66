"""Cases of sorting and running sums. Values are distinct almost surely, so differences exist."""

from __future__ import annotations

import symconv as sc
from symconv.testing import OpCase, Spec

CASES = [
    OpCase("sort", lambda x: sc.sort(x), (Spec((3, 7)),), torch=lambda t, x: t.sort(x, dim=-1).values),
    OpCase("sort_0", lambda x: sc.sort(x, 0), (Spec((5, 2, 3)),)),
    OpCase("sort_flat", lambda x: sc.sort(x, None), (Spec((2, 3)),)),
    OpCase("sort_empty", lambda x: sc.sort(x), (Spec((2, 0)),)),
    OpCase("argsort", lambda x: sc.argsort(x, 0), (Spec((5, 3)),), grad=False),
    OpCase("sort_by_index", lambda x: sc.take_along_axis(x, sc.argsort(x), 1), (Spec((3, 5)),)),
    OpCase("cumsum", lambda x: sc.cumsum(x, 1), (Spec((3, 7)),), torch=lambda t, x: t.cumsum(x, 1)),
    OpCase("cumsum_flat", lambda x: sc.cumsum(x), (Spec((2, 3, 2)),)),
    OpCase("cumsum_empty", lambda x: sc.cumsum(x, 0), (Spec((0, 3)),)),
    OpCase("cumprod", lambda x: sc.cumprod(x, 0), (Spec((4, 3), low=1, high=3),)),
]
