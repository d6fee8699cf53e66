"""Mode "debug" finds planted lies of kernels, claims, plans and rewrites, and is silent without."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules

import cases
import numpy as np
import pytest

import symconv as sc
from symconv.errors import (
    ArgumentError,
    DebugModeError,
    KernelFault,
    KernelMismatchError,
    MemoryClaimError,
    RewriteMismatchError,
)
from symconv.gradcheck import outputs_of
from symconv.graph import Kernel, Launch, Op, TensorType, View
from symconv.graph.params import pack
from symconv.plan.check import check_plan
from symconv.rewrite import pipeline
from symconv.rewrite.pattern import Rule

pytestmark = pytest.mark.usefixtures("core")

COPY = "csrc/kernels/copy.cpp"
CODE = """
#include "common.cuh"
DEVICE void lie(const FillParams& p, const Args& args, int tile, Shared shared) {
  ll i = tile * 256LL + threadIdx.x;
  if (i < p.count) { %s }
}
KERNEL(%s, FillParams, lie)
"""


def strided(shape, out_stride, in_stride):
    """Launch of strided_copy: y[i . out_stride] = x[i . in_stride] for i in shape."""
    fill = [0] * (8 - len(shape))
    params = pack(
        "StridedCopyParams", ndim=len(shape), itemsize=4, in_offset=0, out_offset=0,
        shape=[*shape, *(1 for _ in fill)], in_stride=[*in_stride, *fill], out_stride=[*out_stride, *fill],
    )  # fmt: skip
    return Launch(params)


def on_cpu(launch, inplace=()):
    return Kernel("lie_on_cpu", "cpu", COPY, "strided_copy", lambda n: None, launch, inplace)


def emulated(body, inplace=()):
    """A CUDA kernel whose thread i of x.size runs `body`; x and y are the operand and the result."""
    name = f"lie_{zlib.crc32(body.encode())}"
    text = CODE % ("auto x = args.get<float>(0), y = args.get<float>(1); " + body, name)

    def launch(node):
        count = node.out.type.size
        params = pack("FillParams", itemsize=4, count=count, value=0)
        return Launch(params, -(-count // 256), entry=name, code=text)

    return Kernel("lie_on_gpu", "cuda", "kernels/none.cu", name, lambda n: None, launch, inplace)


def op(reference, *lies, name="lie", **methods):
    """An op of one float32 operand with these kernels; its results have the operand's type."""

    def infer(self, x):
        return x.type

    body = {"name": name, "operands": ("x",), "kernels": list(lies), "infer": infer, **methods}
    body["reference"] = lambda self, x: reference(x)
    return dataclass(frozen=True)(type("Lie", (Op,), body))()


def run(lie, value, device, **options):
    x = sc.tensor("float32", value.shape, name="x")
    return sc.function([x], lie(x), device=device, mode="debug", **options)(value)


SQUARE = np.arange(36, dtype="float32").reshape(6, 6)


def test_a_kernel_that_computes_something_else_is_named_with_its_line_and_operands():
    lie = op(lambda x: 2 * x, on_cpu(lambda n: strided([36], [1], [1])))
    with pytest.raises(KernelMismatchError) as error:
        run(lie, SQUARE, "cpu")
    text = str(error.value)
    assert "lie from test_debug_mode.py:" in text and "kernel lie_on_cpu on cpu" in text
    assert "35 of 36 elements differ; worst at [5, 5]: 35.0, expected 70.0" in text
    assert "x float32[6, 6]   from test_debug_mode.py:" in text and "0 to 35, mean 17.5" in text


def test_a_wrong_claim_to_work_in_place_is_found():
    honest = op(lambda x: x.T.copy(), on_cpu(lambda n: strided([6, 6], [6, 1], [1, 6])))
    assert np.array_equal(run(honest, SQUARE, "cpu"), SQUARE.T)
    lie = op(lambda x: x.T.copy(), on_cpu(lambda n: strided([6, 6], [6, 1], [1, 6]), ((0, 0),)))
    with pytest.raises(
        MemoryClaimError, match=r"claims that output 0 may be computed over input 0.*\d+ of 36"
    ):
        run(lie, SQUARE, "cpu")


def test_elements_that_are_never_written_are_found():
    lie = op(lambda x: x, on_cpu(lambda n: strided([30], [1], [1])))
    with pytest.raises(
        KernelMismatchError, match=r"never writes 6 elements of output 0, the first at \[5, 0\]"
    ):
        run(lie, SQUARE, "cpu")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("y[i] = i == 7 ? 0.0f : x[i];", KernelMismatchError, "1 of 36 elements differ; worst at"),
        ("y[i] = x[i]; x[i] = 0.0f;", MemoryClaimError, "wrote into its input x, which it does not claim"),
        ("y[i] += x[i];", KernelMismatchError, "depend on memory nobody wrote"),
        ("if (i) y[i] = x[i];", KernelMismatchError, "never writes 1 elements of output 0, the first at"),
        ("y[i + 1] = x[i]; y[0] = x[0];", KernelFault, "out of bounds"),
    ],
)
def test_lies_of_a_gpu_kernel_are_found(cxx, body, kind, words):
    with pytest.raises(kind) as error:
        run(op(lambda x: x.copy(), emulated(body)), SQUARE, "emulated")
    assert words in str(error.value) and "lie" in str(error.value)


CPU_CODE = """
struct P { ll n; };
void lie(const P& p, const Args& args, ll begin, ll end) {
  float* x = args.raw<float>(0); float* y = args.raw<float>(1); float* w = args.raw<float>(2);
  for (ll i = begin; i < end; i++) { %s }
}
CPU_KERNEL(lie, P, lie)
"""


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("y[i + 1] = x[i]; if (!i) y[0] = 0;", MemoryClaimError, "wrote outside output 0: 4 bytes behind it"),
        ("y[i] = x[i]; y[-3] = 0;", MemoryClaimError, "bytes before it, the nearest 9 bytes away"),
        ("y[i] = x[i]; x[-1] = 0;", MemoryClaimError, "beside the input x"),
        ("y[i] = x[i]; x[i] = 2;", MemoryClaimError, "wrote into its input x, which it does not claim"),
        ("y[i] = x[i]; w[i] = 2; w[36] = 0;", MemoryClaimError, "its workspace: 0 bytes before it, 4 behind"),
        ("y[i] = x[i] + 0 * x[i + 1];", KernelMismatchError, "depend on memory nobody wrote"),
        ("y[i] = x[i] + 0 * w[i];", KernelMismatchError, "depend on memory nobody wrote"),
        ("static int n; y[i] = x[i] + n++;", KernelMismatchError, "another result every time"),
    ],
)
def test_lies_of_a_users_cpu_kernel_are_found(cxx, body, kind, words):
    kernel = sc.cpu_kernel(
        "liar",
        CPU_CODE % body,
        launch=lambda node: sc.launch(node.out.type.size, grain=1000, workspace=36 * 4, n=1),
    )
    with pytest.raises(kind) as error:
        run(op(lambda x: x.copy(), kernel), SQUARE, "cpu")
    text = str(error.value)
    assert words in text and "kernel liar (test_debug_mode.py:" in text, text


def test_a_wrong_claim_of_a_gpu_kernel_to_work_in_place_is_found(cxx):
    body = "y[i] = x[35 - i];"
    honest, lie = (op(lambda x: x[::-1, ::-1].copy(), emulated(body, p)) for p in ((), ((0, 0),)))
    assert np.array_equal(run(honest, SQUARE, "emulated"), SQUARE[::-1, ::-1])
    with pytest.raises(MemoryClaimError, match="claims that output 0 may be computed over input 0"):
        run(lie, SQUARE, "emulated")


@pytest.mark.parametrize(("offset", "words"), [(4, "bytes 4 to 148 of 144"), (-8, "bytes -8 to 136")])
def test_a_view_that_is_none_is_found(offset, words):
    lie = op(lambda x: x, name="peep", view=lambda self, node: View(offset))
    x = sc.tensor("float32", (6, 6), name="x")
    with pytest.raises(MemoryClaimError, match=f"(?s)peep from test_debug_mode.py.*{words}"):
        sc.debug.check_view(lie(x).owner, [SQUARE], SQUARE)
    if offset > 0:
        shorter = op(
            lambda x: x[:-1], name="peep", view=lambda self, node: View(offset),
            infer=lambda self, x: TensorType(x.dtype, (x.type.dims[0] - 1,)),
        )  # fmt: skip
        with pytest.raises(
            MemoryClaimError, match="peep from test_debug_mode.py.* other values stand there: 35 of 35"
        ):
            run(shorter, SQUARE.reshape(-1), "cpu")


def test_a_reference_whose_type_is_not_that_of_infer_is_found():
    for device in ("reference", "cpu"):
        with pytest.raises(KernelMismatchError, match=r"reference gives float64\[6, 6\].*float32\[6, 6\]"):
            run(op(lambda x: x.astype("float64")), SQUARE, device)


def test_a_rule_that_changes_the_result_is_named(monkeypatch):
    wrong = Rule("half_of_sum", lambda x, y: x * 2 + y, lambda x, y: x + y)
    name, rules = pipeline.passes()[0]
    planted = ((name, type(rules)([*rules.rules, wrong])), *pipeline.passes()[1:])
    monkeypatch.setattr(pipeline, "passes", lambda: planted)
    x, w = sc.matrix("x"), sc.shared(np.ones((6, 6), "float32"), name="w")
    for device in ("cpu", "reference"):
        f = sc.function([x], sc.exp(-x) * 2 + w, updates=[(w, w + 1)], device=device, mode="debug")
        with pytest.raises(
            RewriteMismatchError, match="the rule half_of_sum of the pass canonicalize"
        ) as error:
            f(SQUARE / 36)
        assert "test_debug_mode.py:" in str(error.value)
        assert np.array_equal(w.get_value(), np.ones((6, 6), "float32"))


def training(mode, device):
    """One step of a small net with dropout, a random stream, and updates in place."""
    rng = np.random.default_rng(3)
    data = sc.shared(rng.standard_normal((40, 1, 8, 8)).astype("float32"), name="data")
    w = sc.shared(rng.standard_normal((3, 1, 3, 3)).astype("float32"), name="w")
    v = sc.shared(rng.standard_normal((27, 4)).astype("float32"), name="v")
    i = sc.iscalar("i")
    x = data[i * 10 : (i + 1) * 10]
    h = sc.relu(sc.max_pool2d(sc.conv2d(x, w), 2))
    h = sc.dropout(h.reshape((10, 27)), 0.5, rng=sc.RandomStream(5))
    cost = -sc.log_softmax(sc.dot(h, v))[:, 1].mean()
    updates = [(p, p - 0.1 * g) for p, g in zip((w, v), sc.grad(cost, [w, v]))]
    return sc.function([i], cost, updates=updates, device=device, mode=mode), (w, v)


@pytest.mark.parametrize("device", ["reference", "cpu", "emulated"])
def test_checked_training_is_that_of_the_plain_function(device, cxx):
    plain, weights = training("normal", device)
    checked, others = training("debug", device)
    index = np.arange(4, dtype="int32")
    assert np.array_equal(plain.map(index), checked.map(index))
    assert np.array_equal(plain.loop(2, 1), checked.loop(2, 1))
    assert plain(0) == checked(0)
    for a, b in zip(weights, others):
        assert np.array_equal(a.get_value(), b.get_value())


def test_a_call_that_fails_leaves_the_states_as_they_were():
    w = sc.shared(np.arange(3, dtype="float32"), name="w")
    lie = op(lambda x: np.where(x > 2, 2 * x, x), on_cpu(lambda n: strided([3], [1], [1])))
    f = sc.function([], w.sum(), updates=[(w, lie(w + 0.5))], device="cpu", mode="debug")
    with pytest.raises(KernelMismatchError, match="in iteration 0 of 3"):
        f.loop(3)
    assert w.get_value().tolist() == [0, 1, 2]
    w.set_value(np.zeros(3, "float32"))
    with pytest.raises(KernelMismatchError, match="in iteration 4 of 9"):
        f.loop(9)
    assert w.get_value().tolist() == [0, 0, 0]
    assert f.loop(4).tolist() == [0, 1.5, 3, 4.5] and w.get_value().tolist() == [2, 2, 2]


def test_a_plan_whose_values_overlap_is_refused():
    x = sc.matrix("x")
    y = sc.function([x], sc.dot(sc.exp(sc.dot(x, x)), sc.tanh(sc.dot(x, x.T))), device="cpu")
    plan = y.prepare(SQUARE).plan
    assert check_plan(plan) >= set(plan.outputs)
    arena = [i for i, b in enumerate(plan.buffers) if b.kind == "arena"]
    assert len(arena) > 1
    overlapping = replace(
        plan, buffers=tuple(replace(b, offset=0) if b.kind == "arena" else b for b in plan.buffers)
    )
    with pytest.raises(MemoryClaimError, match=r"step \d|does not claim"):
        check_plan(overlapping)
    backwards = replace(plan, steps=plan.steps[::-1])
    with pytest.raises(MemoryClaimError, match="nobody has written"):
        check_plan(backwards)


def test_modes_are_chosen_by_name_object_and_setting():
    x = sc.vector("x")
    assert sc.function([x], x).mode is None
    assert sc.function([x], x, mode="debug").mode == sc.DebugMode()
    assert sc.function([x], x, mode=sc.NanGuardMode(big=10)).mode.big == 10
    with sc.config(mode="nan_guard"):
        assert sc.function([x], x).mode == sc.NanGuardMode()
        assert sc.function([x], x, mode="normal").mode is None
    with pytest.raises(ArgumentError, match="did you mean 'nan_guard'"):
        sc.function([x], x, mode="nanguard")
    with pytest.raises(ArgumentError, match="not a mode"):
        sc.function([x], x, mode=3)
    with pytest.raises(ArgumentError, match="big"):
        sc.NanGuardMode(big=-1)
    assert issubclass(MemoryClaimError, DebugModeError) and issubclass(DebugModeError, AssertionError)


def test_parts_of_the_debug_mode_can_be_left_out():
    lie = op(lambda x: 2 * x, on_cpu(lambda n: strided([36], [1], [1])))
    x = sc.tensor("float32", (6, 6), name="x")
    mode = sc.DebugMode(nodes=False, rewrites=False)
    assert np.array_equal(sc.function([x], lie(x), device="cpu", mode=mode)(SQUARE), SQUARE)
    with pytest.raises(
        MemoryClaimError, match="output 0, from .* of the whole plan is not that of its graph"
    ):
        sc.function([x], lie(x), device="cpu", mode=sc.DebugMode(nodes=False))(SQUARE)


def test_explain_says_that_calls_are_checked():
    x = sc.vector("x")
    f = sc.function([x], x + 1, mode="debug", device="cpu")
    f(np.ones(2, "float32"))
    assert "mode debug" in f.explain() and "elementwise" in f.explain()


def every_twelfth_case():
    modules = [import_module(f"cases.{m.name}") for m in iter_modules(cases.__path__)]
    return [c for m in modules for c in m.CASES][::12]


def test_no_case_of_the_tables_raises_a_false_alarm():
    for case in every_twelfth_case():
        inputs = case.variables()
        f = sc.function(
            inputs, outputs_of(case.build(*inputs)), device="cpu", mode="debug", on_unused_input="ignore"
        )
        f(*case.draw())
