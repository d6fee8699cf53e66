"""theano.tensor.nnet.neighbours: patches of images as the rows of a matrix, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, ShapeError
from symconv.theano import shapes
from symconv.theano.printing import AssertTrue
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.elementwise import eq, ge
from symconv.theano.tensor.nnet.borders import bordered
from symconv.theano.tensor.nnet.conv_ops import whole
from symconv.theano.tensor.nnet.patches import patches_at, places
from symconv.theano.variable import Variable, as_tensor_variable, wrap

MODES = ("valid", "half", "full", "ignore_borders", "wrap_centered")


class NeibsError(ShapeError, TypeError):
    """Cause: patches that do not fit the images in the mode that was asked for. Cure: another mode, shape
    or step.

    A TypeError, as in Theano.
    """


@dataclass(frozen=True)
class PatchesFit(AssertTrue):
    """x; raises NeibsError where one of the conditions that follow it is not true."""

    name = "patches_fit"

    def reference(self, x: np.ndarray, *conditions: np.ndarray) -> np.ndarray:
        if not all(conditions):
            raise NeibsError(self.message)
        return x.copy()


def images2neibs(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Any:
    """[N, C, H, W] as a matrix with a row for each patch of neib_shape, every neib_step.

    By default patches lie side by side. mode 'valid' wants patches that fill the image, 'half' and 'full'
    those that fill it with a border of zeros, half a patch or a patch less one wide; 'ignore_borders' leaves
    out what remains. 'wrap_centered' takes the patch around each pixel, every neib_step, of an image whose
    edges meet; its sides must be odd. Raises NeibsError, here where the sizes are known, else at the call.
    """
    x = as_tensor_variable(ten4)
    if x.ndim != 4:
        raise NeibsError(f"images2neibs: needs a tensor of 4 dimensions, got {x.type}")
    if mode not in MODES:
        raise ArgumentError(f"images2neibs: mode must be one of {', '.join(MODES)}, got {mode!r}")
    shape = _sizes(neib_shape, "images2neibs: neib_shape")
    step = shape if neib_step is None else _sizes(neib_step, "images2neibs: neib_step")
    if mode in ("half", "full"):
        around = [s // 2 if mode == "half" else s - 1 for s in shape]
        x = bordered(x, [(a, a) for a in around])
    n, c = x.shape[0], x.shape[1]
    found, counts, fits = [], [], []
    for size, length, stride in zip((x.shape[2], x.shape[3]), shape, step):
        if mode == "wrap_centered":
            fits += [eq(length % 2, 1), ge(size, length)]
            count = (size - 1) // stride + 1
        else:
            count = (size - length) // stride + 1
            if mode != "ignore_borders":
                fits += [ge(size, length), eq((size - length) % stride, 0)]
        where = places(count, stride, length)
        found.append((where - length // 2) % size if mode == "wrap_centered" else where)
        counts.append(count)
    if fits:
        message = (
            f"images2neibs: the patches do not fit the images in mode {mode!r}; 'ignore_borders' always does"
        )
        x = wrap(PatchesFit(message)(x.native, *(as_tensor_variable(f).native for f in fits)))
    return shape_ops.reshape(patches_at(x, *found), (n * c * counts[0] * counts[1], shape[0] * shape[1]))


def _sizes(value: Any, what: str) -> list[Any]:
    """Two sizes: ints where they are known, else scalars of the graph."""
    v = as_tensor_variable(value)
    given = [value, value] if v.ndim == 0 else [v[0], v[1]] if isinstance(value, Variable) else list(value)
    if len(given) != 2:
        raise NeibsError(f"{what} must hold two sizes, got {value!r}")
    sizes = [whole(g, what) for g in given]
    for size in sizes:
        if size is not None and size < 1:
            raise NeibsError(f"{what} must be positive, got {value!r}")
    return [g if s is None else s for g, s in zip(given, sizes)]


class Images2Neibs:
    """Images2Neibs(mode)(images, neib_shape, neib_step) is images2neibs(images, neib_shape, neib_step,
    mode).
    """

    def __init__(self, mode: str = "valid") -> None:
        self.mode = mode

    def __call__(self, ten4: Any, neib_shape: Any, neib_step: Any = None) -> Any:
        return images2neibs(ten4, neib_shape, neib_step, self.mode)


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Any:
    """The images [N, C, H, W] of original_shape whose patches side by side are the rows of a matrix."""
    m = as_tensor_variable(neibs)
    r, s = _sizes(neib_shape, "neibs2images: neib_shape")
    n, c, h, w = (wrap(d) for d in shapes.as_dims(original_shape, "neibs2images", 4))
    apart = shape_ops.reshape(m, (n, c, h // r, w // s, r, s))
    return shape_ops.reshape(shape_ops.transpose(apart, (0, 1, 2, 4, 3, 5)), (n, c, h, w))


__all__ = ["Images2Neibs", "images2neibs", "neibs2images"]
