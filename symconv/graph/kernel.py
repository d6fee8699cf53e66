"""Kernel descriptors: plain data that says which compiled routine can run which node, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symconv.errors import CompileError

if TYPE_CHECKING:
    from symconv.graph.core import Apply

USER_NAMESPACE = "symconv_user_"  # begins the namespace that a user's kernel is compiled in
InplacePairs = tuple[tuple[int, int], ...]


class Slower(str):
    """A refusal for speed alone: the kernel could run the node, but another is expected to need less time.

    Selection takes it as any other reason; tuning measures such a kernel too.
    """


@dataclass(frozen=True, slots=True)
class Launch:
    """What one launch hands to the kernel: the packed parameter struct of kernels/params.h.

    The rest is for CUDA kernels: the number of tiles (blocks), bytes of shared memory of each, and,
    where the kernel is generated for the node, its entry and its text. A kernel with `workspace` gets
    that many bytes of uninitialised memory as its last array. `then` is launched after it on the same
    arrays, workspace included: a second stage that needs all of the first; it names its own entry.

    A CPU kernel of the user's has `code` too, or the path of a `library`; its tiles are items of work, of
    which one thread takes at least `grain`.
    """

    params: bytes = b""
    tiles: int = 1
    shared: int = 0
    entry: str = ""
    code: str = ""
    workspace: int = 0
    then: Launch | None = None
    library: str = ""
    grain: int = 1


@dataclass(frozen=True, slots=True)
class Kernel:
    """One way of running an op on one device.

    `supports(node)` returns None to accept, else the reason of its refusal, which explain()
    prints. `launch(node)` packs the parameters. `inplace` lists (output, input) pairs that may
    share one buffer, or computes them from the node. Node shapes are concrete and inputs dense and
    C-contiguous. `defines` are macros for the compiler of CUDA kernels: tile sizes and
    the like; `tail`: a CUDA kernel whose params have a tail (KERNEL_TAIL).

    `origin`: the user's file and line for a kernel that is not of this package; its code comes with its
    launches. `variants`: the same kernel with other tile sizes and the like, for tuning, or a function that
    gives them for a node. `every_dtype`: it moves values and looks at none, so that dtypes that kernels do
    not know are welcome too; kernels of the user's say by themselves what they take.
    """

    name: str
    device: str
    source: str
    entry: str
    supports: Callable[[Apply], str | None]
    launch: Callable[[Apply], Launch]
    inplace: InplacePairs | Callable[[Apply], InplacePairs] = ()
    defines: tuple[tuple[str, int], ...] = ()
    tail: bool = False
    origin: str = ""
    variants: tuple[Kernel, ...] | Callable[[Apply], tuple[Kernel, ...]] = ()
    every_dtype: bool = False

    @property
    def place(self) -> str:
        """Where it is written: the user's line, or the file of this package."""
        return self.origin or self.source

    def variants_of(self, node: Apply) -> tuple[Kernel, ...]:
        return self.variants(node) if callable(self.variants) else self.variants

    def inplace_pairs(self, node: Apply) -> InplacePairs:
        pairs = self.inplace(node) if callable(self.inplace) else self.inplace
        for pair in pairs:
            if not (0 <= pair[0] < len(node.outputs) and 0 <= pair[1] < len(node.inputs)):
                raise CompileError(
                    f"kernel {self.name} ({self.place}): inplace has {pair}, but {node.op.name} has "
                    f"{len(node.outputs)} outputs and {len(node.inputs)} inputs\n"
                    "  hint: a pair is (output, input), counted from 0"
                )
        return pairs


def on_cuda(
    kernel: Kernel,
    source: str,
    tiles: Callable[[Apply], int],
    *,
    shared: int | Callable[[Apply], int] = 0,
    defines: Mapping[str, int] | None = None,
    tail: bool = False,
) -> Kernel:
    """The CUDA twin of a CPU kernel: same name, entry, params and refusals, in kernels/SOURCE.cu."""

    def launch(node: Apply) -> Launch:
        return Launch(kernel.launch(node).params, tiles(node), shared(node) if callable(shared) else shared)

    return Kernel(
        kernel.name, "cuda", f"kernels/{source}.cu", kernel.entry, kernel.supports, launch,
        kernel.inplace, tuple((defines or {}).items()), tail,
    )  # fmt: skip


def blocks(count: int, per_tile: int = 256) -> int:
    """Tiles for `count` elements of which one tile does `per_tile`."""
    return -(-count // per_tile)


@dataclass(frozen=True, slots=True)
class View:
    """Output 0 shares input 0's memory, `offset` bytes in.

    With `start` (an input index holding an int64 scalar) the offset grows by start * stride bytes
    at run time, within the bounds of input 0.
    """

    offset: int = 0
    start: int | None = None
    stride: int = 0
