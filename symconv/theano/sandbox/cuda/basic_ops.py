"""theano.sandbox.cuda.basic_ops."""

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.gpuarray.basic_ops import (
    as_cuda_ndarray_variable,
    gpu_contiguous,
    gpu_from_host,
    host_from_gpu,
)

__all__ = ["as_cuda_ndarray_variable", "gpu_contiguous", "gpu_from_host", "host_from_gpu"]


def __getattr__(name: str) -> Any:
    return missing("sandbox.cuda.basic_ops", name)
