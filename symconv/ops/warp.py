"""Images turned, scaled, sheared, moved, cropped and bent at random, in one resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, DTypeError, ShapeError
from symconv.graph import (
    KERNEL_FLOATS,
    Apply,
    Kernel,
    Launch,
    Op,
    TensorType,
    Variable,
    blocks,
    constant,
    op_error,
)
from symconv.graph.params import pack
from symconv.ops import philox, warp_field
from symconv.ops.float_kernels import SUFFIX
from symconv.ops.operands import as_variable, is_scalar
from symconv.ops.random_cuda import signed

BORDERS = ("zero", "edge")
MAX_SIDE = 2**15  # of an image: places are held in float32, to 2^-9 of a pixel there
LARGEST = {"scale": 1.0, "rotation": 180.0, "shear": 80.0, "sigma": 100.0, "elastic": 1e6, "translation": 1e4}


def random_warp(
    x: Any,
    index: Any,
    epoch: Any,
    *,
    seed: int,
    rotation: float = 0.0,
    translation: float | Sequence[float] = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    crop: int | Sequence[int] | None = None,
    elastic: float = 0.0,
    sigma: float = 4.0,
    border: str = "zero",
) -> Variable:
    """x [N, C, H, W] with every image bent in a way of its own, drawn for (seed, index[n], epoch).

    All changes are one map of places, and each pixel is read once, bilinearly. They are drawn uniformly: a
    turn up to `rotation` degrees either way; a move up to `translation` pixels (one number, or one for y and
    one for x); a factor from 1 - scale to 1 + scale; x moved by y times up to the tangent of `shear` degrees.
    `crop`: a window of that size (or height and width), anywhere in the image, is stretched to H x W.
    `elastic`: noise from [-1, 1] for every pixel, smoothed by a Gaussian of `sigma` pixels and times this
    number, moves the pixels (P. Simard, D. Steinkraus, J. Platt: Best practices for convolutional neural
    networks, 2003: 34 and 4). Beyond the border lies zero, or with border="edge" the nearest pixel.

    index int64 [N] is the number of each image among all, epoch an int64 scalar. The same three numbers give
    the same bits on every device, for any number of threads and any mini-batch (`warp_field.py` defines
    them). The result is differentiable in x. Raises ArgumentError, ShapeError, DTypeError.
    """
    x, index, epoch = as_variable(x), as_variable(index, "int64"), as_variable(epoch, "int64")
    if not philox.is_seed(seed):
        raise ArgumentError(f"random_warp: seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    moves = checked_changes(rotation, translation, scale, shear, elastic, sigma, border)
    if x.ndim != 4:
        raise ShapeError(f"random_warp: images are [N, C, H, W], got {x.type} from {x.origin}")
    height, width = x.type.shape[2:]
    if height is None or width is None:
        raise ShapeError(
            f"random_warp: height and width of the images must be known, got {x.type} from {x.origin}\n"
            "  hint: sc.tensor('float32', (None, 1, 28, 28)), or sc.reshape(x, (-1, 1, 28, 28))"
        )
    window = (height, width) if crop is None else crop_size(crop, height, width)
    op = RandomWarp(
        int(seed),
        round(rotation / 360 * 2**warp_field.TURN_BITS),
        float(scale),
        math.tan(math.radians(shear)),
        moves,
        window,
        float(elastic),
        border == "edge",
    )
    if not op.changes(height, width):
        return x
    weights = [constant(warp_field.gaussian_weights(n, sigma)) for n in (height, width)] if elastic else []
    return op(x, index, epoch, *weights)  # type: ignore[no-any-return]


def checked_changes(
    rotation: Any, translation: Any, scale: Any, shear: Any, elastic: Any, sigma: Any, border: Any
) -> tuple[float, float]:
    """The translation along y and x; ArgumentError where a change has no sense."""
    if border not in BORDERS:
        raise ArgumentError(f"random_warp: border is one of {', '.join(BORDERS)}, got {border!r}")
    given = {"rotation": rotation, "scale": scale, "shear": shear, "elastic": elastic, "sigma": sigma}
    for name, value in given.items():
        checked(name, value)
    if scale >= 1 or sigma <= 0:
        raise ArgumentError(f"random_warp: scale must be below 1 and sigma above 0, got {scale} and {sigma}")
    return pair("translation", translation)


def checked(name: str, value: Any) -> float:
    """value as a number from 0 to the largest allowed; ArgumentError otherwise."""
    if not is_scalar(value) or isinstance(value, bool) or not 0 <= value <= LARGEST[name]:
        raise ArgumentError(
            f"random_warp: {name} must be a number from 0 to {LARGEST[name]:g}, got {value!r}"
        )
    return float(value)


def pair(name: str, value: Any) -> tuple[float, float]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ArgumentError(f"random_warp: {name} is a number, or one for y and one for x, got {value!r}")
        return checked(name, value[0]), checked(name, value[1])
    return (checked(name, value),) * 2


def crop_size(crop: Any, height: int, width: int) -> tuple[int, int]:
    sizes = tuple(crop) if isinstance(crop, (tuple, list)) else (crop, crop)
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in sizes)
    if len(sizes) != 2 or not whole or not 1 <= sizes[0] <= height or not 1 <= sizes[1] <= width:
        raise ShapeError(
            f"random_warp: crop must be a size, or height and width, within the images' {height} x {width}, "
            f"got {crop!r}"
        )
    return int(sizes[0]), int(sizes[1])


# ---- the op and its kernels


def _launch(node: Apply) -> Launch:
    op: Any = node.op
    n, channels, height, width = node.out.type.dims
    return Launch(
        pack(
            "WarpParams",
            n=n,
            seed=signed(op.seed),
            channels=channels,
            height=height,
            width=width,
            crop_height=op.crop[0],
            crop_width=op.crop[1],
            turns=op.turns,
            elastic=len(node.inputs) == 5,
            edge=op.edge,
            scale=op.scale,
            shear=op.shear,
            shift_y=op.shift[0],
            shift_x=op.shift[1],
            step_y=op.crop[0] / height,
            step_x=op.crop[1] / width,
            bend=op.alpha * 2.0 ** (-2 * warp_field.WEIGHT_BITS),
        )
    )


def _workspace(node: Apply, cells: bool) -> int:
    """Bytes that the CUDA kernels need for each image: warp_part of kernels/warp.cu, in words."""
    n, _, height, width = node.out.type.dims
    plane = height * width
    field = 4 * blocks(2 * plane, 16) + plane if len(node.inputs) == 5 else 0
    return 4 * n * (field + (4 * plane if cells else 0))


def _kernels(name: str) -> list[Kernel]:
    def kernel(dtype: str, device: str, source: str, launch: Callable[[Apply], Launch]) -> Kernel:
        def supports(node: Apply) -> str | None:
            return None if node.out.dtype == dtype else f"the images are {node.out.dtype}, not {dtype}"

        entry = f"{name}_{SUFFIX[dtype]}"
        return Kernel(entry, device, source, entry, supports, launch)

    def launch_on_cuda(node: Apply) -> Launch:
        workspace = _workspace(node, cells=name.endswith("grad"))
        return Launch(_launch(node).params, node.out.type.dims[0], workspace=workspace)

    return [
        *(kernel(dtype, "cpu", "csrc/kernels/warp.cpp", _launch) for dtype in KERNEL_FLOATS),
        *(kernel(dtype, "cuda", "kernels/warp.cu", launch_on_cuda) for dtype in KERNEL_FLOATS),
    ]


@dataclass(frozen=True)
class RandomWarp(Op):
    """Inputs x, index, epoch and, for elastic fields, smoothing weights of rows [H, H] and columns [W, W].

    The attributes are those of warp_field.Warp.
    """

    seed: int
    turns: int
    scale: float
    shear: float
    shift: tuple[float, float]
    crop: tuple[int, int]
    alpha: float
    edge: bool
    name = "random_warp"
    operands = ("x", "index", "epoch", "rows", "columns")
    kernels = _kernels("random_warp")

    def infer(self, *inputs: Variable) -> TensorType:
        x, index, epoch, *weights = inputs
        if not x.type.is_float or index.dtype != "int64" or epoch.dtype != "int64":
            raise op_error(self, inputs, "x must be float, index and epoch int64", kind=DTypeError)
        if x.ndim != 4 or index.ndim != 1 or epoch.ndim != 0:
            raise op_error(self, inputs, "x is [N, C, H, W], index [N], epoch a scalar")
        n, _, height, width = x.type.shape
        if n is not None and index.type.shape[0] not in (None, n):
            raise op_error(self, inputs, f"{n} images need as many numbers in index")
        if height is None or width is None or not 0 < height <= MAX_SIDE or not 0 < width <= MAX_SIDE:
            raise op_error(self, inputs, f"height and width must be known, and 1 to {MAX_SIDE}")
        wanted = [TensorType("float32", (s, s)) for s in (height, width)] if self.alpha else []
        if [v.type for v in weights] != wanted:
            raise op_error(
                self, inputs, f"an elastic field needs weights [{height}, {height}] and [{width}, {width}]"
            )
        return x.type

    def changes(self, height: int, width: int) -> bool:
        """Whether it changes anything at all."""
        moves = (self.turns, self.scale, self.shear, *self.shift, self.alpha)
        return any(moves) or self.crop != (height, width)

    def warp(self, x: np.ndarray) -> warp_field.Warp:
        height, width = x.shape[2:]
        return warp_field.Warp(
            self.seed,
            height,
            width,
            self.turns,
            self.scale,
            self.shear,
            self.shift,
            self.crop,
            self.alpha,
            self.edge,
        )

    def transposed(self) -> Op:
        return RandomWarpGrad(*(getattr(self, name) for name in self.attributes()))

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        (dy,) = dys
        dx = None if dy is None else self.transposed()(dy, *node.inputs[1:])
        return [dx, *(None for _ in node.inputs[1:])]

    def reference(
        self, x: np.ndarray, index: np.ndarray, epoch: np.ndarray, *weights: np.ndarray
    ) -> np.ndarray:
        return warp_field.warp(x, self.warp(x), index, int(epoch), weights)

    def flops(self, node: Apply) -> int:
        n, channels, height, width = node.out.type.dims
        smoothing = 4 * height * width * (height + width) if self.alpha else 0
        return n * (smoothing + height * width * (14 + 6 * channels))


@dataclass(frozen=True)
class RandomWarpGrad(RandomWarp):
    """The transpose of the map that `random_warp` is: its gradient with respect to the images."""

    name = "random_warp_grad"
    operands = ("dy", "index", "epoch", "rows", "columns")
    kernels = _kernels("random_warp_grad")

    def transposed(self) -> Op:
        return RandomWarp(*(getattr(self, name) for name in self.attributes()))

    def reference(
        self, x: np.ndarray, index: np.ndarray, epoch: np.ndarray, *weights: np.ndarray
    ) -> np.ndarray:
        return warp_field.spread(x, self.warp(x), index, int(epoch), weights)
