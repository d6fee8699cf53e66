"""Kernels and ops of the user's: CUDA and C++ from strings, files and libraries, and Python functions."""

from symconv.extend.kernel import LaunchSpec, cpu_kernel, cuda_kernel, launch
from symconv.extend.python_op import as_op
from symconv.graph.registry import register_kernel, unregister_kernel, use_kernel

__all__ = [
    "LaunchSpec",
    "as_op",
    "cpu_kernel",
    "cuda_kernel",
    "launch",
    "register_kernel",
    "unregister_kernel",
    "use_kernel",
]
