"""What every layer is: a map of symbolic tensors with parameters that a model builds once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from symconv.config import config
from symconv.errors import ConfigError, GraphError, ShapeError
from symconv.graph import SharedVariable, Variable
from symconv.graph.origin import origin, user_line
from symconv.ops import elementwise as ew
from symconv.ops.leaf import shared
from symconv.ops.random import RandomStream

Activation = str | Callable[[Variable], Variable]


def sigmoid(z: Variable) -> Variable:
    """1 / (1 + e^-z)."""
    return ew.sigmoid(z)


def tanh(z: Variable) -> Variable:
    """(e^z - e^-z) / (e^z + e^-z)."""
    return ew.tanh(z)


def ReLU(z: Variable) -> Variable:
    """max(z, 0), under the name that network3.py gives it."""
    return ew.relu(z)


def linear(z: Variable) -> Variable:
    """z."""
    return z


ACTIVATIONS: dict[str, Callable[[Variable], Variable]] = {
    "linear": linear,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": ReLU,
    "leaky_relu": ew.leaky_relu,
    "elu": ew.elu,
    "gelu": ew.gelu,
    "softplus": ew.softplus,
}


def activation_name(activation: Activation) -> str | None:
    """The name in ACTIVATIONS of an activation given by name or as a function; None for one's own."""
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ConfigError(f"unknown activation {activation!r}\n  allowed: {', '.join(ACTIVATIONS)}")
        return activation
    if not callable(activation):
        raise ConfigError(f"an activation is a name or a function of a variable, not {activation!r}")
    return next((name for name, f in ACTIVATIONS.items() if f is activation), None)


def activate(activation: Activation, z: Variable) -> Variable:
    """activation(z)."""
    return ACTIVATIONS[activation](z) if isinstance(activation, str) else activation(z)


@dataclass(eq=False)
class Pass:
    """One walk through the layers: for training or not, the source of masks, updates of statistics."""

    training: bool
    stream: RandomStream
    updates: list[tuple[SharedVariable, Variable]]


@dataclass(frozen=True, eq=False)
class Parameter:
    """A tensor of a layer. trained: by the optimiser; decayed: by L2 regularisation too (weights)."""

    name: str
    variable: SharedVariable
    trained: bool = True
    decayed: bool = False


@dataclass(eq=False, kw_only=True)
class Layer:
    """y = apply(x): a subclass is a dataclass whose fields are its arguments.

    `build` makes the parameters for inputs of a shape without the batch axis; a model calls it once,
    then reads the output's shape from the graph that `apply` makes: shapes have no second rule here.
    """

    name: str | None = None

    kind: ClassVar[str] = "layer"
    classes: ClassVar[dict[str, type[Layer]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Layer.classes[cls.__name__] = cls

    def __post_init__(self) -> None:
        self.origin = user_line()
        self.parameters: list[Parameter] = []
        self.input_shape: tuple[int, ...] | None = None
        self.output_shape: tuple[int, ...] | None = None
        for f in fields(self):  # one form for each value: what a file gives back is what was given
            value = getattr(self, f.name)
            if f.name in ("activation", "activation_fn"):
                setattr(self, f.name, activation_name(value) or value)
            elif isinstance(value, list):
                setattr(self, f.name, tuple(value))

    # -- for subclasses ------------------------------------------------------------------------

    def build(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        """Make the parameters for inputs [N, *shape]."""

    def apply(self, x: Variable, walk: Pass) -> Variable:
        """The output for x [N, *shape]."""
        raise GraphError(f"{type(self).__name__} defines no apply()")

    def parameter(
        self, name: str, value: np.ndarray, *, trained: bool = True, decayed: bool = False
    ) -> SharedVariable:
        """A new parameter, of config.floatX."""
        variable = shared(np.asarray(value, config.floatX), f"{self.name or self.kind}.{name}")
        self.parameters.append(Parameter(name, variable, trained, decayed))
        return variable

    def children(self) -> list[Layer]:
        """Layers inside this one."""
        return []

    def error(self, message: str, hint: str = "") -> ShapeError:
        text = f"{self}: {message}\n  at {self.origin}"
        return ShapeError(text + (f"\n  hint: {hint}" if hint else ""))

    # -- for models ----------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        return self.input_shape is not None

    def prepare(self, shape: tuple[int, ...], rng: np.random.RandomState) -> None:
        """Build for inputs of this shape; a layer that was built before keeps its parameters."""
        if self.built and self.input_shape != shape:
            raise self.error(
                f"was built for inputs {show(self.input_shape)}, is given {show(shape)}",
                "make a new layer; one that is used twice shares its weights, and so its shapes",
            )
        if not self.built:
            with self.here():
                self.build(shape, rng)
            self.input_shape = shape

    def __call__(self, x: Variable, walk: Pass) -> Variable:
        with self.here():
            return self.apply(x, walk)

    def here(self) -> Any:
        """Nodes made inside carry the user's line and the layer's name."""
        return origin(f"{self.origin} ({self.name or self.kind})")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(name in a weights file, parameter) of this layer and those inside it."""
        for p in self.parameters:
            yield f"{self.name}.{p.name}", p
        for child in self.children():
            yield from child.named_parameters()

    def arguments(self) -> dict[str, Any]:
        """The arguments that rebuild the layer, without those left at their default."""
        found = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "name" and value != f.default:
                found[f.name] = value
        return found

    def __str__(self) -> str:
        return self.describe(inner=True)

    def describe(self, inner: bool = False) -> str:
        """The layer as it is written, with or without the layers inside it."""
        shown = []
        for key, value in self.arguments().items():
            holds = isinstance(value, tuple) and any(isinstance(v, Layer) for v in value)
            if holds or isinstance(value, Layer):
                if not inner:
                    continue
                value = f"[{', '.join(map(str, value))}]" if holds else value
            elif callable(value):
                value = getattr(value, "__name__", value)
            shown.append(f"{key}={value}")
        return f"{type(self).__name__}({', '.join(shown)})"


def show(shape: tuple[int | None, ...] | None) -> str:
    return "[N" + "".join(f", {'?' if d is None else d}" for d in shape or ()) + "]"


def known_shape(layer: Layer, x: Variable) -> tuple[int, ...]:
    """x's shape without the batch axis, which must be known; ShapeError otherwise."""
    shape = x.type.shape[1:]
    if x.ndim < 1 or None in shape:
        raise layer.error(f"gave {x.type}; all but the first dimension must be known")
    return tuple(d for d in shape if d is not None)


def through(layers: Sequence[Layer], x: Variable, walk: Pass, rng: np.random.RandomState) -> Variable:
    """x after the layers in turn, each built on the way if it was not."""
    for layer in layers:
        layer.prepare(known_shape(layer, x), rng)
        x = layer(x, walk)
        layer.output_shape = known_shape(layer, x)
    return x
