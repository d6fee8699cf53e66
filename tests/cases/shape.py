"""Cases of the shape operations, joins and borders: all linear, so exact on integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symconv as sc
from symconv.testing import OpCase, Spec

CUBE, EMPTY, UNIT, VECTOR, SCALAR = (3, 5, 7), (3, 0, 7), (1, 1, 1), (7,), ()


def linear(name: str, build: Callable[..., Any], *shapes: tuple[int, ...], **options: Any) -> OpCase:
    inputs = tuple(Spec(shape) for shape in shapes)
    return OpCase(name, build, inputs, exact=True, bilinear=True, gaussian=False, **options)


def over_shapes(name: str, build: Callable[..., Any], torch: Any = None, **options: Any) -> list[OpCase]:
    """The case on odd, empty and unit shapes, and on shapes unknown at construction."""
    return [
        linear(f"{name}_cube", build, CUBE, torch=torch, **options),
        linear(f"{name}_empty", build, EMPTY),
        linear(f"{name}_unit", build, UNIT),
        linear(f"{name}_unknown", build, CUBE, unknown_shapes=True),
    ]


def moves() -> list[OpCase]:
    rows = [
        ("transpose", lambda x: sc.transpose(x, (2, 0, 1)), lambda t, x: x.permute(2, 0, 1)),
        ("transpose_reversed", lambda x: x.T, lambda t, x: x.permute(2, 1, 0)),
        ("swapaxes", lambda x: sc.swapaxes(x, 0, 2), lambda t, x: x.transpose(0, 2)),
        ("moveaxis", lambda x: sc.moveaxis(x, 0, -1), lambda t, x: x.movedim(0, -1)),
        ("dimshuffle", lambda x: x.dimshuffle(2, "x", 0, 1), lambda t, x: x.permute(2, 0, 1)[:, None]),
        ("reshape", lambda x: x.reshape((x.shape[2], -1, x.shape[0])), None),
        ("flatten", lambda x: sc.flatten(x, 2), lambda t, x: x.flatten(1)),
        ("expand_dims", lambda x: sc.expand_dims(x, (0, 2)), lambda t, x: x[None, :, None]),
        ("concatenate_0", lambda x: sc.concatenate([x, 2 * x], 0), lambda t, x: t.cat([x, 2 * x])),
        ("concatenate_1", lambda x: sc.concatenate([x[:, :1], x, x[:, :0]], 1), None),
        ("concatenate_last", lambda x: sc.concatenate([x, x, x], -1), lambda t, x: t.cat([x, x, x], -1)),
        ("stack", lambda x: sc.stack([x, -x], 1), lambda t, x: t.stack([x, -x], 1)),
        ("split", lambda x: sc.split(x, [1, x.shape[2] - 1], 2), lambda t, x: t.split(x, [1, 6], 2)),
        ("tile", lambda x: sc.tile(x, (2, 1, 3)), lambda t, x: x.tile(2, 1, 3)),
        ("tile_more_axes", lambda x: sc.tile(x, (2, 1, 1, 2)), lambda t, x: x.tile(2, 1, 1, 2)),
        ("repeat", lambda x: sc.repeat(x, 3, 1), lambda t, x: x.repeat_interleave(3, 1)),
        ("flip", lambda x: sc.flip(x, (0, 2)), lambda t, x: x.flip(0, 2)),
        ("flip_filters", lambda x: sc.flip(x, (1, 2)), lambda t, x: x.flip(1, 2)),
        ("flip_all", sc.flip, lambda t, x: x.flip(0, 1, 2)),
        (
            "pad",
            lambda x: sc.pad(x, ((1, 0), (2, 3), (0, 4))),
            lambda t, x: t.constant_pad_nd(x, (0, 4, 2, 3, 1, 0)),
        ),
        ("triu", lambda x: sc.triu(x, 1), lambda t, x: x.triu(1)),
        ("tril", lambda x: sc.tril(x, -1), lambda t, x: x.tril(-1)),
        ("diagonal", lambda x: sc.diagonal(x, 0, 2, 1), lambda t, x: x.diagonal(0, 2, 1)),
    ]
    return [case for name, build, torch in rows for case in over_shapes(name, build, torch)]


def known_sizes() -> list[OpCase]:
    return [
        linear("roll", lambda x: sc.roll(x, 2, 1), CUBE, torch=lambda t, x: x.roll(2, 1)),
        linear("roll_flat", lambda x: sc.roll(x, -9), CUBE, torch=lambda t, x: x.roll(-9)),
        linear("roll_unknown", lambda x: sc.roll(x, 9, 2), CUBE, unknown_shapes=True),
        linear("split_equal", lambda x: sc.split(x, 3, 0), CUBE, torch=lambda t, x: x.chunk(3)),
        linear("split_equal_unknown", lambda x: sc.split(x, 3, 0), CUBE, unknown_shapes=True),
        linear(
            "diagonal_above", lambda x: sc.diagonal(x, 3, 0, 2), CUBE, torch=lambda t, x: x.diagonal(3, 0, 2)
        ),
        linear("diagonal_outside", lambda x: sc.diagonal(x, 9), CUBE),
        linear("diag", lambda v: sc.diag(v, -2), VECTOR, torch=lambda t, v: v.diag(-2)),
        linear("repeat_counts", lambda x: sc.repeat(x, [2, 0, 1], 0), CUBE),
        linear("squeeze", lambda x: sc.squeeze(x), (1, 5, 1), torch=lambda t, x: x.squeeze()),
        linear("squeeze_to_scalar", lambda x: sc.squeeze(x), UNIT),
        linear("broadcast_to", lambda x: sc.broadcast_to(x, (2, 3, 5, 7)), (3, 1, 7)),
        linear("broadcast_scalar", lambda x: sc.broadcast_to(x, (3, 5)), SCALAR),
        linear("broadcast_to_empty", lambda x: sc.broadcast_to(x, (0, 3)), (1, 3)),
        linear("reshape_to_scalar", lambda x: x.reshape(()), UNIT),
        linear("transpose_scalar", lambda x: x.T, SCALAR),
        linear("stack_scalars", lambda a, b: sc.stack([a, b, a]), SCALAR, SCALAR),
        linear(
            "concatenate_different",
            lambda a, b: sc.concatenate([a, b, a], 1),
            (3, 2),
            (3, 5),
            torch=lambda t, a, b: t.cat([a, b, a], 1),
        ),
        linear("pad_value", lambda x, v: sc.pad(x, 2, value=v), (3, 5), SCALAR),
        linear("pad_edge", lambda x: sc.pad(x, ((1, 2), (0, 3)), "edge"), (3, 5)),
        linear("pad_reflect", lambda x: sc.pad(x, ((2, 1), (0, 4)), "reflect"), (3, 5), unknown_shapes=True),
        linear("pad_symmetric", lambda x: sc.pad(x, 4, "symmetric"), (3, 5)),
        linear("pad_wrap", lambda x: sc.pad(x, 7, "wrap"), (3, 5)),
    ]


CASES = moves() + known_sizes()
