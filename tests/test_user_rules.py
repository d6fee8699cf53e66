"""Rewrite rules of the user's: what they match, where they are left alone, and who knows of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from user_kernels import TANH, float32_only

import symconv as sc
from symconv.errors import ArgumentError, CompileError, RewriteMismatchError, ShapeError
from symconv.rewrite.driver import Refused, applications
from symconv.rewrite.registered import registered_rules
from symconv.testing import OpCase, Spec, check_rule

CODE = """
struct P { ll n; };
void f(const P& p, const Args& args, ll begin, ll end) {
  for (ll i = begin; i < end; i++) {
    float a = args.get<const float>(0)[i], b = args.get<const float>(1)[i];
    args.get<float>(2)[i] = a / (1.0f + expf(-b));
  }
}
CPU_KERNEL(gated, P, f)
"""


@dataclass(frozen=True)
class Gated(sc.Op):
    """a * sigmoid(b), float32 on the CPU alone."""

    name = "gated"
    operands = ("a", "b")
    kernels = [
        sc.cpu_kernel(
            "gated",
            CODE,
            supports=float32_only,
            launch=lambda n: sc.launch(n.out.type.size, n=n.out.type.size),
        )
    ]

    def infer(self, a, b):
        return a.type

    def grad(self, node, dy):
        a, b = node.inputs
        s = sc.sigmoid(b)
        return [dy * s, dy * a * s * (1 - s)]

    def reference(self, a, b):
        return a / (1 + np.exp(-b))


def gated(a, b):
    return Gated()(a, b)


def written(a, b):
    return a * sc.sigmoid(b)


RULE = sc.Rule("gated", written, gated)
A, B = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32")


def plan_of(outputs, inputs, arrays, device="cpu", rules=(RULE,), **options):
    """(ops that run, trace of the user's rules, results)."""
    with sc.use_rule(*rules):
        f = sc.function(inputs, outputs, device=device, **options)
        results = f(*arrays)
    (executable,) = f.executables
    trace = [a for s in executable.stages if s.name == "users" for a in s.trace]
    return [n.op.name for n in executable.graph.nodes()], trace, results, f


def pair():
    return sc.matrix("a"), sc.matrix("b")


# ---- what matches


@pytest.mark.parametrize(
    "build",
    [
        written,
        lambda a, b: sc.sigmoid(b) * a,
        lambda a, b: (a + 0) * sc.sigmoid(sc.neg(sc.neg(b))),
        lambda a, b: a * sc.sigmoid(b.reshape((3, 4))),
    ],
    ids=["as written", "exchanged", "with neutral ones", "through a reshape"],
)
def test_it_matches_whatever_is_the_same_in_canonical_form(build, core, cxx):
    a, b = pair()
    ops, trace, y, f = plan_of(build(a, b), [a, b], [A, B])
    assert ops == ["gated"] and [t.rule for t in applications(trace)] == ["gated"]
    np.testing.assert_allclose(y, A / (1 + np.exp(-B)), rtol=1e-6)
    assert "test_user_rules.py:" in trace[0].origin and "users: gated" in f.explain(rewrites=True)


@pytest.mark.parametrize(
    "build",
    [lambda a, b: a * sc.tanh(b), lambda a, b: a + sc.sigmoid(b), lambda a, b: a * sc.sigmoid(b)[0]],
    ids=["another op inside", "another op outside", "another shape"],
)
def test_it_matches_nothing_else(build, core):
    a, b = pair()
    ops, trace, *_ = plan_of(build(a, b), [a, b], [A, B])
    assert "gated" not in ops and not applications(trace)


def test_numbers_and_attributes_must_agree():
    rule = sc.Rule("scaled", lambda x: sc.sum(2 * x, axis=1), lambda x: sc.sum(x, axis=1) * 2)
    x = sc.matrix("x")
    for expression, found in [
        (sc.sum(2 * x, axis=1), 1), (sc.sum(x * 2.0, axis=-1), 1), (sc.sum(3 * x, axis=1), 0),
        (sc.sum(2 * x, axis=0), 0),
    ]:  # fmt: skip
        _, trace, *_ = plan_of(expression, [x], [A], "reference", (rule,))
        assert len(applications(trace)) == found


def test_a_parameter_that_stands_twice_is_one_value(core):
    rule = sc.Rule("square_of_tanh", lambda x: sc.tanh(x) * sc.tanh(x), lambda x: sc.tanh(x) ** 2)
    a, b = pair()
    for expression, found in [(sc.tanh(a) * sc.tanh(a), 1), (sc.tanh(a) * sc.tanh(b), 0)]:
        _, trace, *_ = plan_of(expression, [a, b], [A, B], rules=(rule,), on_unused_input="ignore")
        assert len(applications(trace)) == found


def test_the_largest_match_wins_and_matches_may_lie_side_by_side(core, cxx):
    inner = sc.Rule("inner", lambda b: sc.sigmoid(b), lambda b: 0.5 * (1 + sc.tanh(0.5 * b)))
    a, b = pair()
    outputs = [written(a, b) + written(b, a), sc.sigmoid(a + b)]
    ops, trace, y, _ = plan_of(outputs, [a, b], [A, B], rules=(inner, RULE))
    assert [t.rule for t in applications(trace)].count("gated") == 2 and ops.count("gated") == 2
    assert "inner" in [t.rule for t in applications(trace)]
    np.testing.assert_allclose(y[0], A / (1 + np.exp(-B)) + B / (1 + np.exp(-A)), rtol=1e-5)


def test_types_of_parameters_that_are_no_matrices():
    def conv(x, w, b):
        return sc.relu(sc.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x"))

    types = {"x": sc.tensor4(), "w": sc.TensorType("float32", (None,) * 4), "b": sc.vector()}
    rule = sc.Rule("negated", conv, lambda x, w, b: sc.maximum(conv(x, w, b), 0), types=types)
    case = OpCase("conv", conv, (Spec((2, 3, 6, 5)), Spec((4, 3, 3, 2)), Spec((4,))), reduction=18)
    with pytest.raises(
        ShapeError, match=r"(?s)rule r: its pattern cannot be built on x float32\[\?, \?\].*types="
    ):
        sc.Rule("r", conv, conv)
    with pytest.raises(ArgumentError, match="types of y; the pattern has"):
        sc.Rule("r", written, gated, types={"y": sc.vector()})
    with pytest.raises(ArgumentError, match="(?s)the type of a is 4.*hint: types="):
        sc.Rule("r", written, gated, types={"a": 4})
    x, w, b = (sc.tensor("float32", s.shape) for s in case.inputs)
    stretched = sc.relu(sc.conv2d(x, w, padding=1) + b.dimshuffle("x", 0, "x", "x"))
    _, trace, *_ = plan_of(stretched, [x, w, b], case.draw(), "reference", (rule,))
    assert not applications(trace), "padding is an attribute"


# ---- where it is left alone, and why


def test_a_value_that_others_read_is_not_computed_twice(core, cxx):
    a, b = pair()
    s = sc.sigmoid(b)
    ops, (left,), *_ = plan_of([a * s, s + 1], [a, b], [A, B])
    assert "gated" not in ops and isinstance(left, Refused)
    assert "is read by add from test_user_rules.py" in left.after and "computed twice" in left.after
    ops, (left,), _, f = plan_of([a * s, s], [a, b], [A, B])
    assert "gated" not in ops and "is a result too" in left.after
    assert "gated left alone:" in f.explain(rewrites=True) and "users: nothing" in f.explain(rewrites=True)


def test_without_a_kernel_on_the_device_it_is_left_alone(core, cxx):
    a, b = pair()
    ops, (left,), *_ = plan_of(written(a, b), [a, b], [A, B], "emulated")
    assert "gated" not in ops and left.after == "gated has no cuda kernel for it"
    a, b = sc.dmatrix("a"), sc.dmatrix("b")
    ops, (left,), *_ = plan_of(written(a, b), [a, b], [A.astype("f8"), B.astype("f8")])
    assert "gated" not in ops and left.after.endswith("gated: dtype float64, float32 only")
    ops, *_ = plan_of(written(a, b), [a, b], [A.astype("f8"), B.astype("f8")], "reference")
    assert ops == ["gated"]


@pytest.mark.parametrize(("answer", "reason"), [(False, "says no"), ("only wide ones", "only wide ones")])
def test_when_decides_on_the_variables(answer, reason, core, cxx):
    rule = sc.Rule("gated", written, gated, when=lambda a, b: answer if a.type.shape[1] < 9 else True)
    a, b = pair()
    ops, (left,), *_ = plan_of(written(a, b), [a, b], [A, B], rules=(rule,))
    assert "gated" not in ops and reason in left.after
    wide = np.ones((2, 9), "float32")
    assert plan_of(written(a, b), [a, b], [wide, wide], rules=(rule,))[0] == ["gated"]


def test_nodes_kept_for_a_kernel_stay(core, cxx):
    kernel = sc.cpu_kernel("my_tanh", TANH, launch=lambda n: sc.launch(n.out.type.size, n=1))
    rule = sc.Rule("no_tanh", lambda x: sc.tanh(x), lambda x: 2 * sc.sigmoid(2 * x) - 1)
    x = sc.matrix("x")
    with sc.use_kernel("tanh", kernel):
        assert plan_of(sc.tanh(x), [x], [A], rules=(rule,))[0] == ["tanh"]
    assert "tanh" not in plan_of(sc.tanh(x), [x], [A], rules=(rule,))[0]


# ---- mistakes


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (sc.Rule("r", written, lambda a, b: 1 / 0), "replacement of rule r .test_user_rules.py:.*ZeroDiv"),
        (sc.Rule("r", written, gated, when=lambda a: True), "when of rule r .*TypeError"),
        (sc.Rule("r", written, lambda a, b: sc.cast(gated(a, b), "float64")), "puts float64.* for float32"),
        (sc.Rule("r", lambda x: sc.tanh(x), lambda x: sc.tanh(x + 1)), "(?s)rules do not come to an end.*r"),
        (sc.Rule("r", written, lambda a, b: written(a, b) * 1.5), "contains what it replaces, mul"),
        (sc.LocalRule("r", type(sc.tanh(sc.vector()).owner.op), lambda node: 1 // 0), "function of rule r"),
    ],
)  # fmt: skip
def test_mistakes_name_the_rule_and_its_line(rule, message):
    a, b = pair()
    with pytest.raises(CompileError, match=message):
        plan_of([written(a, b), sc.tanh(a)], [a, b], [A, B], "reference", (rule,))


def test_a_rule_that_names_a_parameter_it_never_uses_matches_nothing():
    a, b = pair()
    rule = sc.Rule("unused", lambda a, b, c: a * sc.sigmoid(b), lambda a, b, c: a)
    assert not applications(plan_of(written(a, b), [a, b], [A, B], "reference", (rule,))[1])


def test_a_local_rule_sees_the_node():
    tanh = type(sc.tanh(sc.vector()).owner.op)

    def rewrite(node):
        (x,) = node.inputs
        return 2 * sc.sigmoid(2 * x) - 1 if x.ndim == 2 else None

    rule = sc.LocalRule("tanh_by_sigmoid", tanh, rewrite)
    x, v = sc.matrix("x"), sc.vector("v")
    assert "tanh" not in plan_of(sc.tanh(x), [x], [A], "reference", (rule,))[0]
    assert plan_of(sc.tanh(v), [v], [A[0]], "reference", (rule,))[0] == ["tanh"]


# ---- registration


def test_registration_nests_follows_threads_and_makes_plans_anew(core, cxx):
    a, b = pair()
    f = sc.function([a, b], written(a, b), device="cpu")

    def ops():
        f(A, B)
        return [n.op.name for n in f.prepare(A, B).graph.nodes()]

    before = ops()
    assert "gated" not in before
    with sc.use_rule(RULE):
        assert ops() == ["gated"]
        seen = []
        thread = threading.Thread(target=lambda: seen.append(registered_rules()))
        thread.start()
        thread.join()
        assert seen == [()] and registered_rules() == (RULE,)
    assert ops() == before and len(f.executables) == 2
    sc.register_rule(RULE)
    try:
        assert ops() == ["gated"]
        with pytest.raises(
            ArgumentError, match=r"a rule 'gated' is registered already, from test_user_rules.py:"
        ):
            sc.register_rule(sc.Rule("gated", written, gated))
    finally:
        sc.unregister_rule("gated")
    assert ops() == before and registered_rules() == ()
    with pytest.raises(ArgumentError, match=r"no rule 'gated' is registered \(registered: none\)"):
        sc.unregister_rule("gated")
    with pytest.raises(ArgumentError, match="(?s)is no rule.*hint: sc.Rule"):
        sc.register_rule(written)


def test_it_works_inside_loops(core, cxx):
    x, w = sc.matrix("x"), sc.vector("w")
    rule = sc.Rule("gated_rows", written, gated, types={"a": sc.vector(), "b": sc.vector()})
    ys, _ = sc.scan(lambda row: written(row, row + w), sequences=[x])
    with sc.use_rule(rule):
        f = sc.function([x, w], ys, device="cpu")
        y = f(A, B[0])
        (step,) = [s for s in f.executables[0].plan.steps if s.loop is not None]
        assert [s.node.op.name for s in step.loop.plan.steps] == ["add", "gated"]
    np.testing.assert_allclose(y, A / (1 + np.exp(-(A + B[0]))), rtol=1e-6)


def test_in_a_training_step_it_is_taken_where_the_gradient_does_not_need_what_is_inside(core, cxx):
    """d(a sigmoid(b)) / da needs sigmoid(b); an op that is called by its name has a gradient of its own."""
    a, w = sc.matrix("a"), sc.shared(B, name="w")

    def step(build):
        cost = build(a, w).sum()
        return [cost], {"updates": [(w, w - 0.1 * sc.grad(cost, w))]}

    for build, taken in ((written, False), (gated, True)):
        outputs, options = step(build)
        w.set_value(B)
        ops, trace, (cost,), _ = plan_of(outputs, [a], [A], **options)
        assert ("gated" in ops) is taken and not applications(trace)
        np.testing.assert_allclose(cost, (A / (1 + np.exp(-B))).sum(), rtol=1e-5)
    assert any(isinstance(t, Refused) for t in plan_of(*step(written)[:1], [a], [A], **step(written)[1])[1])


# ---- trust


def test_check_rule_holds_both_sides_together(core, cxx):
    cases = [OpCase("gated", None, (Spec((3, 5)), Spec((3, 5)))), OpCase("empty", None, (Spec((0, 2)),) * 2)]
    for device in ("reference", "cpu"):
        check_rule(RULE, cases, device)
    with pytest.raises(AssertionError, match="rule wrong_gate, gated on reference: .* elements differ"):
        check_rule(sc.Rule("wrong_gate", written, lambda a, b: gated(a, b) * 1.001), cases)
    with pytest.raises(
        AssertionError, match=r"rule gated .* was not applied to gated on emulated: gated has"
    ):
        check_rule(RULE, cases[:1], "emulated")
    with pytest.raises(AssertionError, match="one has 1 inputs, the pattern takes a, b"):
        check_rule(RULE, [OpCase("one", None, (Spec((3,)),))])


def test_the_bisector_and_debug_mode_name_a_wrong_rule(core, cxx):
    wrong = sc.Rule("wrong_gate", written, lambda a, b: gated(a, b) * 1.5)
    a, b = pair()
    expression = sc.tanh(written(a, b) + sc.exp(-b))
    with sc.use_rule(wrong):
        f = sc.function([a, b], expression, device="cpu")
        found = f.bisect(A, B)
        assert found is not None and found.stage == "rewrite"
        assert found.rewrite.pass_name == "users" and found.rewrite.applied.rule == "wrong_gate"
        assert "test_user_rules.py:" in str(found)
        with pytest.raises(RewriteMismatchError, match="the rule wrong_gate of the pass users"):
            sc.function([a, b], expression, mode="debug", device="cpu")(A, B)
    with sc.use_rule(RULE):
        assert sc.function([a, b], expression, device="cpu").bisect(A, B) is None
        sc.function([a, b], expression, mode="debug", device="cpu")(A, B)
