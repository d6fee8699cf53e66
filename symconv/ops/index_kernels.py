"""Kernel descriptors of the ops that move values: pieces, gather, scatter, arange, eye, one_hot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from symconv.graph import DTYPES, Apply, Constant, Kernel, Launch, Variable
from symconv.graph.params import pack

_MOST = 8  # dimensions and index arrays that the kernels take


def sizes(v: Variable) -> tuple[int, ...]:
    """The concrete shape of v."""
    return v.type.shape  # type: ignore[return-value]


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Strides in elements of a C-contiguous array."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def bits(value: np.ndarray) -> int:
    """The bytes of a scalar as the integer that the params structs hold."""
    return int.from_bytes(value.tobytes(), "little", signed=value.itemsize == 8)


@dataclass(frozen=True)
class Start:
    """An int64 scalar input that moves a piece: `stride` elements for each of low..high."""

    input: int
    stride: int
    low: int
    high: int


@dataclass(frozen=True)
class Piece:
    """out[out_offset + i . out_strides] = (or +=) inputs[source][in_offset + i . in_strides], i in shape."""

    source: int
    shape: Sequence[int]
    in_strides: Sequence[int]
    out_strides: Sequence[int]
    in_offset: int = 0
    out_offset: int = 0
    add: bool = False
    whole: bool = False
    starts: tuple[Start, ...] = ()
    moves_output: bool = False

    def merged(self) -> list[tuple[int, int, int]]:
        """(n, in stride, out stride) without axes of length 1, contiguous neighbours merged."""
        out: list[tuple[int, int, int]] = []
        for n, a, b in zip(self.shape, self.in_strides, self.out_strides):
            if n == 1:
                continue
            if out and out[-1][1] == a * n and out[-1][2] == b * n:
                out[-1] = (out[-1][0] * n, a, b)
            else:
                out.append((n, a, b))
        return out

    def packed(self, itemsize: int) -> bytes:
        axes = self.merged()
        head = pack(
            "PieceParams", source=self.source, add=self.add, whole=self.whole, moving=self.moves_output,
            n_starts=len(self.starts), start_input=[s.input for s in self.starts],
            start_stride=[s.stride for s in self.starts], start_low=[s.low for s in self.starts],
            start_high=[s.high for s in self.starts],
        )  # fmt: skip
        return head + pack(
            "StridedCopyParams", ndim=len(axes), itemsize=itemsize, in_offset=self.in_offset,
            out_offset=self.out_offset, shape=[n for n, _, _ in axes], in_stride=[a for _, a, _ in axes],
            out_stride=[b for _, _, b in axes],
        )  # fmt: skip


def identity(source: int, shape: Sequence[int]) -> Piece:
    """The whole input to the same place of the output; nothing to do where they share memory."""
    strides = dense_strides(shape)
    return Piece(source, shape, strides, strides, whole=True)


def pieces_kernel(
    name: str, pieces: Callable[[Apply], Iterable[Piece]], inplace: tuple[tuple[int, int], ...] = ()
) -> Kernel:
    """A kernel that puts the output together from the pieces given."""

    def supports(node: Apply) -> str | None:
        worst = max((len(p.merged()) for p in pieces(node)), default=0)
        if worst > _MOST:
            return f"{worst} dimensions that do not merge, the kernel takes {_MOST}"
        starts = max((len(p.starts) for p in pieces(node)), default=0)
        return f"{starts} moving starts, the kernel takes {_MOST}" if starts > _MOST else None

    def launch(node: Apply) -> Launch:
        parts = [p for p in pieces(node) if 0 not in p.shape]
        tail = b"".join(p.packed(node.out.type.itemsize) for p in parts)
        return Launch(
            pack("PiecesParams", n_pieces=len(parts), dtype=DTYPES.index(node.out.dtype), tail=tail)
        )

    return Kernel(name, "cpu", "csrc/kernels/pieces.cpp", "pieces", supports, launch, inplace)


def slice_bound_kernel(name: str, kind: int) -> Kernel:
    """The scalar ops of slicing.py: 0 where a slice starts, 1 its length, 2 an index."""

    def launch(node: Apply) -> Launch:
        attributes = node.op.attributes()
        return Launch(
            pack(
                "SliceBoundParams", kind=kind, axis=attributes.get("axis", 0), step=attributes.get("step", 1)
            )
        )

    return Kernel(name, "cpu", "csrc/kernels/pieces.cpp", "slice_bound", int64_scalars, launch)


def int64_scalars(node: Apply) -> str | None:
    odd = next((v for v in node.inputs if v.ndim or v.dtype != "int64"), None)
    return None if odd is None else f"takes int64 scalars, got {odd.type}"


def _fill_supports(node: Apply) -> str | None:
    value = node.inputs[0]
    return None if isinstance(value, Constant) and value.data.size == 1 else "the value is not a known scalar"


def _fill_launch(node: Apply) -> Launch:
    value: np.ndarray = node.inputs[0].data.reshape(())
    return Launch(pack("FillParams", itemsize=value.itemsize, count=node.out.type.size, value=bits(value)))


FILL = Kernel("fill", "cpu", "csrc/kernels/copy.cpp", "fill", _fill_supports, _fill_launch)


# ---- integer arrays
def _gather_supports(first: int) -> Callable[[Apply], str | None]:
    def supports(node: Apply) -> str | None:
        indices = node.inputs[first:]
        ndim = max(i.ndim for i in indices)
        if ndim > _MOST or len(indices) > _MOST:
            return f"{len(indices)} index arrays of {ndim} dimensions, the kernel takes {_MOST} of each"
        return None

    return supports


def _gather_launch(first: int) -> Callable[[Apply], Launch]:
    def launch(node: Apply) -> Launch:
        x, indices = node.inputs[0], node.inputs[first:]
        attributes = node.op.attributes()
        axis, shape = attributes["axis"], sizes(x)
        picked = np.broadcast_shapes(*(sizes(i) for i in indices))
        strides = np.zeros((_MOST, _MOST), dtype=np.int64)
        for k, index in enumerate(indices):
            lead = len(picked) - index.ndim
            for d, (n, step) in enumerate(zip(sizes(index), dense_strides(sizes(index)))):
                strides[k, lead + d] = step if n != 1 else 0
        return Launch(
            pack(
                "GatherParams",
                n_index=len(indices),
                ndim=len(picked),
                dtype=DTYPES.index(x.dtype),
                itemsize=x.type.itemsize,
                add=attributes.get("add", False),
                axis=axis,
                outer=math.prod(shape[:axis]),
                inner=math.prod(shape[axis + len(indices) :]),
                picked=picked,
                extent=shape[axis : axis + len(indices)],
                index_dtype=[DTYPES.index(i.dtype) for i in indices],
                index_stride=strides.reshape(-1),
            )  # fmt: skip
        )

    return launch


_SOURCE = "csrc/kernels/gather.cpp"
GATHER = Kernel("gather", "cpu", _SOURCE, "gather", _gather_supports(1), _gather_launch(1))
SCATTER = Kernel("scatter", "cpu", _SOURCE, "scatter", _gather_supports(2), _gather_launch(2), ((0, 0),))


# ---- creation
def _always(node: Apply) -> str | None:
    return None


def _one(dtype: str) -> int:
    return bits(np.ones((), dtype))


def _one_hot_launch(node: Apply) -> Launch:
    labels, out = node.inputs[0], node.out
    return Launch(
        pack(
            "OneHotParams",
            index_dtype=DTYPES.index(labels.dtype),
            itemsize=out.type.itemsize,
            count=labels.type.size,
            n=sizes(out)[-1],
            one=_one(out.dtype),
        )  # fmt: skip
    )


def _arange_launch(node: Apply) -> Launch:
    return Launch(pack("ArangeParams", dtype=DTYPES.index(node.out.dtype), count=node.out.type.size))


def _eye_launch(node: Apply) -> Launch:
    n, m = sizes(node.out)
    k = node.op.attributes()["k"]
    return Launch(pack("EyeParams", itemsize=node.out.type.itemsize, n=n, m=m, k=k, one=_one(node.out.dtype)))


def _arange_supports(node: Apply) -> str | None:
    return "a bool has no range" if node.out.dtype == "bool" else None


_CREATE = "csrc/kernels/create.cpp"
ONE_HOT = Kernel("one_hot", "cpu", _CREATE, "one_hot", _always, _one_hot_launch)
ARANGE = Kernel("arange", "cpu", _CREATE, "arange", _arange_supports, _arange_launch)
EYE = Kernel("eye", "cpu", _CREATE, "eye", _always, _eye_launch)
