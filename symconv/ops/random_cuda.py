"""CUDA kernels of the random draws: the values are those of philox.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symconv.graph import Apply, Kernel, Launch, blocks
from symconv.graph.params import pack
from symconv.ops.float_kernels import SUFFIX

THREADS = 256
SHORT = 4096  # numbers of a permutation that one launch counts out; beyond, merging does less work
RUN = 1024  # that are sorted before the first merge


def signed(seed: int) -> int:
    """The bits of a seed as the params hold them."""
    return seed - 2**64 if seed >= 2**63 else seed


def _kernel(
    name: str, dtype: str, launch: Callable[[Apply], Launch], supports: Callable[[Apply], str | None]
) -> Kernel:
    entry = f"{name}_{SUFFIX[dtype]}" if dtype in SUFFIX else name
    return Kernel(entry, "cuda", "kernels/random.cu", entry, supports, launch)


def draws_on_cuda(name: str, dtypes: Sequence[str]) -> list[Kernel]:
    """NAME for each dtype: a thread makes the 16 bytes of one Philox block."""

    def launch(node: Apply) -> Launch:
        op: Any = node.op
        n = node.out.type.size
        params = pack(
            "RandomDrawParams", n=n, seed=signed(op.seed), stream=op.stream, out=len(node.inputs), unused=0
        )
        return Launch(params, blocks(n, THREADS * 16 // node.out.type.itemsize))

    def supports(dtype: str) -> Callable[[Apply], str | None]:
        return lambda node: (
            None if node.out.dtype == dtype else f"the output is {node.out.dtype}, this kernel is for {dtype}"
        )

    return [_kernel(name, dtype, launch, supports(dtype)) for dtype in dtypes]


def _stages(n: int) -> list[tuple[str, int]]:
    """(entry, width of the runs) of each launch."""
    if n <= SHORT:
        return [("random_permutation", 0)]
    stages, width = [("random_permutation_runs", RUN)], RUN
    while width < n:
        stages.append(("random_permutation_merge", width))
        width *= 2
    return stages


def permutations_on_cuda() -> list[Kernel]:
    """One launch for a short permutation; otherwise sorted runs and their merging, each stage a launch."""

    def launch(node: Apply) -> Launch:
        op: Any = node.op
        n, out = node.out.type.size, len(node.inputs)
        stages = _stages(n)
        then: Launch | None = None
        for i, (entry, width) in reversed(list(enumerate(stages))):
            params = pack(
                "PermutationParams", n=n, seed=signed(op.seed), stream=op.stream, width=width, out=out,
                stage=i, last=len(stages) - 1, unused=0,
            )  # fmt: skip
            shared = 0 if entry.endswith("merge") else 2 * 2 * THREADS * 8
            workspace = 32 * n if i == 0 and len(stages) > 1 else 0
            then = Launch(params, blocks(n, THREADS), shared, entry, workspace=workspace, then=then)
        assert then is not None
        return then

    return [_kernel("random_permutation", "int64", launch, lambda node: None)]
