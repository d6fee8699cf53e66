"""Kernel descriptors of the matrix products, shared by the ops of dense.py and gemm.py."""

from __future__ import annotations

from symconv.graph import Kernel


def dot_kernels() -> list[Kernel]:
    """Fastest first; each refuses the sizes where the next one wins."""
    return []


def gemm_kernels() -> list[Kernel]:
    return []


def dense_act_kernels() -> list[Kernel]:
    return []


def dot_mul_act_grad_kernels() -> list[Kernel]:
    return []
