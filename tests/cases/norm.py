"""Cases of batch normalisation and local response normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

import symconv as sc
from symconv.ops.norm import BatchNorm, BatchNormGrad, WindowSum
from symconv.testing import OpCase, Spec

# shape, axes reduced (None: all but 1)
LAYOUTS: dict[str, tuple[tuple[int, ...], Any]] = {
    "dense": ((7, 11), None),
    "dense_wide": ((5, 67), None),
    "images": ((3, 5, 2, 7), None),
    "one_image": ((1, 3, 5, 5), None),
    "one_channel": ((5, 1, 3, 3), None),
    "channels_last": ((3, 2, 5, 7), (0, 1, 2)),
    "layer": ((5, 13), (1,)),
    "all": ((5, 7), (0, 1)),
    "nothing": ((3, 5), ()),
    "two_kept": ((3, 5, 7), (0,)),
    "apart": ((3, 5, 7), (1,)),
    "long": ((129, 3, 5, 5), None),
}


def kept(shape: tuple[int, ...], axes: Any) -> tuple[int, ...]:
    over = tuple(a for a in range(len(shape)) if a != 1) if axes is None else axes
    return tuple(d for i, d in enumerate(shape) if i not in over)


def over(shape: tuple[int, ...], axes: Any) -> tuple[int, ...]:
    return tuple(a for a in range(len(shape)) if a != 1) if axes is None else axes


def torch_batch_norm(shape: tuple[int, ...], axes: Any) -> Any:
    reduced = over(shape, axes)
    wide = [1 if i in reduced else d for i, d in enumerate(shape)]

    def build(t: Any, x: Any, gamma: Any, beta: Any) -> Any:
        mean = x.mean(reduced, keepdim=True)
        var = x.var(reduced, unbiased=False, keepdim=True)
        y = gamma.reshape(wide) * (x - mean) / t.sqrt(var + 1e-3) + beta.reshape(wide)
        return y, mean.reshape(gamma.shape), var.reshape(gamma.shape)

    return build if reduced else None


def batch_norms() -> list[OpCase]:
    cases = []
    for name, (shape, axes) in LAYOUTS.items():
        for dtype in ("float32", "float64") if name in ("dense", "images") else ("float32",):
            c, reduced = kept(shape, axes), over(shape, axes)
            short = dtype.replace("float", "f")
            tag = f"{name}_{short}"
            x, per = Spec(shape, dtype), Spec(c, dtype)
            var = Spec(c, dtype, kind="uniform", low=0.5, high=2.0)
            terms = int(np.prod([shape[a] for a in reduced]))
            small = int(np.prod(shape)) < 1000
            options: dict[str, Any] = dict(reduction=max(1, terms), tolerance=64, second=small)
            cases += [
                OpCase(
                    f"batch_norm_{tag}",
                    lambda x, g, b, axes=axes: sc.batch_norm(x, g, b, axes=axes, eps=1e-3),
                    (x, per, per),
                    torch=torch_batch_norm(shape, axes),
                    grad=small,
                    kernel=f"batch_norm_{short}" if name != "apart" else "reference",
                    **options,
                ),
                OpCase(
                    f"batch_norm_grad_{tag}",
                    BatchNormGrad(reduced, 1e-3),
                    (x, x, per, per, var),
                    grad=small,
                    kernel=f"batch_norm_grad_{short}" if name != "apart" else "reference",
                    **options,
                ),
                OpCase(
                    f"batch_norm_inference_{tag}",
                    lambda x, g, b, m, v, axes=axes: sc.batch_norm_inference(
                        x, g, b, m, v, axes=axes, eps=1e-3
                    ),
                    (x, per, per, per, var),
                    **{**options, "reduction": 1},
                ),
            ]
    return [
        *cases,
        OpCase(
            "batch_norm_unknown_shape",
            lambda x, g, b: sc.batch_norm(x, g, b)[0] * x,
            (Spec((5, 3)), Spec((3,)), Spec((3,))),
            unknown_shapes=True,
            reduction=5,
            tolerance=64,
        ),
        OpCase(
            "batch_norm_far_from_zero",  # a one-pass variance would lose all its digits here
            lambda x, g, b: BatchNorm((0,), 1e-5)(x + 1000, g, b)[0],
            (Spec((64, 3), "float64"), Spec((3,), "float64"), Spec((3,), "float64")),
            tolerance=1e6,
            second=False,
        ),
        OpCase(
            "running_average",
            lambda old, new: sc.running_average(old, new, 0.9, count=7),
            (Spec((5,)), Spec((5,))),
            torch=lambda t, old, new: 0.9 * old + 0.1 * new * 7 / 6,
        ),
    ]


def across_channels() -> list[OpCase]:
    cases = []
    for shape in ((2, 7, 3, 5), (3, 5), (2, 1, 3, 3), (1, 3, 17), (0, 3, 2, 2), (5, 2, 19, 3)):
        for size in (1, 2, 5) if len(shape) == 4 else (3, 9):
            tag = f"{'x'.join(map(str, shape))}_{size}"
            cases.append(
                OpCase(
                    f"lrn_{tag}",
                    lambda x, size=size: sc.local_response_norm(x, size, 0.5, 0.75, 2.0),
                    (Spec(shape),),
                    torch=(
                        lambda t, x, size=size: t.nn.functional.local_response_norm(x, size, 0.5, 0.75, 2.0)
                    )
                    if len(shape) > 2 and 0 not in shape
                    else None,
                    grad=0 not in shape,
                    tolerance=64,
                )
            )
    for axis, before, after in ((0, 0, 0), (1, 2, 1), (2, 0, 3), (1, 9, 9)):
        for dtype in ("float32", "float64"):
            op = WindowSum(axis, before, after)
            name = f"window_sum_{axis}_{before}_{after}_{dtype}"
            cases.append(
                OpCase(
                    name,
                    op,
                    (Spec((3, 5, 7), dtype),),
                    exact=True,
                    bilinear=True,
                    kernel=f"window_sum_{dtype.replace('float', 'f')}",
                )
            )
    return cases


CASES = batch_norms() + across_channels()
