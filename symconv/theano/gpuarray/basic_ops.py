"""theano.gpuarray.basic_ops: moves between the memories of the CPU and of a GPU, which plans decide here."""

from __future__ import annotations

from typing import Any

from symconv.theano.absent import missing
from symconv.theano.variable import as_tensor_variable


def gpu_contiguous(x: Any) -> Any:
    """x as a variable."""
    return as_tensor_variable(x)


gpu_from_host = host_from_gpu = as_gpuarray_variable = as_cuda_ndarray_variable = gpu_contiguous


class HostFromGpu:
    """The op of such a move: HostFromGpu()(x) is x. No node of a graph is one."""

    def __init__(self, *_: Any) -> None: ...

    def __call__(self, x: Any) -> Any:
        return as_tensor_variable(x)


GpuFromHost = HostFromGpu


def __getattr__(name: str) -> Any:
    from symconv.theano.gpuarray import dnn_classes

    if name in ("gpu_alloc", "gpu_alloc_empty"):
        return getattr(dnn_classes, name)
    return missing("gpuarray.basic_ops", name)
