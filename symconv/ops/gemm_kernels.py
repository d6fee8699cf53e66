"""Kernel descriptors of the matrix products, shared by the ops of dense.py and gemm.py.

By size: gemm_rows for few rows or few terms, gemm_dots where the second operand lies transposed and the
first has few rows, gemm_packed for all other floats, gemm_plain for integers and bools. Every kernel does
the epilogue of every op.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from symconv.graph import DTYPES, Apply, Kernel, Launch
from symconv.graph.kernel import Slower
from symconv.graph.params import pack
from symconv.ops.instruction_set import instruction_set

FORMS = {"dot": 0, "gemm": 1, "dense_act": 2, "dot_mul_act_grad": 3}
ACTIVATION_CODES = {"linear": 0, "relu": 1, "sigmoid": 2, "tanh": 3, "mul": 4}


@dataclass(frozen=True)
class Limits:
    """Where packing b pays: rows and terms of gemm_rows, fewest terms of gemm_dots. Measured on AVX2."""

    rows: int = 32
    terms: int = 32
    least_terms: int = 32

    def dot_rows(self, terms: int, skips: bool) -> int:
        """Rows of gemm_dots; `skips`: dead elements are left out there."""
        return self.rows


class WideLimits(Limits):
    """AVX-512: packing costs less beside tiles of 24 sums, the folding of 16 lanes more."""

    def dot_rows(self, terms: int, skips: bool) -> int:
        return 16 if skips else min(12, terms // 20)


_LIMITS = {"avx512": WideLimits(terms=64)}
_DEFAULT = Limits()


def limits() -> Limits:
    """Those of the instruction set in use."""
    return _LIMITS.get(instruction_set(), _DEFAULT)


@dataclass(frozen=True, slots=True)
class Problem:
    """The product of one batch member as the kernels see it: [m, k] x [k, n]."""

    dtype: str
    m: int
    n: int
    k: int
    trans_a: bool
    trans_b: bool
    batch: int

    def as_bound(self) -> Problem:
        """A column becomes a row, and a row or column counts as untransposed (bind() in gemm.h)."""
        m, n, ta, tb = self.m, self.n, self.trans_a, self.trans_b
        if n == 1 and m > 1:
            m, n, ta, tb = 1, m, tb, not ta
        return Problem(self.dtype, m, n, self.k, ta and m > 1, tb and n > 1, self.batch)


def problem(node: Apply) -> Problem:
    op = node.op
    first = 1 if FORMS[form_of(node)] == 1 else 0
    a, b = (v.type for v in node.inputs[first : first + 2])
    ta, tb = op.trans_a, op.trans_b  # type: ignore[attr-defined]
    rows, terms = a.shape[-2:][::-1] if ta else a.shape[-2:]
    columns = b.shape[-2 if tb else -1]
    assert rows is not None and terms is not None and columns is not None  # plans are concrete
    batch = math.prod(d or 0 for d in node.out.type.shape[:-2])
    return Problem(a.dtype, rows, columns, terms, ta, tb, batch)


def form_of(node: Apply) -> str:
    return "dot" if node.op.name == "batched_dot" else node.op.name


def launch(node: Apply) -> Launch:
    p = problem(node)
    batch = node.out.type.shape[:-2]
    strides = [_batch_strides(v.type.shape, len(batch)) for v in node.inputs[:2]] if batch else [[], []]
    activation = getattr(node.op, "activation", "linear")
    return Launch(
        pack(
            "GemmParams",
            form=FORMS[form_of(node)],
            dtype=DTYPES.index(p.dtype),
            trans_a=int(p.trans_a),
            trans_b=int(p.trans_b),
            activation=ACTIVATION_CODES[activation],
            batch_ndim=len(batch),
            m=p.m,
            n=p.n,
            k=p.k,
            batch_shape=batch,
            a_stride=strides[0],
            b_stride=strides[1],
        )
    )


def _batch_strides(shape: tuple[int | None, ...], ndim: int) -> list[int]:
    """Elements from one member to the next along each batch axis of the result; 0 where one is repeated."""
    step = (shape[-1] or 0) * (shape[-2] or 0)
    strides = []
    for dim in reversed(shape[:-2]):
        strides.append(0 if dim == 1 else step)
        step *= dim or 0
    return [0] * (ndim - len(strides)) + strides[::-1]


def _floats(node: Apply) -> str | None:
    p = problem(node)
    if p.dtype not in ("float32", "float64"):
        return f"is for floats, not {p.dtype}"
    return _batch_rank(node)


def _batch_rank(node: Apply) -> str | None:
    rank = node.out.type.ndim - 2
    return f"{rank} batch axes, at most 6" if rank > 6 else None


def _supports_rows(node: Apply) -> str | None:
    if refusal := _floats(node):
        return refusal
    p = problem(node).as_bound()
    if p.trans_b:
        return "the second operand lies transposed"
    few = limits()
    if p.m > few.rows and p.k > few.terms:
        return Slower(f"more than {few.rows} rows and {few.terms} terms: packing pays")
    return None


def _supports_dots(node: Apply) -> str | None:
    if refusal := _floats(node):
        return refusal
    p = problem(node).as_bound()
    if p.trans_a or (not p.trans_b and p.n > 1):
        return "the operands do not lie as [M, K] and [N, K]"
    if p.m == 1:
        return None
    few = limits()
    skips = form_of(node) == "dot_mul_act_grad" and node.op.activation in ("relu", "mul")  # type: ignore[attr-defined]
    if p.m > (rows := few.dot_rows(p.k, skips)):
        return Slower(f"more than {rows} rows of {p.k} terms: packing pays")
    if p.k < few.least_terms:
        return Slower(
            f"fewer than {few.least_terms} terms: folding the lanes would cost more than the products"
        )
    return None


def _supports_plain(node: Apply) -> str | None:
    if problem(node).dtype in ("float32", "float64"):
        return "is for integers and bools"
    return _batch_rank(node)


def _descriptor(name: str, supports: Callable[[Apply], str | None], in_place: bool) -> Kernel:
    pairs = ((0, 0),) if in_place else ()
    return Kernel(name, "cpu", f"csrc/kernels/{name}.cpp", name, supports, launch, pairs)


def product_kernels(floats_only: bool = False, in_place: bool = False) -> list[Kernel]:
    """Fastest first; each refuses the sizes where the next one wins."""
    kernels = [
        _descriptor("gemm_rows", _supports_rows, in_place),
        _descriptor("gemm_dots", _supports_dots, in_place),
        _descriptor("gemm_packed", _floats, in_place),
    ]
    return kernels if floats_only else [*kernels, _descriptor("gemm_plain", _supports_plain, in_place)]
