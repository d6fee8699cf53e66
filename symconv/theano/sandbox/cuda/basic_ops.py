"""theano.sandbox.cuda.basic_ops."""

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.gpuarray.basic_ops import (
    GpuFromHost,
    HostFromGpu,
    as_cuda_ndarray_variable,
    gpu_contiguous,
    gpu_from_host,
    host_from_gpu,
)
from symconv.theano.gpuarray.dnn_classes import gpu_alloc, gpu_alloc_empty

__all__ = [
    "GpuFromHost",
    "HostFromGpu",
    "gpu_alloc",
    "gpu_alloc_empty",
    "as_cuda_ndarray_variable",
    "gpu_contiguous",
    "gpu_from_host",
    "host_from_gpu",
]


def __getattr__(name: str) -> Any:
    return missing("sandbox.cuda.basic_ops", name)
