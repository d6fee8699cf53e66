"""One net of the page: from a drawing to the answer, every layer's output and the strongest filters."""

from __future__ import annotations

import base64
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from symconv.datasets import centred
from symconv.demo.field import Field, fields
from symconv.errors import WeightsError
from symconv.nn.activations import compile_layer_outputs
from symconv.nn.layer import Layer
from symconv.nn.model import Model
from symconv.nn.modules import Dropout, Flatten
from symconv.nn.saved import SHIPPED, load_with_metadata

STRONGEST = 4  # filters shown of each layer


class DemoNet:
    """A net from a weights file with its compiled function. Several threads may look at once.

    Raises WeightsError for a file that cannot be loaded, or whose net does not take grey images.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        self.path = path
        self.model, self.metadata = load_with_metadata(path)
        self.size = grey_size(path, self.metadata.get("image_shape") or self.model.input_shape, self.model)
        classes = self.metadata.get("classes") or list(range(self.model.n_classes))
        if not isinstance(classes, list) or len(classes) != self.model.n_classes:
            raise WeightsError(f"{path}: names {classes} for a net of {self.model.n_classes} classes")
        self.classes = [str(name) for name in classes]
        self.names, self.function = compile_layer_outputs(self.model, device=device)
        self.fields = fields(self.model.layers)
        self.kernels = {layer.name: w for layer in self.model.layers if (w := kernels_of(layer)) is not None}
        self.lock = threading.Lock()
        self.look(np.zeros(self.size, np.uint8))  # compiles, and shows now whether the net runs

    def describe(self) -> dict[str, Any]:
        """What the page says of the net before anything is drawn."""
        parameters = sum(p.variable.type.size or 0 for p in self.model.parameters.values())
        return {
            "name": "the one that ships with symconv" if self.path == SHIPPED else str(self.path),
            "classes": self.classes,
            "size": list(self.size),
            "parameters": parameters,
            "test_accuracy": self.metadata.get("test_accuracy"),
            "device": self.function.device,
        }

    def look(self, pixels: np.ndarray) -> dict[str, Any]:
        """What the net makes of a drawing, uint8 [H, W] of any size, light ink on dark; see docs/demo.md.

        `answer` is None for an empty drawing. Values come as base64 of bytes, 0 to 255 from the least of the
        layer, or 0, to its greatest.
        """
        image = centred(pixels.astype(np.float32) / 256, self.size, threshold=0.0)
        with self.lock:
            started = time.perf_counter()
            values = self.function(image.reshape(1, -1).astype(self.model.dtype, copy=False))
            seconds = time.perf_counter() - started
        outputs = [np.asarray(value[0], np.float64) for value in values]
        certainty, layers = outputs.pop(), []
        fired: list[dict[str, Any]] = []
        before = image[None].astype(np.float64)
        for layer, field, value in zip(self.model.layers, self.fields, outputs):
            if not isinstance(layer, (Dropout, Flatten)):
                layers.append({"name": layer.name, "about": layer.describe(), **packed(value)})
            if layer.name in self.kernels and before.ndim == value.ndim == 3:
                fired += self.strongest(layer, field, before, value)
            before = value
        return {
            "answer": int(certainty.argmax()) if image.any() else None,
            "certainty": [float(p) for p in certainty],
            "image": packed(image),
            "layers": layers,
            "fired": fired,
            "milliseconds": 1e3 * seconds,
        }

    def strongest(
        self, layer: Layer, field: Field | None, before: np.ndarray, maps: np.ndarray
    ) -> list[dict[str, Any]]:
        """The filters whose maps have the greatest values, each with its place, and the slice of its weights
        on the input map that weighs most: the greatest (norm of the weights) * (mean of the map)."""
        peaks = maps.reshape(len(maps), -1).max(1)
        w = self.kernels[layer.name]
        found = []
        for k in np.argsort(-peaks, kind="stable")[:STRONGEST]:
            if peaks[k] <= 0:
                break
            unit = [int(i) for i in np.unravel_index(int(maps[k].argmax()), maps[k].shape)]
            first = int(k) // (len(w) // (len(before) // w.shape[1])) * w.shape[1]  # of the filter's group
            inputs = before[first : first + w.shape[1]]
            weight = np.sqrt((w[k] ** 2).sum((1, 2))) * np.abs(inputs).mean((1, 2))
            channel = int(weight.argmax())
            found.append(
                {
                    "layer": layer.name,
                    "filter": int(k),
                    "value": float(peaks[k]),
                    "unit": unit,
                    "field": None if field is None else field.box(unit, self.size),
                    "channel": first + channel,
                    "channels": len(before),
                    "kernel": packed(w[k, channel], symmetric=True),
                }
            )
        return found


def grey_size(path: Path, shape: Any, model: Model) -> tuple[int, int]:
    """(height, width) of the images that a net takes. Raises WeightsError where they are not grey."""
    sizes = list(shape) if isinstance(shape, (list, tuple)) else [shape]
    if len(sizes) == 1 and (side := math.isqrt(model.features)) ** 2 == sizes[0]:
        sizes = [1, side, side]
    if len(sizes) != 3 or sizes[0] != 1 or sizes[1] * sizes[2] != model.features:
        raise WeightsError(
            f"{path}: its net takes images {sizes}; what is drawn here is grey, [1, height, width]"
        )
    return int(sizes[1]), int(sizes[2])


def kernels_of(layer: Layer) -> np.ndarray | None:
    """The layer's own filters [K, C / groups, R, S], None where it does not convolve."""
    for p in layer.parameters:
        if p.decayed and p.variable.ndim == 4:
            return np.asarray(p.variable.get_value(), np.float64)
    return None


def packed(values: np.ndarray, *, symmetric: bool = False) -> dict[str, Any]:
    """Values as bytes in base64, with their shape and what 0 and 255 stand for."""
    high = float(values.max(initial=0.0))
    low = float(values.min(initial=0.0))
    if symmetric:
        high = max(high, -low)
        low = -high
    shades = np.rint((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
    return {
        "shape": list(values.shape),
        "low": low,
        "high": high,
        "values": base64.b64encode(shades.tobytes()).decode("ascii"),
    }
