"""Runs one kernel of a convolution by itself, between sentinels."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from kernels import guarded
from symconv.graph import Apply, Kernel, Op, constant

core = pytest.importorskip("symconv._core")


def node_of(op: Op, arrays: tuple[np.ndarray, ...]) -> Apply:
    return op.make(*(constant(a) if a.ndim == 0 else sc.tensor(str(a.dtype), a.shape) for a in arrays))


def run(node: Apply, kernel: Kernel, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """One launch into outputs full of NaN between sentinels; inputs have sentinels too, and stay."""
    views, wholes = zip(*(guarded(v.type.shape, v.dtype) for v in node.outputs))
    inputs = []
    for a in arrays:
        view, _ = guarded(a.shape, str(a.dtype))
        view[...] = a
        inputs.append(view)
    core.call_kernel(kernel.entry, kernel.launch(node).params, inputs, views)
    for whole in wholes:
        assert whole[0] == whole[-1] == 77, f"{kernel.name} wrote beside its output"
    for a, b in zip(arrays, inputs):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return list(views)


def named(op: Op, name: str) -> Kernel:
    return next(k for k in op.kernels if k.name == name)


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.integers(-3, 4, shape).astype(dtype)


def dims(*sizes: int) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(s, "int64") for s in sizes)
