"""check_kernel on mistakes outside of the kernel's text: in launch, supports, inplace, and in the op."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import symconv as sc
from symconv.errors import CompileError, GradientError, ProtocolError
from symconv.testing import OpCase, Spec
from symconv.workbench.check import examine

pytestmark = pytest.mark.usefixtures("cxx", "core")
HERE = Path(__file__)
CODE = """
struct P { ll n; };
void f(const P& p, const Args& args, ll begin, ll end) {
  for (ll i = begin; i < end; i++) args.get<float>(1)[i] = 2 * args.get<const float>(0)[i];
}
CPU_KERNEL(twice, P, f)
"""


def launch(node):
    return sc.launch(node.out.type.size, n=node.out.type.size)


@dataclass(frozen=True)
class Twice(sc.Op):
    name = "twice_checked"
    operands = ("x",)

    def infer(self, x):
        return x.type

    def grad(self, node, dy):
        return [Twice()(dy)]

    def reference(self, x):
        return 2 * x


def first_line(function, offset=0):
    return f"{HERE.name}:{function.__code__.co_firstlineno + offset}"


def findings(op=Twice, grad=True, **options):
    options = {"launch": launch, **options}
    kernel = sc.cpu_kernel("twice", options.pop("code", CODE), **options)
    with sc.use_kernel(op, kernel):
        case = OpCase("row", lambda x: op()(x), (Spec((3, 5)),), exact=True, grad=grad)
        return examine(kernel, [case]).findings


def broken_launch(node):
    return sc.launch(node.out.type.size // 0, n=1)


def misnamed(node):
    return sc.launch(1, m=1)


def broken_supports(node):
    return node.nothing


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({"launch": broken_launch}, first_line(broken_launch, 1), "ZeroDivisionError"),
        ({"supports": broken_supports}, first_line(broken_supports, 1), "no attribute 'nothing'"),
        (
            {"launch": misnamed},
            first_line(misnamed),
            "no value for n; no such field as m",
        ),
        ({"inplace": ((0, 5),)}, "", "inplace has (0, 5), but twice_checked has 1 outputs and 1 inputs"),
        ({"inplace": ((1, 0),)}, "", "inplace has (1, 0)"),
    ],
)
def test_functions_beside_the_kernel(options, where, message):
    (found,) = findings(**options)
    assert found.kind == "compile" and message in found.message
    assert "docs/errors.md" not in str(found)
    if where:
        assert found.where == where


def test_work_in_place_that_reads_what_it_has_overwritten():
    @dataclass(frozen=True)
    class Reversed(Twice):
        name = "reversed_checked"

        def grad(self, node, dy):
            return [Reversed()(dy)]

        def reference(self, x):
            return x.reshape(-1)[::-1].reshape(x.shape).copy()

    code = CODE.replace("2 * args.get<const float>(0)[i]", "args.get<const float>(0)[p.n - 1 - i]")
    assert findings(Reversed, code=code) == []
    (found,) = findings(Reversed, code=code, inplace=((0, 0),))
    assert found.kind == "value" and found.message.startswith("in place (0, 0), output 0")
    assert found.where == "text of twice:4"


class Float64(Twice):
    name = "gives_float64"

    def reference(self, x):
        return x.astype("float64") * 2


class Overwrites(Twice):
    name = "overwrites"

    def reference(self, x):
        x *= 2
        return x


class Misspelt(Twice):
    name = "misspelt"

    def reference(self, x):
        return y * 2  # noqa: F821


class Short(Twice):
    name = "short"

    def reference(self, x):
        return x[:2]


@pytest.mark.parametrize(
    ("op", "below", "message"),
    [
        (Float64, 0, "gives float64[3, 5], infer() says float32[3, 5]"),
        (Overwrites, 0, "changes its input 0"),
        (Misspelt, 1, "NameError: name 'y' is not defined"),
        (Short, 0, "gives float32[2, 5], infer() says float32[3, 5]"),
    ],
)
def test_a_wrong_reference_is_found_before_the_kernel_is_blamed(op, below, message):
    (found,) = findings(op)
    assert found.kind == "reference" and message in found.message
    assert found.where == first_line(op.reference, below)


class RaisingGrad(Twice):
    name = "raising_grad"

    def grad(self, node, dy):
        return [y]  # noqa: F821


class ArrayGrad(Twice):
    name = "array_grad"

    def grad(self, node, dy):
        return [np.ones(3)]


class NoGrad(Twice):
    name = "no_grad"

    def grad(self, node, dy):
        return None


class WrongType(Twice):
    name = "wrong_type"

    def infer(self, x):
        return "float32"


def test_gradients_that_are_none():
    (found,) = findings(RaisingGrad)
    assert found.kind == "gradient" and "NameError" in found.message
    assert found.where == first_line(RaisingGrad.grad, 1)
    for op, message in ((ArrayGrad, "gave ndarray as the gradient"), (NoGrad, "gave nothing for 1 inputs")):
        (found,) = findings(op)
        assert found.kind == "gradient" and message in found.message
        x = sc.matrix("x")
        with pytest.raises(GradientError, match=rf"{message}(?s:.*)in the gradient of {op.name} from test_"):
            sc.grad(op()(x).sum(), x)


def test_infer_must_give_types():
    with pytest.raises(
        ProtocolError, match=r"(?s)wrong_type: infer\(\) gave 'float32'.*test_kernel_check_ops.py.*hint"
    ):
        WrongType()(sc.matrix("x"))
    (found,) = findings(WrongType)
    assert "infer() gave 'float32'" in found.message


def test_an_inplace_pair_out_of_range_is_refused_in_a_plan_too():
    kernel = sc.cpu_kernel("twice", CODE, launch=launch, inplace=((0, 5),))
    x = sc.matrix("x")
    with sc.use_kernel(Twice, kernel), pytest.raises(CompileError, match=r"inplace has \(0, 5\)"):
        sc.function([x], sc.exp(Twice()(sc.exp(x))), device="cpu")(np.ones((2, 2), "float32"))
