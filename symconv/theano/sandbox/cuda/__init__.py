"""theano.sandbox.cuda, the GPU of Theano before 0.9: whether there is one, and cuDNN's functions (dnn)."""

from __future__ import annotations

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.gpuarray import on_gpu, use

__all__ = ["use"]


def __getattr__(name: str) -> Any:
    if name in ("cuda_available", "cuda_enabled"):
        return on_gpu()
    return missing("sandbox.cuda", name)
