"""theano.tensor.nnet.neighbours: patches of images as the rows of a matrix, and back."""

from __future__ import annotations

from typing import Any

from symconv.errors import ArgumentError, ShapeError
from symconv.theano import shapes
from symconv.theano.tensor import shape_ops
from symconv.theano.tensor.nnet.conv_ops import pair
from symconv.theano.variable import as_tensor_variable, wrap


def images2neibs(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Any:
    """[N, C, H, W] as a matrix with a row for each patch of neib_shape, every neib_step.

    By default patches lie side by side. mode 'valid' wants patches that fill the image, 'ignore_borders'
    leaves out what remains.
    """
    x = as_tensor_variable(ten4)
    if x.ndim != 4:
        raise ShapeError(f"images2neibs: needs a tensor of 4 dimensions, got {x.type}")
    if mode not in ("valid", "ignore_borders"):
        raise ArgumentError(f"images2neibs: mode {mode!r} is not supported; 'valid' and 'ignore_borders' are")
    r, s = pair(neib_shape, "images2neibs: neib_shape")
    step = (r, s) if neib_step is None else pair(neib_step, "images2neibs: neib_step")
    n, c, h, w = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    p, q = (h - r) // step[0] + 1, (w - s) // step[1] + 1
    if mode == "valid":
        from symconv.theano.printing import Assert
        from symconv.theano.tensor.elementwise import and_, eq

        whole = and_(eq((p - 1) * step[0] + r, h), eq((q - 1) * step[1] + s, w))
        x = Assert(
            "images2neibs: the patches do not fill the images; mode='ignore_borders' takes those that fit"
        )(x, whole)
    rows = shape_ops.arange(p).dimshuffle(0, "x") * step[0] + shape_ops.arange(r).dimshuffle("x", 0)
    columns = shape_ops.arange(q).dimshuffle(0, "x") * step[1] + shape_ops.arange(s).dimshuffle("x", 0)
    patches = x[:, :, rows.dimshuffle(0, "x", 1, "x"), columns.dimshuffle("x", 0, "x", 1)]
    return shape_ops.reshape(patches, (n * c * p * q, r * s))


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
    r, s = pair(neib_shape, "neibs2images: neib_shape")
    n, c, h, w = (wrap(d) for d in shapes.as_dims(original_shape, "neibs2images", 4))
    apart = shape_ops.reshape(m, (n, c, h // r, w // s, r, s))
    return shape_ops.reshape(shape_ops.transpose(apart, (0, 1, 2, 4, 3, 5)), (n, c, h, w))


__all__ = ["Images2Neibs", "images2neibs", "neibs2images"]
