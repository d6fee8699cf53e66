"""Layers as JSON values and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symconv.errors import WeightsError
from symconv.nn.layer import Layer, activation_name


def layers_to_spec(layers: Sequence[Layer]) -> list[dict[str, Any]] | None:
    """One {"layer": class, "name": name, argument: value} each; None if one is, or holds, a user's own."""
    found = []
    for layer in layers:
        if Layer.classes.get(type(layer).__name__) is not type(layer):
            return None
        entry: dict[str, Any] = {"layer": type(layer).__name__, "name": layer.name}
        for key, value in layer.arguments().items():
            if key in ("activation", "activation_fn"):
                value = activation_name(value)
            elif isinstance(value, Layer):
                inner = layers_to_spec([value])
                value = None if inner is None else inner[0]
            elif isinstance(value, (list, tuple)) and any(isinstance(v, Layer) for v in value):
                value = layers_to_spec(value)
            elif isinstance(value, tuple):
                value = list(value)
            if value is None:
                return None
            entry[key] = value
        found.append(entry)
    return found


def layers_from_spec(spec: Sequence[Any]) -> list[Layer]:
    """The layers of layers_to_spec. Raises WeightsError for a class that does not exist here."""
    layers = []
    for entry in spec:
        arguments = {k: _value(v) for k, v in entry.items() if k != "layer"}
        kind = Layer.classes.get(entry["layer"])
        if kind is None:
            raise WeightsError(
                f"there is no layer {entry['layer']!r}\n  hint: import the module that defines it first"
            )
        layers.append(kind(**arguments))
    return layers


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return layers_from_spec([value])[0]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return layers_from_spec(value)
    return value
