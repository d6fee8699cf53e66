"""What each layer of a trained model makes of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.function import Function, function
from symconv.graph import Variable
from symconv.graph.origin import origin
from symconv.nn.data import check_images
from symconv.nn.layer import Pass
from symconv.nn.model import Model
from symconv.ops.shape import reshape, shape_of


def compile_layer_outputs(model: Model, *, device: str | None = None) -> tuple[list[str], Function]:
    """The layers' names and "output", and the function from images [n, features] to their outputs, in order.

    The layers are as used after training; the last gives scores, "output" their softmax.
    """
    x, walk = model.x, Pass(False, model.stream, [])
    found: dict[str, Variable] = {}
    with origin(f"{model.origin} (layer outputs)"):
        if len(model.input_shape) == 3:
            x = reshape(x, (shape_of(x, 0), *model.input_shape))
        for k, layer in enumerate(model.layers):
            x = layer(x, walk)
            found[layer.name or f"layer{k}"] = x
        found["output"] = model.output
    outputs = list(found.values())
    f = function([model.x], outputs, name="layer outputs", device=device, no_default_updates=True)
    return list(found), f


def layer_outputs(model: Model, images: Any, *, device: str | None = None) -> dict[str, np.ndarray]:
    """{layer's name: its output [n, ...]} in the order of the layers, as used after training, then "output".

    images as for Model.predict; the last layer gives scores, "output" their softmax.
    """
    rows = check_images(images, model.input_shape, model.dtype, "layer_outputs")
    names, f = compile_layer_outputs(model, device=device)
    return dict(zip(names, f(rows)))
