"""Theano's convolution ops as classes, as Lasagne and Keras call them: the constructor takes the options, the
call the operands."""

from __future__ import annotations

from typing import Any

from symconv.errors import ShapeError, UnsupportedError
from symconv.theano.errors import RankError
from symconv.theano.tensor.nnet import conv3d as three
from symconv.theano.tensor.nnet import conv_ops as two
from symconv.theano.tensor.nnet.borders import sides
from symconv.theano.tensor.nnet.conv_shapes import (
    get_conv_gradinputs_shape,
    get_conv_gradweights_shape,
    get_conv_output_shape,
)
from symconv.theano.variable import as_tensor_variable


class BaseAbstractConv:
    """What the three ops share: options of a convolution over `convdim` axes. Raises ShapeError."""

    def __init__(
        self, convdim: int, imshp: Any = None, kshp: Any = None, border_mode: Any = "valid", subsample: Any
        = None,
        filter_flip: bool = True, filter_dilation: Any = None, num_groups: int = 1, unshared: bool = False,
    ) -> None:  # fmt: skip
        if convdim not in (2, 3):
            raise ShapeError(f"{type(self).__name__}: convdim must be 2 or 3, got {convdim!r}")
        if unshared and convdim != 2:
            raise UnsupportedError(f"{type(self).__name__}: unshared filters have two axes, not {convdim}")
        if num_groups < 1:
            raise ShapeError(f"{type(self).__name__}: num_groups must be 1 or more, got {num_groups!r}")
        sides(border_mode, (1,) * convdim, type(self).__name__)
        self.convdim, self.imshp, self.kshp = convdim, imshp, kshp
        self.border_mode, self.filter_flip = border_mode, filter_flip
        self.subsample = tuple(subsample or (1,) * convdim)
        self.filter_dilation = tuple(filter_dilation or (1,) * convdim)
        for name in ("subsample", "filter_dilation"):
            if len(getattr(self, name)) != convdim:
                raise ShapeError(f"{type(self).__name__}: {name} must have {convdim} elements")
        for name, shape in (("imshp", imshp), ("kshp", kshp)):
            if any(n is not None and two.whole(n, name) is None for n in shape or ()):
                raise ShapeError(
                    f"{type(self).__name__}: {name} must hold ints, constants or None, got {shape!r}"
                )
        self.num_groups, self.unshared = int(num_groups), bool(unshared)

    @property
    def options(self) -> dict[str, Any]:
        """The options by the names of the functions' arguments."""
        names = ["border_mode", "subsample", "filter_flip", "filter_dilation", "num_groups"]
        return {n: getattr(self, n) for n in [*names, *(["unshared"] if self.convdim == 2 else [])]}

    def _checked(self, what: str, value: Any, ndim: int) -> Any:
        x = as_tensor_variable(value)
        if x.ndim != ndim:
            raise RankError(f"{type(self).__name__}: {what} must have {ndim} dimensions, got {x.type}")
        return x

    def _image(self, what: str, value: Any) -> Any:
        return self._checked(what, value, 2 + self.convdim)

    def _filters(self, value: Any) -> Any:
        return self._checked("kern", value, (4 if self.unshared else 2) + self.convdim)

    def _hint(self, shape: Any, size: Any) -> list[Any]:
        """A shape hint with its last dimensions replaced by the sizes that were given."""
        count = self.convdim
        given = list(size) if isinstance(size, (list, tuple)) else [size[i] for i in range(count)]
        return [*(list(shape)[:-count] if shape else [None] * 2), *given[-count:]]

    def infer_shape(self, node: Any, input_shapes: Any) -> list[Any]:
        """The shape of the output, from those of images and filters."""
        options: Any = (self.border_mode, self.subsample, self.filter_dilation)
        return [get_conv_output_shape(*input_shapes, *options)]


class AbstractConv(BaseAbstractConv):
    """AbstractConv(convdim, ...)(images, filters)."""

    def __call__(self, img: Any, kern: Any) -> Any:
        x, w = self._image("img", img), self._filters(kern)
        function: Any = two.conv2d if self.convdim == 2 else three.conv3d
        return function(x, w, self.imshp, self.kshp, **self.options)


class AbstractConv_gradInputs(BaseAbstractConv):  # noqa: N801
    """AbstractConv_gradInputs(convdim, ...)(filters, output gradient, (height, width))."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any = None, add_assert_shape: bool = True) -> Any:
        w, dy = self._filters(kern), self._image("topgrad", topgrad)
        if shape is None:
            known = [w.shape[i] for i in range(w.ndim)], [dy.shape[i] for i in range(dy.ndim)]
            options: Any = (self.border_mode, self.subsample, self.filter_dilation, self.num_groups)
            shape = self._sizes(get_conv_gradinputs_shape(*known, *options))
        function: Any = two.conv2d_grad_wrt_inputs if self.convdim == 2 else three.conv3d_grad_wrt_inputs
        return function(dy, w, self._hint(self.imshp, shape), self.kshp, **self.options)

    def _sizes(self, shape: Any) -> list[Any]:
        sizes = list(shape[-self.convdim :])
        if None in sizes:
            raise ShapeError(f"{type(self).__name__}: several shapes fit these options; give `shape`")
        return sizes


class AbstractConv_gradWeights(AbstractConv_gradInputs):  # noqa: N801
    """AbstractConv_gradWeights(convdim, ...)(images, output gradient, (height, width))."""

    def __call__(self, img: Any, topgrad: Any, shape: Any = None, add_assert_shape: bool = True) -> Any:
        x, dy = self._image("img", img), self._image("topgrad", topgrad)
        if shape is None:
            known = [x.shape[i] for i in range(x.ndim)], [dy.shape[i] for i in range(dy.ndim)]
            shape = self._sizes(
                get_conv_gradweights_shape(*known, self.border_mode, self.subsample, self.filter_dilation)
            )
        function: Any = two.conv2d_grad_wrt_weights if self.convdim == 2 else three.conv3d_grad_wrt_weights
        return function(x, dy, self._hint(self.kshp, shape), self.imshp, **self.options)


def _over(base: type[BaseAbstractConv], convdim: int) -> type[BaseAbstractConv]:
    """`base` over a fixed number of axes: imshp is the first argument."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        base.__init__(self, convdim, *args, **kwargs)

    name = base.__name__.replace("Conv", f"Conv{convdim}d")
    return type(name, (base,), {"__init__": __init__, "__doc__": f"{base.__name__} over {convdim} axes."})


def _correlation(base: type[BaseAbstractConv], convdim: int, name: str) -> type[BaseAbstractConv]:
    """`base` without the flip of the filters, and with border_mode as the first argument."""

    def __init__(  # noqa: N807
        self: Any, border_mode: Any = "valid", subsample: Any = None, filter_dilation: Any = None,
        num_groups: int = 1, unshared: bool = False, openmp: Any = None,
    ) -> None:  # fmt: skip
        options = (border_mode, subsample, False, filter_dilation, num_groups, unshared)
        base.__init__(self, convdim, None, None, *options)

    doc = f"Cross-correlation over {convdim} axes: {base.__name__} with filter_flip=False."
    return type(name, (base,), {"__init__": __init__, "__doc__": doc})


AbstractConv2d = _over(AbstractConv, 2)
AbstractConv3d = _over(AbstractConv, 3)
AbstractConv2d_gradInputs = _over(AbstractConv_gradInputs, 2)
AbstractConv3d_gradInputs = _over(AbstractConv_gradInputs, 3)
AbstractConv2d_gradWeights = _over(AbstractConv_gradWeights, 2)
AbstractConv3d_gradWeights = _over(AbstractConv_gradWeights, 3)
CorrMM = _correlation(AbstractConv, 2, "CorrMM")
CorrMM_gradInputs = _correlation(AbstractConv_gradInputs, 2, "CorrMM_gradInputs")
CorrMM_gradWeights = _correlation(AbstractConv_gradWeights, 2, "CorrMM_gradWeights")
Corr3dMM = _correlation(AbstractConv, 3, "Corr3dMM")
Corr3dMM_gradInputs = _correlation(AbstractConv_gradInputs, 3, "Corr3dMM_gradInputs")
Corr3dMM_gradWeights = _correlation(AbstractConv_gradWeights, 3, "Corr3dMM_gradWeights")

__all__ = [
    "AbstractConv",
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "AbstractConv3d",
    "AbstractConv3d_gradInputs",
    "AbstractConv3d_gradWeights",
    "AbstractConv_gradInputs",
    "AbstractConv_gradWeights",
    "BaseAbstractConv",
]
