"""Cases of the matrix products."""

from __future__ import annotations

from typing import Any

import symconv as sc
from symconv.ops.dense import BatchedDot, Dot
from symconv.ops.gemm import ACTIVATIONS, FACTORS, DenseAct, DotMulActGrad, Gemm
from symconv.testing import OpCase, Spec

Shape = tuple[int, ...]


def product(name: str, build: Any, a: Shape, b: Shape, terms: int, **options: Any) -> OpCase:
    """Linear in each operand: whole numbers are exact, and so are differences with step 1."""
    return OpCase(
        name, build, (Spec(a), Spec(b)), exact=True, bilinear=True, reduction=max(terms, 1), **options
    )


def matrices() -> list[OpCase]:
    sizes: dict[str, tuple[int, int, int, str | None]] = {
        "primes": (7, 11, 5, "gemm_rows"),
        "one": (1, 1, 1, "gemm_rows"),
        "row": (1, 13, 37, "gemm_rows"),
        "column": (13, 1, 37, "gemm_dots"),
        "one_term": (5, 7, 1, "gemm_rows"),
        "no_rows": (0, 5, 3, None),
        "no_columns": (5, 0, 3, None),
        "no_terms": (5, 3, 0, None),
        "batch_10": (10, 100, 67, "gemm_rows"),
        "rank_10": (131, 29, 10, "gemm_rows"),
        "large": (67, 71, 53, "gemm_packed"),
        "long": (37, 41, 523, "gemm_packed"),
    }
    rows = [
        product(name, sc.dot, (m, k), (k, n), k, kernel=kernel, torch=lambda t, a, b: a @ b)
        for name, (m, n, k, kernel) in sizes.items()
    ]
    flags = [(True, False), (False, True), (True, True)]
    for ta, tb in flags:
        label = "_".join(["trans"] + ["a"] * ta + ["b"] * tb)
        for name in ("primes", "row", "column", "no_terms", "rank_10", "large"):
            m, n, k, _ = sizes[name]
            a, b = ((k, m) if ta else (m, k)), ((n, k) if tb else (k, n))
            rows.append(product(f"{label}_{name}", Dot(ta, tb), a, b, k))
    return rows


def ranks() -> list[OpCase]:
    pairs: list[tuple[Shape, Shape, int]] = [
        ((5,), (5,), 5),
        ((3, 5), (5,), 5),
        ((5,), (5, 7), 5),
        ((2, 3, 5), (5,), 5),
        ((2, 3, 5), (5, 7), 5),
    ]
    dots = [*pairs, ((3, 5), (2, 5, 7), 5), ((2, 3, 5), (11, 5, 7), 5), ((), (3, 5), 1), ((0,), (0,), 1)]
    batched = [
        *pairs,
        ((2, 3, 5), (2, 5, 7), 5),
        ((1, 3, 5), (2, 5, 7), 5),
        ((3, 5), (2, 5, 7), 5),
        ((5,), (2, 5, 7), 5),
        ((2, 1, 3, 5), (11, 5, 7), 5),
        ((0, 3, 5), (0, 5, 7), 5),
        ((2, 3, 0), (2, 0, 7), 1),
        ((3, 40, 37), (3, 37, 41), 37),
    ]
    rows = []
    for unknown in (False, True):
        end = "_unknown" * unknown
        for a, b, k in dots:
            torch = None if len(b) > 2 or not a else lambda t, a, b: a @ b
            rows.append(product(f"dot_{a}_{b}{end}", sc.dot, a, b, k, unknown_shapes=unknown, torch=torch))
        for a, b, k in batched:
            rows.append(
                product(
                    f"matmul_{a}_{b}{end}", sc.matmul, a, b, k, unknown_shapes=unknown,
                    torch=lambda t, a, b: a @ b,
                )
            )  # fmt: skip
    for ta in (False, True):
        for tb in (False, True):
            a, b = ((3, 5, 7) if ta else (3, 7, 5)), ((2, 1, 11, 5) if tb else (2, 1, 5, 11))
            rows.append(product(f"batched_dot_flags_{ta}_{tb}", BatchedDot(ta, tb), a, b, 5))
    return rows


def contractions() -> list[OpCase]:
    rows = []
    for unknown in (False, True):
        end = "_unknown" * unknown
        rows += [
            product("outer" + end, sc.outer, (3,), (5,), 5, unknown_shapes=unknown,
                    torch=lambda t, a, b: t.outer(a, b)),
            product("outer_of_matrices" + end, sc.outer, (2, 3), (5, 1), 6, unknown_shapes=unknown),
            product("tensordot_2" + end, lambda a, b: sc.tensordot(a, b), (2, 3, 5), (3, 5, 7), 15,
                    unknown_shapes=unknown, torch=lambda t, a, b: t.tensordot(a, b, 2)),
            product("tensordot_0" + end, lambda a, b: sc.tensordot(a, b, 0), (2, 3), (5, 7), 35,
                    unknown_shapes=unknown, torch=lambda t, a, b: t.tensordot(a, b, 0)),
            product("tensordot_crossed" + end, lambda a, b: sc.tensordot(a, b, ([1, 0], [0, 2])), (3, 5, 2),
                    (5, 7, 3), 15, unknown_shapes=unknown,
                    torch=lambda t, a, b: t.tensordot(a, b, ([1, 0], [0, 2]))),
            product("tensordot_front" + end, lambda a, b: sc.tensordot(a, b, ([0, 1], [0, 1])), (3, 5, 2),
                    (3, 5, 7), 15, unknown_shapes=unknown),
            product("batched_dot" + end, sc.batched_dot, (4, 3, 5), (4, 5, 7), 7, unknown_shapes=unknown,
                    torch=lambda t, a, b: t.bmm(a, b)),
            product("batched_dot_vectors" + end, sc.batched_dot, (4, 5), (4, 5), 5, unknown_shapes=unknown,
                    torch=lambda t, a, b: (a * b).sum(1)),
            product("batched_dot_many" + end, sc.batched_dot, (4, 2, 3, 5), (4, 11, 5, 7), 77,
                    unknown_shapes=unknown),
        ]  # fmt: skip
    return rows


def integers() -> list[OpCase]:
    rows = []
    for dtype in ("bool", "int8", "uint8", "int16", "int32", "int64"):
        a, b = Spec((7, 13), dtype), Spec((13, 5), dtype)
        rows.append(OpCase(f"dot_{dtype}", sc.dot, (a, b), exact=True, kernel="gemm_plain"))
    batch = Spec((3, 1, 7, 13), "int32"), Spec((2, 13, 5), "int32")
    rows.append(OpCase("matmul_int32", sc.matmul, batch, exact=True, kernel="gemm_plain"))
    return rows


def layers() -> list[OpCase]:
    x, w, b = Spec((10, 37)), Spec((37, 19)), Spec((19,))
    rows = [
        OpCase("dense", sc.dense, (x, w, b), exact=True, reduction=37,
               torch=lambda t, x, w, b: t.addmm(b, x, w)),
        OpCase("dense_cube", sc.dense, (Spec((3, 5, 37)), w, b), exact=True, reduction=37),
        OpCase("dense_vector_no_bias", sc.dense, (Spec((37,)), w), exact=True, reduction=37),
        OpCase("dense_unknown", sc.dense, (x, w, b), exact=True, reduction=37, unknown_shapes=True),
        OpCase("dense_no_rows", sc.dense, (Spec((0, 37)), w, b), exact=True),
        OpCase("dense_tanh_dense", lambda x, w, b, v: sc.dense(sc.tanh(sc.dense(x * 0.1, w, b)), v),
               (x, w, b, Spec((19, 7))), reduction=37 * 19),
    ]  # fmt: skip
    return rows


def fused() -> list[OpCase]:
    """What the rewrites make; these are never differentiated."""
    rows = []
    scalar = Spec((), kind="uniform", low=-2, high=2)
    for ta in (False, True):
        for m, n, k in ((10, 29, 67), (131, 23, 10), (43, 37, 41), (43, 37, 71), (3, 5, 0)):
            a = Spec((k, m) if ta else (m, k))
            inputs = (Spec((m, n)), a, Spec((k, n)), scalar, scalar)
            name = f"gemm_{ta}_{m}x{n}x{k}"
            rows.append(OpCase(name, Gemm(ta, False), inputs, grad=False, exact=True, reduction=max(k, 1)))
    x, w, b = Spec((10, 37)), Spec((37, 19)), Spec((19,))
    for name in ACTIVATIONS:
        rows.append(
            OpCase(f"dense_act_{name}", DenseAct(False, False, name), (x, w, b), grad=False, reduction=37)
        )
    dy, w = Spec((10, 40)), Spec((23, 40))
    y = Spec((10, 23), kind="uniform", low=-0.5, high=1)
    for name in FACTORS:
        op = DotMulActGrad(False, True, name)
        rows.append(OpCase(f"dot_mul_act_grad_{name}", op, (dy, w, y), grad=False, reduction=40))
    return rows


CASES = matrices() + ranks() + contractions() + integers() + layers() + fused()
