"""Cases of indexing, and of tensors with a part replaced: linear in every float, so exact on integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symconv as sc
from symconv.testing import OpCase, Spec

CUBE = Spec((3, 5, 7))
ROWS = np.array([[2, 0], [2, -1]])
INDICES: dict[str, Any] = {
    "int": np.s_[1],
    "last": np.s_[..., -1],
    "row_range": np.s_[1:3],
    "part": np.s_[1:, 2:4, ::3],
    "reversed": np.s_[::-1, 4:0:-2],
    "empty": np.s_[:, 4:2],
    "newaxis": np.s_[:, None, 2:, None],
    "full": np.s_[:],
    "array": np.s_[ROWS],
    "array_last": np.s_[..., [6, 0, 6]],
    "array_and_slice": np.s_[1:, [4, 0], ::-2],
    "arrays_adjacent": np.s_[:, [4, 0], [1, 1]],
    "arrays_apart": np.s_[[2, 0], :, [1, 1]],
    "arrays_broadcast": np.s_[ROWS, [1, 3]],
    "int_and_array": np.s_[0, [4, 4, 1]],
    "no_rows": np.s_[np.zeros(0, int)],
    "mask": np.s_[:, np.array([True, False, True, True, False])],
}


def linear(name: str, build: Callable[..., Any], *specs: Spec, **options: Any) -> OpCase:
    return OpCase(name, build, specs, exact=True, bilinear=True, gaussian=False, **options)


def forwards(index: Any) -> bool:
    """PyTorch has no negative steps."""
    items = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(i, slice) and (i.step or 1) < 0 for i in items)


def reading() -> list[OpCase]:
    cases = []
    for name, index in INDICES.items():
        torch = (lambda t, x, i=index: x[i]) if forwards(index) else None
        cases.append(linear(f"get_{name}", lambda x, i=index: x[i], CUBE, torch=torch))
    for name in ("part", "reversed", "arrays_apart"):
        index = INDICES[name]
        cases.append(linear(f"get_{name}_unknown", lambda x, i=index: x[i], CUBE, unknown_shapes=True))
    return cases


def writing() -> list[OpCase]:
    cases = []
    for name, index in INDICES.items():
        part = Spec(np.zeros(CUBE.shape)[index].shape)
        cases += [
            linear(f"set_{name}", lambda x, y, i=index: sc.set_subtensor(x[i], y), CUBE, part),
            linear(f"inc_{name}", lambda x, y, i=index: sc.inc_subtensor(x[i], y), CUBE, part),
        ]
    scalar = Spec(())
    return [
        *cases,
        linear("set_number", lambda x: sc.set_subtensor(x[:, 1:3], 2), CUBE),
        linear("inc_scalar", lambda x, y: sc.inc_subtensor(x[:, 1:3], y), CUBE, scalar),
        linear("set_row", lambda x, y: sc.index_update(x, np.s_[1:, ::2], y), CUBE, Spec((3, 1))),
        linear(
            "add_row_unknown",
            lambda x, y: sc.index_add(x, np.s_[[0, 0], 2:], y),
            CUBE,
            Spec((7,)),
            unknown_shapes=True,
        ),
    ]


def symbolic() -> list[OpCase]:
    def at(value: int, dtype: str = "int64") -> Spec:
        return Spec((), dtype, "values", values=value)

    labels = Spec((11,), "int32", "index", 0, 5)
    positions = Spec((4, 2), "int64", "index", -3, 3)
    scores = Spec((11, 5))
    return [
        linear("batch", lambda x, i: x[i * 2 : (i + 1) * 2], Spec((8, 3)), at(2, "int32")),
        linear("batch_clipped", lambda x, i: x[i * 3 : (i + 1) * 3], Spec((8, 3)), at(2)),
        linear("columns", lambda x, i: x[:, i : i + 2], Spec((3, 8)), at(5)),
        linear("element", lambda x, i, j: x[i, j], Spec((3, 8)), at(2), at(-8)),
        linear("set_columns", lambda x, i: sc.set_subtensor(x[:, i : i + 2], 1), Spec((3, 8)), at(5)),
        linear("inc_row", lambda x, y, i: sc.inc_subtensor(x[i], y), Spec((3, 8)), Spec((8,)), at(1)),
        linear(
            "pick_labels",
            lambda p, y: p[sc.arange(y.shape[0]), y],
            scores,
            labels,
            torch=lambda t, p, y: p[t.arange(11), y.long()],
        ),
        linear(
            "pick_labels_unknown",
            lambda p, y: p[sc.arange(y.shape[0]), y],
            scores,
            labels,
            unknown_shapes=True,
        ),
        linear("take_rows", lambda x, i: sc.take(x, i, 0), CUBE, positions),
        linear("take_middle", lambda x, i: sc.take(x, i, 1), CUBE, positions),
        linear("take_flat", lambda x, i: sc.take(x, i), CUBE, positions),
        linear("take_one", lambda x, i: sc.take(x, i, 2), CUBE, at(6)),
        linear(
            "take_along_axis",
            lambda x, i: sc.take_along_axis(x, i, 1),
            Spec((3, 5)),
            Spec((3, 2), "int64", "index", 0, 5),
            torch=lambda t, x, i: x.gather(1, i),
        ),
        linear("add_repeated", lambda x, y, i: sc.index_add(x, i, y), CUBE, Spec((4, 2, 5, 7)), positions),
        linear("set_repeated", lambda x, y, i: sc.index_update(x, i, y), CUBE, Spec((4, 2, 5, 7)), positions),
    ]


CASES = reading() + writing() + symbolic()
