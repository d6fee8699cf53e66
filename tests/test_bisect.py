"""Function.bisect names the planted fault: a simplification, a rule, a pass, a kernel, the plan."""

from __future__ import annotations

import math

import numpy as np
import pytest

import symconv as sc
from symconv.errors import CompileError
from symconv.graph import Constant
from symconv.ops.arithmetic import Add, Mul
from symconv.rewrite import pipeline
from symconv.rewrite.driver import RuleSet
from symconv.rewrite.pattern import LocalRule, Rule

RNG = np.random.default_rng(11)
IMAGES = RNG.standard_normal((6, 1, 9, 9)).astype("float32")
LABELS = np.arange(6, dtype="int32") % 3


@pytest.fixture
def step():
    """A training step of a small convolutional net: every pass of the pipeline has something to do."""
    w = sc.shared(RNG.standard_normal((2, 1, 2, 2)).astype("float32"), name="w")
    b = sc.shared(np.full(2, 0.1, "float32"), name="b")
    v = sc.shared(RNG.standard_normal((32, 3)).astype("float32"), name="v")
    c = sc.shared(np.zeros(3, "float32"), name="c")
    x, labels = sc.tensor4("x"), sc.ivector("labels")
    h = sc.max_pool2d(sc.relu(sc.conv2d(x, w) + b.reshape((1, 2, 1, 1))), 2).reshape((-1, 32))
    p = sc.softmax(sc.dot(h, v) + c)
    cost = -sc.log(p[sc.arange(6), labels]).mean() + 0.5 * 0.1 * (w**2).sum()
    updates = [(s, s - 0.1 * g) for s, g in zip((w, b, v, c), sc.grad(cost, [w, b, v, c]))]

    def build(**options):
        return sc.function([x, labels], cost, updates=updates, **options)

    return build


def plant(monkeypatch, rule, where="canonicalize"):
    """The pipeline with one more rule, last among all rules of a pass."""

    def planted(name, run):
        if name != where:
            return run
        if isinstance(run, RuleSet):
            return RuleSet([*run.rules, rule])
        return lambda graph, trace: RuleSet([rule])(run(graph, trace), trace)

    made = tuple((name, planted(name, run)) for name, run in pipeline.passes())
    monkeypatch.setattr(pipeline, "passes", lambda: made)


def test_nothing_is_found_where_nothing_is_wrong(step, core):
    for device in ("reference", "cpu"):
        f = step(device=device)
        before = [s.get_value() for s, _ in f.updates]
        assert f.bisect(IMAGES, LABELS) is None
        assert all(np.array_equal(a, s.get_value()) for a, (s, _) in zip(before, f.updates))


def _double(node):
    """0.1 x -> 0.101 x, once."""
    c, x = node.inputs
    small = isinstance(c, Constant) and c.data.size == 1 and abs(float(c.data.flat[0]) - 0.1) < 1e-6
    return x * (float(c.data.flat[0]) * 1.01) if small else None


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_wrong_rule_among_all_rules_is_found_in_few_evaluations(step, monkeypatch, device, core):
    plant(monkeypatch, LocalRule("a_hundredth_more", Mul, _double))
    found = step(device=device).bisect(IMAGES, LABELS)
    assert found is not None and found.stage == "rewrite" and found.rewrite is not None
    rewrite = found.rewrite
    assert rewrite.pass_name == "canonicalize" and rewrite.applied.rule == "a_hundredth_more"
    assert "a_hundredth_more" in str(found) and "test_bisect.py:" in rewrite.applied.origin
    assert rewrite.applications > 15
    assert rewrite.evaluations <= 4 + math.ceil(math.log2(len(pipeline.passes()))) + math.ceil(
        math.log2(rewrite.applications)
    )
    assert sc.debug.bisect(step(device=device), IMAGES, LABELS).rewrite.applied == rewrite.applied


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        ("canonicalize", Rule("log_of_product", lambda x, y: sc.log(x) + y, lambda x, y: sc.log(x) - y)),
        ("move_past_pool", LocalRule("lost_sum", Add, lambda node: node.inputs[0] * 1)),
    ],
)
def test_a_wrong_rule_of_any_pass_is_found(step, monkeypatch, where, rule):
    if where == "canonicalize":
        x = sc.tensor4("x")
        f = sc.function([x], sc.log(abs(x.sum()) + 3) + x.mean(), device="reference")
        plant(monkeypatch, rule, where)
        found = f.bisect(IMAGES)
    else:
        plant(monkeypatch, rule, where)
        found = step(device="reference").bisect(IMAGES, LABELS)
    assert found.rewrite.pass_name == where and found.rewrite.applied.rule == rule.name


@pytest.mark.parametrize(
    "name", [n for n, _ in pipeline.passes() if n not in ("share_relu_after_pool", "share_relu")]
)
def test_a_wrong_pass_is_named(step, monkeypatch, name):
    """A pass that asks for no permission, and spoils the first output."""

    def spoil(graph, trace):
        return graph.with_roots([graph.roots[0] * 2, *graph.roots[1:]])

    made = tuple((n, spoil if n == name else run) for n, run in pipeline.passes())
    monkeypatch.setattr(pipeline, "passes", lambda: made)
    found = step(device="reference").bisect(IMAGES, LABELS)
    assert found.rewrite.pass_name == name and found.rewrite.applied is None
    assert f"the pass {name} changes the result" in str(found)


def test_a_pass_that_fails_is_named_with_the_application(step, monkeypatch):
    def fail(node):
        raise ZeroDivisionError("planted")

    plant(monkeypatch, LocalRule("failing", Mul, fail))
    f = step(device="reference")
    with pytest.raises((ZeroDivisionError, CompileError), match="planted"):
        f(IMAGES, LABELS)
    found = f.bisect(IMAGES, LABELS)
    assert found.rewrite.pass_name == "canonicalize" and "planted" in str(found)


def test_a_wrong_simplification_is_named(monkeypatch):
    monkeypatch.setattr(Add, "simplify", lambda self, x, y: [x])
    x = sc.matrix("x")
    f = sc.function([x], sc.exp(x) + 1, device="reference")
    found = f.bisect(np.ones((2, 3), "float32"))
    assert found.stage == "shapes" and "add from test_bisect.py:" in str(found)


def test_a_wrong_kernel_is_named(core):
    code = """
    struct P { ll n; };
    void f(const P& p, const Args& args, ll begin, ll end) {
      const float* x = args.get<const float>(0);
      for (ll i = begin; i < end; i++) args.get<float>(1)[i] = i == 5 ? 0 : x[i] > 0 ? x[i] : 0;
    }
    CPU_KERNEL(nearly_relu, P, f)
    """
    kernel = sc.cpu_kernel("nearly_relu", code, launch=lambda n: sc.launch(n.out.type.size, n=1))
    x = sc.matrix("x")
    f = sc.function([x], sc.relu(x).sum(), device="cpu")
    with sc.use_kernel("relu", kernel):
        found = f.bisect(np.ones((4, 4), "float32"))
    assert found.stage == "kernel" and "nearly_relu" in str(found) and "test_bisect.py:" in str(found)


def test_the_caller_may_say_what_is_wrong(monkeypatch):
    x = sc.matrix("x")
    f = sc.function([x], [sc.log(x), sc.exp(x).sum()], device="reference")
    ones = np.ones((2, 3), "float32")
    assert f.bisect(ones, wrong=lambda results: np.isnan(results[0]).any()) is None
    found = f.bisect(-ones, wrong=lambda results: np.isnan(results[0]).any())
    assert found.stage == "as written"
    plant(monkeypatch, Rule("root_of_one", lambda x: sc.log(x), lambda x: sc.log(x - 2)))
    found = f.bisect(ones, wrong=lambda results: np.isnan(results[0]).any())
    assert found.rewrite.applied.rule == "root_of_one"


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_a_wrong_rule_is_found_inside_a_loop(monkeypatch, device, core):
    plant(monkeypatch, Rule("tanh_is_identity", lambda x: sc.tanh(x), lambda x: x))
    x = sc.matrix("x")
    w = sc.shared(np.eye(4, dtype="float32") / 2, name="w")
    h, _ = sc.scan(
        lambda row, h: sc.tanh(sc.dot(h, w) + row), sequences=x, outputs_info=sc.zeros((4,), "float32")
    )
    f = sc.function([x], sc.grad(h[-1].sum(), w), device=device)
    found = f.bisect(np.ones((5, 4), "float32"))
    assert "tanh_is_identity" in found.rewrite.applied.rule and found.rewrite.evaluations < 12
    assert "test_bisect.py:" in found.rewrite.applied.origin
