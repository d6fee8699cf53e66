"""Receptive fields: the pixels of the image that a unit of a layer depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symconv.nn.book import ConvPoolLayer
from symconv.nn.layer import Layer
from symconv.nn.modules import Activate, BatchNorm, Conv, Dropout, Pool
from symconv.ops.window import Pair, normalize_padding, pair


@dataclass(frozen=True)
class Field:
    """Unit (i, j) depends on size[0] rows from start[0] + i * jump[0] on, and on columns likewise."""

    start: Pair = (0, 0)
    jump: Pair = (1, 1)
    size: Pair = (1, 1)

    def through(self, window: Pair, stride: Pair, before: Pair = (0, 0), dilation: Pair = (1, 1)) -> Field:
        """The field after windows over units with this field; `before`: padding at the top and left."""
        axes = (0, 1)
        start = [self.start[a] - before[a] * self.jump[a] for a in axes]
        jump = [self.jump[a] * stride[a] for a in axes]
        size = [self.size[a] + dilation[a] * (window[a] - 1) * self.jump[a] for a in axes]
        return Field((start[0], start[1]), (jump[0], jump[1]), (size[0], size[1]))

    def box(self, unit: Sequence[int], image: Pair) -> list[int]:
        """[top, left, height, width] of a unit's field, as far as it lies inside the image."""
        first = [max(0, self.start[a] + unit[a] * self.jump[a]) for a in (0, 1)]
        last = [min(image[a], self.start[a] + unit[a] * self.jump[a] + self.size[a]) for a in (0, 1)]
        return [*first, *(max(0, e - b) for b, e in zip(first, last))]


def fields(layers: Sequence[Layer]) -> list[Field | None]:
    """The field of each layer's units; None from the first layer on whose units have no place."""
    found: list[Field | None] = []
    field: Field | None = Field()
    for layer in layers:
        field = None if field is None else after(field, layer)
        found.append(field)
    return found


def after(field: Field, layer: Layer) -> Field | None:
    if isinstance(layer, ConvPoolLayer):
        window, pool = pair(layer.filter_shape[2:], "filter"), pair(layer.poolsize, "pool")
        return field.through(window, (1, 1)).through(pool, pool)
    if isinstance(layer, Conv):
        window, dilation = pair(layer.kernel, "kernel"), pair(layer.dilation, "dilation")
        return field.through(
            window, pair(layer.stride, "stride"), before(layer.padding, window, dilation), dilation
        )
    if isinstance(layer, Pool):
        window = pair(layer.window, "window")
        stride = window if layer.stride is None else pair(layer.stride, "stride")
        return field.through(window, stride, before(layer.padding, window))
    return field if isinstance(layer, (Activate, BatchNorm, Dropout)) else None


def before(padding: object, window: Pair, dilation: Pair = (1, 1)) -> Pair:
    """The padding at the top and at the left."""
    extent = (dilation[0] * (window[0] - 1) + 1, dilation[1] * (window[1] - 1) + 1)
    top, _, left, _ = normalize_padding(padding, extent, "padding")
    return top, left
