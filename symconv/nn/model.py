"""A model: layers in a row, their parameters, predictions, and weights in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symconv.config import config
from symconv.errors import ArgumentError
from symconv.files import Pathlike
from symconv.function import Function, function
from symconv.graph import SharedVariable, Variable, constant
from symconv.graph.origin import origin, user_line
from symconv.nn import checkpoint, metrics
from symconv.nn.data import check_images, check_split
from symconv.nn.draws import weight_draws
from symconv.nn.layer import Layer, Parameter, Pass, through
from symconv.nn.spec import layers_to_spec
from symconv.ops.elementwise import add, square
from symconv.ops.leaf import tensor
from symconv.ops.loss import cross_entropy_with_logits
from symconv.ops.random import RandomStream
from symconv.ops.reduce import argmax, mean, reduce_sum
from symconv.ops.shape import reshape, shape_of
from symconv.ops.softmax import softmax

BATCH = 1000  # images that predictions take at a time


class Model:
    """Layers in a row from images [N, *input_shape] to scores [N, classes].

    x: the symbolic images, one row each; y: int32 labels [N]; scores: of the last layer, as used after
    training; output: softmax(scores); y_out: the class with the greatest score; training_scores: with
    dropout and the mini-batch's statistics; updates: of running statistics, to be made in training.
    `seed` (default: config.seed) fixes initial weights and dropout masks. Raises ShapeError where a
    layer does not take what the one before gives.
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: Sequence[int], *, seed: int | None = None
    ) -> None:
        self.layers = list(layers)
        self.origin = user_line()
        if not self.layers or not all(isinstance(layer, Layer) for layer in self.layers):
            raise ArgumentError(f"{type(self).__name__}: layers must be a list of layers, got {layers!r}")
        if len(set(map(id, self.layers))) != len(self.layers):
            raise ArgumentError(f"{type(self).__name__}: a layer stands in the list twice; make two")
        self.input_shape = tuple(int(d) for d in input_shape)
        if len(self.input_shape) not in (1, 3) or min(self.input_shape) < 1:
            raise ArgumentError(
                f"{type(self).__name__}: input_shape is (features,) or (channels, height, width), "
                f"got {tuple(input_shape)}"
            )
        self.seed = config.seed if seed is None else seed
        self.stream = RandomStream(self.seed)
        self.dtype = config.floatX
        name_layers(self.layers)
        rng = weight_draws(self.seed)
        self.updates: list[tuple[SharedVariable, Variable]] = []
        with origin(self.origin):
            self.x = tensor(self.dtype, (None, self.features), "x")
            self.y = tensor("int32", (None,), "y")
            x = self.x
            if len(self.input_shape) == 3:
                x = reshape(x, (shape_of(x, 0), *self.input_shape))
            self.training_scores = through(self.layers, x, Pass(True, self.stream, self.updates), rng)
            self.scores = through(self.layers, x, Pass(False, self.stream, []), rng)
            if self.scores.ndim != 2:
                raise self.layers[-1].error(
                    f"the last layer must give scores [N, classes], not {self.scores.type}",
                    "Flatten() or GlobalPool() before a Dense(classes)",
                )
            self.output = softmax(self.scores)
            self.y_out = argmax(self.scores, axis=1)
        self._functions: dict[tuple[str, str], Function] = {}

    # -- the parts -----------------------------------------------------------------------------

    @property
    def features(self) -> int:
        """Values of one image."""
        return math.prod(self.input_shape)

    @property
    def n_classes(self) -> int:
        size = self.scores.type.shape[1]
        assert size is not None
        return size

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All tensors by the name that they have in a weights file."""
        return {name: p for layer in self.layers for name, p in layer.named_parameters()}

    @property
    def params(self) -> list[SharedVariable]:
        """What an optimiser changes: weights and biases."""
        return [p.variable for p in self.parameters.values() if p.trained]

    @property
    def weights(self) -> list[SharedVariable]:
        """What L2 regularisation and weight decay hold small: params without the biases."""
        return [p.variable for p in self.parameters.values() if p.decayed]

    def cost(self) -> Variable:
        """mean over the mini-batch of -log softmax(scores)[label], in training."""
        with origin(f"{self.origin} (cost)"):
            return mean(cross_entropy_with_logits(self.training_scores, self.y))

    def l2(self) -> Variable:
        """sum of w^2 over all weights."""
        with origin(f"{self.origin} (L2)"):
            total: Variable | None = None
            for w in self.weights:
                term = reduce_sum(square(w))
                total = term if total is None else add(total, term)
            return constant(0, self.dtype) if total is None else total

    # -- use -----------------------------------------------------------------------------------

    def _map(self, what: str, images: Any, batch_size: int, device: str | None) -> np.ndarray:
        rows = check_images(images, self.input_shape, self.dtype, type(self).__name__)
        key = (what, device or config.device)
        if key not in self._functions:
            self._functions[key] = function(
                [self.x], getattr(self, what), name=what, device=device, no_default_updates=True
            )
        f = self._functions[key]
        parts = [f(rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def predict_proba(self, images: Any, *, batch_size: int = BATCH, device: str | None = None) -> np.ndarray:
        """Probability of each class: [n, classes] for images [n, features] or [n, *input_shape]."""
        return self._map("output", images, batch_size, device)

    def predict(self, images: Any, *, batch_size: int = BATCH, device: str | None = None) -> np.ndarray:
        """The most probable class of each image: int64 [n]."""
        return self._map("scores", images, batch_size, device).argmax(1)

    def accuracy(self, data: Any, *, batch_size: int = BATCH, device: str | None = None) -> float:
        """The share of `data`, (images, labels), whose most probable class is the label."""
        images, labels = check_split(data, self, "accuracy")
        return metrics.accuracy(labels, self.predict(images, batch_size=batch_size, device=device))

    def confusion_matrix(
        self, data: Any, *, batch_size: int = BATCH, device: str | None = None
    ) -> np.ndarray:
        """m[i, j] = how many of class i were taken for class j: int64 [classes, classes]."""
        images, labels = check_split(data, self, "confusion_matrix")
        predictions = self.predict(images, batch_size=batch_size, device=device)
        return metrics.confusion_matrix(labels, predictions, self.n_classes)

    def summary(self) -> str:
        """A table of the layers: name, layer, shape of the output, number of parameters of its own."""
        rows = [("input", "", str(list(self.input_shape)), "")]
        stack = list(reversed(self.layers))
        while stack:
            layer = stack.pop()
            size = sum(p.variable.type.size for p in layer.parameters)
            shape = str(list(layer.output_shape or ()))
            rows.append((layer.name or "", layer.describe(), shape, f"{size:,}" if size else ""))
            stack += reversed(layer.children())
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in rows
        ]
        total = sum(p.variable.type.size for p in self.parameters.values())
        return "\n".join([*lines, f"{total:,} parameters"])

    # -- weights -------------------------------------------------------------------------------

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all tensors by name."""
        return {name: p.variable.get_value() for name, p in self.parameters.items()}

    def set_weights(self, tensors: Mapping[str, np.ndarray], source: str = "set_weights") -> None:
        """Put tensors by name into place: all of them, or, after a WeightsError, none."""
        parameters = self.parameters
        checkpoint.check_shapes(
            {k: np.asarray(v) for k, v in tensors.items()},
            {name: p.variable.type.shape for name, p in parameters.items()},
            source,
        )
        for name, p in parameters.items():
            p.variable.set_value(np.asarray(tensors[name], p.variable.dtype))

    def spec(self) -> dict[str, Any] | None:
        """The model as JSON values, from which `load` makes it anew; None for layers that are not known."""
        layers = layers_to_spec(self.layers)
        if layers is None:
            return None
        return {"model": type(self).__name__, "input_shape": list(self.input_shape), "layers": layers}

    def save(self, path: Pathlike, metadata: Mapping[str, Any] | None = None) -> None:
        """Write all tensors and the spec to a .safetensors or .npz file, whole or not at all."""
        checkpoint.save(path, self.get_weights(), spec=self.spec(), metadata=metadata)

    def load_weights(self, path: Pathlike) -> checkpoint.Checkpoint:
        """Read all tensors from a file of this model; on a WeightsError nothing has changed."""
        found = checkpoint.load(path)
        self.set_weights(found.tensors, str(path))
        return found


class Sequential(Model):
    """Model(layers, input_shape): layers that infer their shapes, in a row."""


def name_layers(layers: Sequence[Layer], prefix: str = "") -> None:
    """Names by kind and number, conv1, conv2, dense1, for layers without; ArgumentError if one repeats."""
    counts: dict[str, int] = {}
    taken = {layer.name for layer in layers if layer.name}
    if len(taken) != sum(bool(layer.name) for layer in layers):
        raise ArgumentError(f"two layers have one name: {', '.join(str(x.name) for x in layers if x.name)}")
    for layer in layers:
        while layer.name is None:
            counts[layer.kind] = counts.get(layer.kind, 0) + 1
            name = f"{prefix}{layer.kind}{counts[layer.kind]}"
            if name not in taken:
                layer.name = name
        name_layers(layer.children(), f"{layer.name}.")
