"""load(): a model from a weights file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symconv.errors import WeightsError
from symconv.files import Pathlike
from symconv.nn import checkpoint
from symconv.nn.book import Network
from symconv.nn.model import Model, Sequential
from symconv.nn.spec import layers_from_spec

# A trained net that comes with the package; mnist.json beside it says how it was made and how good it is.
SHIPPED = Path(__file__).with_name("shipped") / "mnist.safetensors"


def load(path: Pathlike) -> Model:
    """The model in a weights file that Model.save wrote: rebuilt from its spec, with its weights.

    Raises WeightsError for a file without a spec, such as one that another program wrote.
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: Pathlike) -> tuple[Model, dict[str, Any]]:
    """The model as of load(), and the metadata that it was saved with."""
    found = checkpoint.load(path)
    spec = found.spec
    if not isinstance(spec, dict) or not {"model", "input_shape", "layers"} <= set(spec):
        raise WeightsError(
            f"{path}: holds no description of its network\n"
            "  hint: build the model and call its load_weights(path)"
        )
    try:
        layers = layers_from_spec(spec["layers"])
        model = Network(layers) if spec["model"] == "Network" else Sequential(layers, spec["input_shape"])
    except (KeyError, TypeError, ValueError) as why:
        raise WeightsError(f"{path}: its description of the network cannot be used: {why}") from why
    model.set_weights(found.tensors, str(path))
    return model, found.metadata
