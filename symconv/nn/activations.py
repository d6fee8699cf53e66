"""What each layer of a trained model makes of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.function import function
from symconv.graph import Variable
from symconv.graph.origin import origin
from symconv.nn.data import check_images
from symconv.nn.layer import Pass
from symconv.nn.model import Model
from symconv.ops.shape import reshape, shape_of


def layer_outputs(model: Model, images: Any, *, device: str | None = None) -> dict[str, np.ndarray]:
    """{layer's name: its output [n, ...]} in the order of the layers, as used after training, then "output".

    images as for Model.predict; the last layer gives scores, "output" their softmax.
    """
    rows = check_images(images, model.input_shape, model.dtype, "layer_outputs")
    x, walk = model.x, Pass(False, model.stream, [])
    found: dict[str, Variable] = {}
    with origin(f"{model.origin} (layer outputs)"):
        if len(model.input_shape) == 3:
            x = reshape(x, (shape_of(x, 0), *model.input_shape))
        for k, layer in enumerate(model.layers):
            x = layer(x, walk)
            found[layer.name or f"layer{k}"] = x
        found["output"] = model.output
    f = function(
        [model.x], list(found.values()), name="layer outputs", device=device, no_default_updates=True
    )
    return dict(zip(found, f(rows)))
