"""Cases of the element-wise ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import symconv as sc
from symconv.ops.activations import Sigmoid
from symconv.ops.arithmetic import Add, Mul
from symconv.ops.elementwise import Cast
from symconv.ops.fused import FusedElementwise
from symconv.ops.logic import Gt, Where
from symconv.testing import OpCase, Spec

INTS = ("int8", "uint8", "int16", "int32", "int64")


def unary(
    name: str,
    build: Callable[..., Any],
    torch: Callable[..., Any] | None = None,
    low: float = -np.inf,
    high: float = np.inf,
    shape: tuple[int, ...] = (3, 7),
    **options: Any,
) -> list[OpCase]:
    """The op in both float dtypes, on an odd shape, a scalar and no elements."""
    return [
        OpCase(f"{name}_float32", build, (Spec(shape, low=low, high=high),), torch=torch, **options),
        OpCase(f"{name}_float64", build, (Spec((11, 1), "float64", low=low, high=high),), **options),
        OpCase(f"{name}_scalar", build, (Spec((), low=low, high=high),), **options),
        OpCase(f"{name}_empty", build, (Spec((0, 3)),), **{**options, "grad": False}),
    ]


def smooth() -> list[OpCase]:
    tiny = {"low": 0.1, "high": 4.0}
    gelu_tanh = {"approximate": "tanh"}
    return [
        *unary("exp", sc.exp, lambda t, x: t.exp(x)),
        *unary("expm1", sc.expm1, lambda t, x: t.expm1(x)),
        *unary("log", sc.log, lambda t, x: t.log(x), **tiny),
        *unary("log1p", sc.log1p, lambda t, x: t.log1p(x), **tiny),
        *unary("sqrt", sc.sqrt, lambda t, x: t.sqrt(x), **tiny),
        *unary("square", sc.square, lambda t, x: t.square(x), exact=True),
        *unary("reciprocal", sc.reciprocal, lambda t, x: t.reciprocal(x), **tiny),
        *unary("tanh", sc.tanh, lambda t, x: t.tanh(x)),
        *unary("sigmoid", sc.sigmoid, lambda t, x: t.sigmoid(x)),
        *unary("softplus", sc.softplus, lambda t, x: t.nn.functional.softplus(x)),
        *unary("sin", sc.sin, lambda t, x: t.sin(x)),
        *unary("cos", sc.cos, lambda t, x: t.cos(x)),
        *unary("tan", sc.tan, lambda t, x: t.tan(x), low=-1.2, high=1.2),
        *unary("erf", sc.erf, lambda t, x: t.erf(x)),
        *unary("erfc", sc.erfc, lambda t, x: t.erfc(x)),
        *unary("gelu", sc.gelu, lambda t, x: t.nn.functional.gelu(x)),
        *unary(
            "gelu_tanh",
            lambda x: sc.gelu(x, approximate=True),
            lambda t, x: t.nn.functional.gelu(x, **gelu_tanh),
        ),
        *unary("elu", lambda x: sc.elu(x, 0.7), lambda t, x: t.nn.functional.elu(x, 0.7)),
        *unary("neg", sc.neg, lambda t, x: t.neg(x), exact=True),
        *unary("log_sigmoid", lambda x: sc.log(sc.sigmoid(x)), lambda t, x: t.nn.functional.logsigmoid(x)),
    ]


def kinked() -> list[OpCase]:
    return [
        *unary("relu", sc.relu, lambda t, x: t.relu(x), exact=True),
        *unary("leaky_relu", sc.leaky_relu, lambda t, x: t.nn.functional.leaky_relu(x)),
        *unary("leaky_relu_quarter", lambda x: sc.leaky_relu(x, 0.25), exact=True),
        *unary("abs", sc.abs, lambda t, x: t.abs(x), exact=True),
        *unary("sign", sc.sign, lambda t, x: t.sign(x), exact=True),
        *unary("floor", sc.floor, lambda t, x: t.floor(x), exact=True),
        *unary("ceil", sc.ceil, lambda t, x: t.ceil(x), exact=True),
        *unary("trunc", sc.trunc, lambda t, x: t.trunc(x), exact=True),
        *unary("round", sc.round, lambda t, x: t.round(x), exact=True),
        *unary("clip", lambda x: sc.clip(x, -0.5, 0.75), lambda t, x: t.clamp(x, -0.5, 0.75), exact=True),
        *unary("clip_below", lambda x: sc.clip(x, low=0), exact=True),
        *unary(
            "stop_gradient",
            lambda x: x * sc.stop_gradient(x),
            lambda t, x: x * x.detach(),
            second=False,
            grad=False,
        ),
    ]


# name: the shapes of two operands
BROADCASTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "same": ((5, 7), (5, 7)),
    "row": ((5, 7), (7,)),
    "col": ((5, 7), (5, 1)),
    "cross": ((3, 1, 7), (1, 5, 1)),
    "channel": ((2, 3, 5, 7), (3, 1, 1)),
    "scalar": ((), (3, 5)),
    "scalars": ((), ()),
    "ones": ((1, 1), (1,)),
    "empty": ((0, 5), (1, 5)),
    "long_row": ((2, 521), (521,)),
    "long_col": ((3, 521), (3, 1)),
    "inner_outer": ((2, 1, 3, 1, 5), (2, 3, 1, 3, 1)),
}


def binary(name: str, build: Callable[..., Any], torch: Any = None, **options: Any) -> list[OpCase]:
    spec = options.pop("spec", {})
    return [
        OpCase(
            f"{name}_{kind}",
            build,
            (Spec(a, **spec), Spec(b, **spec)),
            torch=torch,
            **{**options, "grad": 0 not in (*a, *b) and options.get("grad", True)},
        )
        for kind, (a, b) in BROADCASTS.items()
    ]


def arithmetic() -> list[OpCase]:
    positive = {"kind": "uniform", "low": 0.5, "high": 3.0}
    return [
        *binary("add", sc.add, lambda t, a, b: a + b, exact=True),
        *binary("sub", sc.sub, lambda t, a, b: a - b, exact=True),
        *binary("mul", sc.mul, lambda t, a, b: a * b, exact=True, bilinear=True),
        *binary("true_div", sc.true_div, lambda t, a, b: a / b, spec=positive),
        *binary("power", sc.power, lambda t, a, b: a**b, spec=positive, tolerance=64),
        *binary("maximum", sc.maximum, lambda t, a, b: t.maximum(a, b), exact=True),
        *binary("minimum", sc.minimum, lambda t, a, b: t.minimum(a, b), exact=True),
        *binary("floor_div", sc.floor_div, spec=positive),
        *binary("mod", sc.mod, lambda t, a, b: a % b, spec=positive),
        OpCase(
            "mod_signs",
            sc.mod,
            (
                Spec((4, 1), kind="values", values=[-5, 5, -3.5, 0]),
                Spec((1, 2), kind="values", values=[3, -3]),
            ),
            exact=True,
            grad=False,
        ),
        OpCase(
            "where_broadcast",
            lambda c, a, b: sc.where(c > 0, a, b),
            (Spec((5, 1)), Spec((7,)), Spec(())),
            exact=True,
            torch=lambda t, c, a, b: t.where(c > 0, a, b),
        ),
        OpCase("mul_itself", lambda x: x * x, (Spec((3, 5)),), exact=True),
        OpCase("mul_unknown_shapes", sc.mul, (Spec((3, 5)), Spec((3, 5))), unknown_shapes=True, exact=True),
        OpCase(
            "add_unknown_broadcast", sc.add, (Spec((3, 1)), Spec((1, 5))), unknown_shapes=True, exact=True
        ),
        *[
            OpCase(
                f"power_{n}".replace("-", "minus_").replace(".", "_"),
                lambda x, n=n: x**n,
                (Spec((3, 5), kind="uniform", low=0.5, high=2.0),),
                torch=lambda t, x, n=n: x**n,
                tolerance=64,
            )
            for n in (0, 1, 2, 3, 4, 5, 7.5, -1, -3, -6, 0.5, -0.5)
        ],
        OpCase("power_of_negative", lambda x: x**5, (Spec((7,), low=-2, high=2),), exact=True, tolerance=64),
        OpCase("power_scalar_base", lambda x: 2**x, (Spec((7,)),), torch=lambda t, x: 2**x),
        OpCase(
            "power_at_zero",
            sc.power,
            (Spec((2,), kind="values", values=[0, 0]), Spec((2,), kind="values", values=[2, 3])),
            exact=True,
            grad=(1,),
            second=False,
        ),
    ]


def chains() -> list[OpCase]:
    shapes = (Spec((3, 257)), Spec((257,)), Spec((3, 1)), Spec(()))
    kept = FusedElementwise(((Mul(), (0, 1)), (Add(), (3, 2)), (Sigmoid(), (4,))), (1, 2))
    mixed = FusedElementwise(
        ((Gt(), (0, 1)), (Cast("int32"), (0,)), (Where(), (2, 0, 1)), (Cast("float64"), (4,))), (1, 0, 3)
    )
    return [
        OpCase(
            "affine_sigmoid",
            lambda x, a, b, c: sc.sigmoid(x * a + b) * c + a,
            shapes,
            torch=lambda t, x, a, b, c: t.sigmoid(x * a + b) * c + a,
        ),
        OpCase("fused_two_outputs", kept, (Spec((5, 7)), Spec((7,)), Spec((5, 1))), grad=False),
        OpCase("fused_mixed_dtypes", mixed, (Spec((5, 7)), Spec((5, 7))), grad=False, exact=True),
    ]


def integers() -> list[OpCase]:
    cases = []
    for dtype in INTS:
        for name in ("add", "sub", "mul", "maximum", "minimum", "floor_div", "mod"):
            a, b = Spec((5, 1), dtype), Spec((1, 7), dtype)
            cases.append(OpCase(f"{name}_{dtype}", getattr(sc, name), (a, b), exact=True, grad=False))
        power = (Spec((7,), dtype), Spec((7,), dtype, low=0 if dtype == "uint8" else -2, high=3))
        cases.append(OpCase(f"power_{dtype}", sc.power, power, exact=True, grad=False))
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
            a, b = Spec((5, 1), dtype), Spec((1, 7), dtype)
            cases.append(OpCase(f"{name}_{dtype}", getattr(sc, name), (a, b), exact=True, grad=False))
        for name in ("left_shift", "right_shift"):  # by negative numbers and by too many bits, too
            low = 0 if dtype == "uint8" else -4
            a, b = Spec((5, 1), dtype), Spec((1, 80), dtype, "index", low=low, high=70)
            cases.append(OpCase(f"{name}_{dtype}", getattr(sc, name), (a, b), exact=True, grad=False))
        for name in ("neg", "abs", "sign", "square", "relu", "floor", "bitwise_not"):
            cases.append(
                OpCase(f"{name}_{dtype}", getattr(sc, name), (Spec((3, 7), dtype),), exact=True, grad=False)
            )
        cases.append(OpCase(f"exp_{dtype}", sc.exp, (Spec((3, 7), dtype),), grad=False))
        cases.append(
            OpCase(f"true_div_{dtype}", lambda x: x / 2, (Spec((3, 7), dtype),), exact=True, grad=False)
        )
    for name in ("add", "mul", "maximum", "minimum"):
        a, b = Spec((5, 1), "bool"), Spec((1, 7), "bool")
        cases.append(OpCase(f"{name}_bool", getattr(sc, name), (a, b), exact=True, grad=False))
    return cases


def logic() -> list[OpCase]:
    cases = []
    for dtype in ("bool", *INTS, "float32", "float64"):
        for name in ("eq", "neq", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"):
            a, b = Spec((5, 1), dtype), Spec((1, 7), dtype)
            cases.append(OpCase(f"{name}_{dtype}", getattr(sc, name), (a, b), exact=True, grad=False))
        cases.append(OpCase(f"not_{dtype}", sc.logical_not, (Spec((13,), dtype),), exact=True, grad=False))
        pick = (Spec((5, 1), "bool"), Spec((5, 7), dtype), Spec((7,), dtype))
        cases.append(OpCase(f"where_{dtype}", sc.where, pick, exact=True))
        for to in ("bool", *INTS, "float32", "float64"):
            spec = Spec((3, 7), dtype, low=0)  # a negative float has no value as an unsigned integer
            cases.append(
                OpCase(
                    f"cast_{dtype}_{to}",
                    lambda x, to=to: sc.cast(x, to),
                    (spec,),
                    exact=True,
                    grad=dtype.startswith("float") and to == "float64",
                    gaussian=to != "bool",
                )
            )
    odd = Spec((5,), kind="values", values=[math.nan, math.inf, -math.inf, 0.0, 1.5])
    for name in ("isnan", "isinf", "isfinite"):
        cases.append(OpCase(name, getattr(sc, name), (odd,), exact=True, grad=False))
        cases.append(
            OpCase(f"{name}_int32", getattr(sc, name), (Spec((3,), "int32"),), exact=True, grad=False)
        )
    for name in ("maximum", "minimum", "add", "eq", "neq", "lt", "ge"):
        both = (odd, Spec((3, 1), kind="values", values=[math.nan, 1.0, -math.inf]))
        cases.append(OpCase(f"{name}_with_nan", getattr(sc, name), both, exact=True, grad=False))
    for name in (
        "relu",
        "exp",
        "tanh",
        "sigmoid",
        "softplus",
        "sign",
        "abs",
        "floor",
        "sin",
        "erf",
        "log",
        "sqrt",
        "expm1",
        "log1p",
    ):
        cases.append(OpCase(f"{name}_with_nan", getattr(sc, name), (odd,), grad=False))
    return cases


CASES: list[OpCase] = [*smooth(), *kinked(), *arithmetic(), *chains(), *integers(), *logic()]
