"""The checks themselves: what they must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

import symconv as sc
from symconv.errors import ArgumentError, GradientMismatchError
from symconv.graph import Apply, Variable
from symconv.ops.elementwise import Elementwise
from symconv.testing import OpCase, Spec, assert_close, check_grad, check_op, verify_grad

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("actual", "desired"),
    [
        (NAN, 0.0),
        (0.0, NAN),
        (INF, 1.0),
        (1.0, INF),
        (INF, -INF),
        (NAN, INF),
        (1.0, 1.1),
        (True, False),
        (2, 3),
    ],
)
@pytest.mark.parametrize("rtol", [0.0, 1e-6])
def test_assert_close_refuses(actual: float, desired: float, rtol: float) -> None:
    with pytest.raises(AssertionError, match="1 of 2 elements differ"):
        assert_close(np.array([1, actual]), np.array([1, desired]), rtol)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.0, 1e300, True, 7])
def test_assert_close_accepts_same(value: float) -> None:
    assert_close(np.array([value]), np.array([value]), rtol=0.0)


def test_assert_close_shape() -> None:
    with pytest.raises(AssertionError, match=r"shape \[1\], expected \[\]"):
        assert_close(np.ones(1), np.ones(()))


@dataclass(frozen=True)
class Faulty(Elementwise):
    """x^3 with whatever fault a test plants."""

    fault: str = ""
    name = "faulty"
    takes = "float"

    def compute(self, x: np.ndarray) -> np.ndarray:
        y = x**3
        if self.fault == "nan" and x.dtype == "float32":
            y.reshape(-1)[-1] = np.nan
        if self.fault == "rounding" and x.dtype == "float32":
            y *= 1 + 1e-4
        if self.fault == "writes" and x.dtype == "float32":
            x[...] = 0
        return y

    def partials(self, node: Apply, dy: Variable) -> Sequence[Variable | None]:
        x = node.inputs[0]
        if self.fault == "gradient":
            return (dy * 2 * x**2,)
        if self.fault == "second":
            return (dy * 3 * sc.stop_gradient(x) ** 2,)
        return (dy * 3 * x**2,)


def case(fault: str) -> OpCase:
    return OpCase("faulty", Faulty(fault), (Spec((3, 5)),))


def test_check_op_accepts_sound_op() -> None:
    check_op(case(""))
    check_grad(case(""))


@pytest.mark.parametrize("fault", ["nan", "rounding", "writes"])
def test_check_op_finds_fault(fault: str) -> None:
    with pytest.raises(AssertionError, match="faulty"):
        check_op(case(fault))


@pytest.mark.parametrize(
    ("fault", "where"), [("gradient", "gradient of input 0"), ("second", "gradient of the gr")]
)
def test_check_grad_finds_fault(fault: str, where: str) -> None:
    with pytest.raises(AssertionError, match=where):
        check_grad(case(fault))


def test_check_op_names_other_kernel() -> None:
    with pytest.raises(AssertionError, match="kernel reference, expected elementwise"):
        check_op(OpCase("faulty", Faulty(""), (Spec((2,)),), kernel="elementwise"), "cpu")


def test_verify_grad_skips_kinks_but_not_all() -> None:
    verify_grad(sc.relu, [np.array([-1.0, 0.0, 2.0])])
    with pytest.raises(AssertionError, match="lie on kinks"):
        verify_grad(sc.relu, [np.array([0.0, 0.0, 2.0])])


def test_verify_grad_exact_on_bilinear() -> None:
    verify_grad(lambda a, b: a * b, [np.array([1.0, -3.0]), np.array([2.0, 4.0])], exact=True)
    with pytest.raises(AssertionError, match="by differences"):
        verify_grad(lambda a, b: a * sc.stop_gradient(b), [np.array([1.0]), np.array([3.0])], exact=True)


def test_verify_grad_reports_the_worst_elements_what_they_share_and_the_nodes() -> None:
    point = np.arange(1.0, 7.0).reshape(2, 3)

    def wrong(factor: float) -> GradientMismatchError:
        def build(x: Variable) -> Variable:
            y = sc.exp(x * 0.1)
            return y * factor - sc.stop_gradient(y * (factor - 1))  # the value of y, its slope times `factor`

        with pytest.raises(GradientMismatchError) as error:
            sc.verify_grad(build, [point], what="wrong")
        return error.value

    text = str(wrong(3.0))
    assert text.startswith("wrong: gradient of input 0 at [")
    assert "6 of 6 elements are off (0 on kinks were skipped)" in text and text.count("by differences") == 5
    assert "all are 3 times what they should be" in text and "exp from test_testing.py:" in text
    assert "allowed: 1e-05 + 1e-05 |difference|" in text
    assert "all are -1 times" in str(wrong(-1.0)) and "all are 0: no gradient gets through" in str(wrong(0.0))
    assert isinstance(wrong(2.0), AssertionError)


def test_verify_grad_takes_tolerances_and_steps() -> None:
    point = [np.array([0.5, 1.5])]

    def build(x: Variable) -> Variable:
        return x**3 * 1.001 - sc.stop_gradient(x**3 * 0.001)

    with pytest.raises(GradientMismatchError):
        sc.verify_grad(build, point, second=False)
    sc.verify_grad(build, point, second=False, rtol=1e-2)
    sc.verify_grad(build, point, second=False, atol=0.1)
    with pytest.raises(GradientMismatchError):  # differences over 1 say 3 x^2 + 1
        sc.verify_grad(lambda x: x**3, [np.array([5.0, 7.0])], eps=0.2, second=False)
    for points in ([], [np.arange(3)]):
        with pytest.raises(ArgumentError, match="must hold a float array"):
            sc.verify_grad(lambda *xs: xs[0], points)
    with pytest.raises(ArgumentError, match="no output is a float"):
        sc.verify_grad(lambda x: x > 0, [np.ones(2)])


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_verify_grad_checks_the_compiled_gradient(device: str, core: None) -> None:
    rng = np.random.default_rng(0)
    points = [rng.standard_normal(s).astype("float32") for s in ((2, 3, 6, 6), (4, 3, 3, 3))]
    sc.verify_grad(lambda x, w: sc.relu(sc.conv2d(x, w)), points, device=device, rtol=1e-3)
    with pytest.raises(GradientMismatchError, match="times what they should be"):
        sc.verify_grad(Faulty("gradient"), points[:1], device=device, rtol=1e-3)


def test_spec_draws_within_bounds() -> None:
    rng = np.random.default_rng(0)
    for dtype in ("int8", "uint8", "float32"):
        values = Spec((101,), dtype, low=-2, high=3).draw(rng, integers=True)
        assert values.dtype == dtype and values.min() >= (0 if dtype == "uint8" else -2) and values.max() <= 3
    spread = np.sort(Spec((50,), kind="distinct").draw(rng).ravel())
    assert np.diff(spread).min() > 0.09
