"""function(): arguments, updates, givens, plans, loops, and every way to call it wrongly."""

import gc
import re
import weakref

import numpy as np
import pytest

import symconv as sc
from symconv.errors import (
    CompileError,
    DeviceError,
    DTypeError,
    ExecutionError,
    GraphError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)
from symconv.graph import Op
from symconv.ops.shape import shape_of

DEVICES = ["reference", "cpu"]


@pytest.fixture(params=DEVICES)
def device(request):
    with sc.config(device=request.param):
        yield request.param


def test_outputs_as_single_list_dict_and_none(device):
    x = sc.vector("x")
    value = np.array([1, 2], "float32")
    assert sc.function([x], x * 2)(value).tolist() == [2, 4]
    assert [v.tolist() for v in sc.function([x], [x, x + 1])(value)] == [[1, 2], [2, 3]]
    assert sc.function([x], {"a": x.sum()})(value)["a"] == 3
    assert sc.function([x], None, on_unused_input="ignore")(value) == []


def test_an_output_never_aliases_inputs_or_states(device):
    x, s = sc.vector("x"), sc.shared(np.ones(2, "float32"))
    value = np.zeros(2, "float32")
    a, b, c = sc.function([x], [x, s, x])(value)
    a += 5
    b += 5
    assert value.tolist() == [0, 0] and s.get_value().tolist() == [1, 1] and c.tolist() == [0, 0]


def test_outputs_see_values_before_the_updates(device):
    s = sc.shared(np.float32(1))
    step = sc.function([], [s, s * 10], updates=[(s, s + 1)])
    assert [float(v) for v in step()] == [1, 10]
    assert [float(v) for v in step()] == [2, 20]


def test_updates_happen_together(device):
    a, b = sc.shared(np.float32(1)), sc.shared(np.float32(2))
    swap = sc.function([], [], updates=[(a, b), (b, a)])
    swap()
    assert (a.get_value(), b.get_value()) == (2, 1)
    rotate = sc.function([], [], updates={a: a + b, b: a})
    rotate()
    assert (a.get_value(), b.get_value()) == (3, 2)


def test_chain_of_updates_that_read_each_other(device):
    v = [sc.shared(np.full(3, float(i), "float32")) for i in range(5)]
    step = sc.function([], [], updates=[(v[i], v[(i + 1) % 5] + v[i]) for i in range(5)])
    step()
    assert [s.get_value()[0] for s in v] == [1, 3, 5, 7, 4]


def test_update_from_a_view_of_the_state(device):
    s = sc.shared(np.arange(4, dtype="float32"))
    flip = sc.function([], s.sum(), updates=[(s, s.reshape((2, 2)).T.reshape((4,)))])
    assert flip() == 6
    assert s.get_value().tolist() == [0, 2, 1, 3]


def test_givens_replace_inputs(device):
    data = sc.shared(np.arange(12, dtype="float32").reshape(6, 2))
    x, i = sc.matrix("x"), sc.lscalar("i")
    f = sc.function([i], x.sum(axis=0), givens={x: data[i * 2 : (i + 1) * 2]})
    assert f(1).tolist() == [10, 12]
    assert f(2).tolist() == [18, 20]


def test_last_partial_minibatch(device):
    data = sc.shared(np.arange(5, dtype="float32"))
    x, i = sc.vector("x"), sc.lscalar("i")
    f = sc.function([i], x.sum(), givens={x: data[i * 2 : (i + 1) * 2]})
    assert f.map(np.arange(3)).tolist() == [1, 5, 4]
    assert len(f._plans) == 2


def test_map_stacks_and_updates_in_order(device):
    s = sc.shared(np.float32(0))
    x = sc.scalar("x")
    f = sc.function([x], s * 1, updates=[(s, s + x)])
    assert f.map(np.array([1, 2, 3, 4], "float32")).tolist() == [0, 1, 3, 6]
    assert s.get_value() == 10
    assert f.map(np.zeros(0, "float32")).shape == (0,)


def test_loop_repeats_with_the_same_arguments(device):
    s = sc.shared(np.ones(2, "float32"))
    f = sc.function([], s.sum(), updates=[(s, s * 2)])
    assert f.loop(4).tolist() == [2, 4, 8, 16]
    assert f.loop(0).shape == (0,)
    with pytest.raises(ShapeError, match="negative"):
        f.loop(-1)


def test_map_reports_progress():
    x = sc.scalar("x")
    seen = []
    f = sc.function([x], x + 1, device="reference")
    f.map(np.arange(3, dtype="float32"), progress=seen.append)
    assert seen[-1] == 3


def test_one_plan_per_shape(device):
    x = sc.matrix("x")
    f = sc.function([x], x.sum(axis=1))
    for n in (1, 3, 3, 1):
        assert f(np.ones((n, 2))).tolist() == [2] * n
    assert len(f._plans) == 2


def test_shapes_that_depend_on_values(device):
    n = sc.lscalar("n")
    f = sc.function([n], sc.arange(n).sum())
    assert [int(f(k)) for k in (0, 1, 5, 5)] == [0, 0, 10, 10]


def test_shared_variable_of_open_size(device):
    data = sc.shared(np.ones((2, 3), "float32"), shape=(None, 3))
    f = sc.function([], data.sum(axis=0))
    assert f().tolist() == [2, 2, 2]
    data.set_value(np.ones((5, 3), "float32"))
    assert f().tolist() == [5, 5, 5]
    with pytest.raises(ShapeError, match=r"\[2, 4\]"):
        data.set_value(np.ones((2, 4)))
    assert data.get_value().shape == (5, 3)


def test_default_updates_and_opting_out(device):
    counter = sc.shared(np.int64(0))
    counter.default_update = counter + 1
    f = sc.function([], counter * 1)
    g = sc.function([], counter * 1, no_default_updates=True)
    assert [int(f()), int(f()), int(g()), int(g())] == [0, 1, 2, 2]


def test_eval_caches_one_function_per_variable():
    x = sc.scalar("x")
    y = x * 3
    assert y.eval({x: 2.0}) == 6
    assert y.eval({x: 3.0}) == 9


def test_eval_keeps_a_bounded_number_of_functions():
    value = sc.shared(1.0) * 2
    gone = weakref.ref(value)
    value.eval()
    del value
    for _ in range(130):
        assert sc.shared(1.0).eval() == 1
    gc.collect()
    assert gone() is None


def test_default_values_and_keywords():
    x, y = sc.scalar("x"), sc.scalar("y")
    f = sc.function([x, sc.In(y, value=2.0, name="scale")], x * y)
    assert f(3.0) == 6
    assert f(3.0, scale=4.0) == 12
    assert f(x=1.0) == 2
    with pytest.raises(GraphError, match="unknown arguments z"):
        f(1.0, z=2)
    with pytest.raises(GraphError, match="no value for the argument"):
        f()
    with pytest.raises(GraphError, match="2 arguments expected, got 3"):
        f(1, 2, 3)


def test_argument_conversion():
    x, i = sc.vector("x"), sc.ivector("i")
    f = sc.function([x, i], x * i)
    assert f([1.0, 2.0], [3, 4]).tolist() == [3, 8]
    assert f(np.ones(2), np.array([3, 4], "int64")).tolist() == [3, 4]
    with pytest.raises(DTypeError, match="int32"):
        f(np.ones(2), np.ones(2))
    with pytest.raises(DTypeError):
        f(np.ones(1), np.array([2**40]))
    with pytest.raises(ShapeError, match=r"expected float32\[\?\], got float32\[1, 2\]"):
        f(np.ones((1, 2), "float32"), [1])
    with pytest.raises(ShapeError):
        f([[1.0], [1.0, 2.0]], [1])


def test_strict_casting_on_request():
    x = sc.vector("x")
    strict = sc.function([x], x, allow_input_downcast=False)
    with pytest.raises(DTypeError, match="float64"):
        strict(np.ones(2))
    assert strict([1.0]).tolist() == [1]
    loose = sc.function([i := sc.ivector()], i, allow_input_downcast=True)
    assert loose(np.array([2.7])).tolist() == [2]


def test_non_contiguous_arguments(device):
    x = sc.matrix("x")
    f = sc.function([x], x + 0.0)
    a = np.arange(12, dtype="float32").reshape(3, 4)
    np.testing.assert_array_equal(f(a.T), a.T)
    np.testing.assert_array_equal(f(a[::-1, ::2]), a[::-1, ::2])


def test_check_data_finds_nan():
    x = sc.matrix("x")
    f = sc.function([x], x.sum())
    bad = np.ones((2, 2), "float32")
    bad[1, 0] = np.nan
    assert np.isnan(f(bad))
    with sc.config(check_data=True), pytest.raises(NonFiniteError, match=r"nan at index \[1, 0\]"):
        f(bad)


def test_shapes_that_conflict_at_call_time(device):
    x, y = sc.vector("x"), sc.vector("y")
    f = sc.function([x, y], x + y)
    with pytest.raises(ShapeError, match="test_function.py"):
        f(np.ones(2), np.ones(3))
    assert f(np.ones(2), np.ones(2)).tolist() == [2, 2]


def test_index_out_of_range_names_the_line(device):
    data, i = sc.shared(np.arange(3, dtype="float32")), sc.lscalar("i")
    f = sc.function([i], data[i])
    assert f(2) == 2
    with pytest.raises(ExecutionError, match="test_function.py"):
        f(3)
    assert f(-1) == 2


@pytest.mark.parametrize("target", ["cpu", "emulated"])
def test_a_failure_at_run_time_names_step_kernel_operands_and_line(core, target):
    x, labels = sc.matrix("x"), sc.ivector("labels")
    f = sc.function([x, labels], sc.cross_entropy_with_logits(x + 1, labels), device=target)
    arguments = np.zeros((2, 3), "float32"), np.array([0, 7], "int32")
    for call in (lambda: f(*arguments), lambda: f.loop(2, *arguments)):
        with pytest.raises(ExecutionError) as error:
            call()
        text = str(error.value)
        assert re.search(r"\n  step \d of \d, (kernel \w+|the NumPy reference): .*int32\[2\] labels", text), (
            text
        )
        assert "test_function.py:" in text and text.endswith("\n  see docs/errors.md#executionerror")


def test_a_constant_that_cannot_be_computed_names_the_line():
    class Picky(Op):
        name = "picky"

        def infer(self, x):
            return x.type

        def reference(self, x):
            raise {0: IndexError, 1: ZeroDivisionError}[int(x)]("no")

    for value, kind in enumerate((IndexRangeError, CompileError)):
        y = Picky()(sc.constant(value))
        with pytest.raises(kind, match=r"(?s)picky from test_function.py:\d+: no.*computed at once"):
            sc.function([], y)()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x, s: sc.function([x], x * sc.vector("other")), "neither an input nor in givens"),
        (lambda x, s: sc.function([x, sc.vector("spare")], x), "not used"),
        (lambda x, s: sc.function([x, x], x), "given twice"),
        (lambda x, s: sc.function([x * 2], x), "is no input"),
        (lambda x, s: sc.function([s], s), "already has a value"),
        (lambda x, s: sc.function([x], x, updates=[(x, x)]), "updates change shared variables"),
        (lambda x, s: sc.function([], updates=[(s, s + 1), (s, s + 2)]), "updated twice"),
        (lambda x, s: sc.function([x], x, givens={x: s}), "also an input"),
        (lambda x, s: sc.function([x], x, on_unused_input="maybe"), "on_unused_input"),
    ],
)
def test_wrong_construction(build, message):
    with pytest.raises(GraphError, match=message):
        build(sc.vector("x"), sc.shared(np.ones(2, "float32"), "s"))


def test_update_of_another_type():
    s = sc.shared(np.ones(2, "float32"), "s")
    with pytest.raises(DTypeError, match="float64"):
        sc.function([], updates=[(s, s * np.ones(2))])
    with pytest.raises(ShapeError, match="update of s"):
        sc.function([], updates=[(s, sc.stack([s, s]))])
    with pytest.raises(DTypeError, match="cast"):
        sc.function([], s, givens={s: sc.dvector()})


def test_unused_input_warns_or_not():
    x, y = sc.scalar("x"), sc.scalar("y")
    with pytest.warns(UserWarning, match="not used"):
        sc.function([x, y], x, on_unused_input="warn")
    assert sc.function([x, y], x, on_unused_input="ignore")(1.0, 2.0) == 1


def test_unknown_device():
    x = sc.scalar("x")
    with pytest.raises(DeviceError, match="abacus"):
        sc.function([x], x, device="abacus")


def test_failed_call_leaves_states_alone(device):
    s = sc.shared(np.zeros(2, "float32"))
    i = sc.lscalar("i")
    data = sc.shared(np.arange(3, dtype="float32"))
    f = sc.function([i], [], updates=[(s, s + data[i])])
    with pytest.raises(ExecutionError):
        f(7)
    assert s.get_value().tolist() == [0, 0]


def test_explain_names_kernels_and_fallbacks():
    x = sc.matrix("x")
    f = sc.function([x], sc.tanh(x + 1.0), device="cpu")
    assert "no plan has been made" in f.explain()
    f(np.ones((2, 2)))
    assert "test_function.py" in f.explain() and "arena" in f.explain()


def test_functions_can_be_called_from_threads():
    from concurrent.futures import ThreadPoolExecutor

    x = sc.matrix("x")
    f = sc.function([x], sc.exp(x).sum(axis=1) + x.sum())
    inputs = [np.full((5, 4), float(i % 3), "float32") for i in range(64)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(f, inputs))
    for i, r in enumerate(results):
        np.testing.assert_allclose(r, np.full(5, 4 * np.exp(i % 3) + 20 * (i % 3)), rtol=1e-5)


def test_shared_variable_of_open_shape_between_calls(core):
    s = sc.shared(np.ones((2, 3), "float32"), shape=(None, None))
    t = sc.shared(np.ones((4, 2), "float32"), shape=(None, None))
    x = sc.scalar("x")
    f = sc.function([x], [s.sum() * x, shape_of(t, 0)], updates=[(s, s + 1)])
    for rows, want in ((2, 6), (2, 12), (5, 15), (5, 30), (2, 6)):  # the second calls of a shape are direct
        if s.get_value().shape[0] != rows:
            s.set_value(np.ones((rows, 3), "float32"))
            t.set_value(np.ones((rows + 1, 2), "float32"))
        total, n = f(1.0)
        assert total == want and n == t.get_value().shape[0]
    t.set_value(np.ones((9, 2), "float32"))  # only its shape matters
    assert f(1.0)[1] == 9
