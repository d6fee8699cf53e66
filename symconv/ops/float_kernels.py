"""Descriptors of kernels that exist once for each float dtype."""

from __future__ import annotations

from collections.abc import Callable

from symconv.graph import Apply, Kernel, Launch, on_cuda
from symconv.graph.kernel import InplacePairs

SUFFIX = {"float32": "f32", "float64": "f64"}


def both_dtypes(
    name: str,
    source: str,
    launch: Callable[[Apply], Launch],
    inplace: InplacePairs = (),
    also: Callable[[Apply], str | None] = lambda node: None,
    tiles: Callable[[Apply], int] | None = None,
    cuda: str | None = None,
) -> list[Kernel]:
    """The entries NAME_f32 and NAME_f64 of csrc/kernels/SOURCE.cpp; `also` may refuse a node too.

    With `tiles` also those of kernels/CUDA.cu (None: SOURCE.cu), on CUDA.
    """

    def kernel(dtype: str) -> Kernel:
        def supports(node: Apply) -> str | None:
            if node.out.dtype != dtype:
                return f"the output is {node.out.dtype}, this kernel is for {dtype}"
            return also(node)

        entry = f"{name}_{SUFFIX[dtype]}"
        return Kernel(entry, "cpu", f"csrc/kernels/{source}.cpp", entry, supports, launch, inplace)

    kernels = [kernel(dtype) for dtype in SUFFIX]
    return kernels + ([on_cuda(k, cuda or source, tiles) for k in kernels] if tiles else [])
