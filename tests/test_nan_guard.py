"""Mode "nan_guard" and find_nonfinite name the node, its line and its operands; states stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

import symconv as sc
from symconv.errors import NonFiniteError
from symconv.graph import Op

DEVICES = ["reference", "cpu", "emulated"]


@pytest.fixture(params=DEVICES)
def device(request, cxx, core):
    return request.param


def raised(f, *args):
    with pytest.raises(NonFiniteError) as error:
        f(*args)
    return str(error.value)


def guarded(inputs, outputs, device, **options):
    return sc.function(inputs, outputs, device=device, mode=options.pop("mode", "nan_guard"), **options)


def test_the_first_node_is_named_with_line_and_operands(device):
    x = sc.matrix("x")
    y = sc.log(x)
    f = guarded([x], sc.exp(-(y**2)).sum(), device)
    assert f(np.ones((3, 4), "float32")) == 12
    text = raised(f, np.array([[1, 2, 3], [4, -5, 6]], "float32"))
    assert text.startswith(f"log from {y.origin} gives nan at [1, 1] of float32[2, 3] (1 nan)")
    assert f"\n  x float32[2, 3]   from {x.origin}: -5 to 6, mean 1.833" in text
    assert device == "reference" or ("noticed in" in text and "step " in text)


def test_a_value_that_vanishes_again_is_found(device):
    """exp overflows, and 1 / inf is 0: the result is finite."""
    x = sc.vector("x")
    f = guarded([x], 1 / sc.exp(x).sum(), device)
    assert "gives inf at [" in raised(f, np.array([1, 100, 1], "float32"))


def test_a_gradient_is_told_from_its_forward_line(device):
    x = sc.vector("x")
    root = sc.sqrt(x)
    f = guarded([x], sc.grad(root.sum(), x), device)
    assert f"gradient of sqrt at {root.origin}" in raised(f, np.array([1, 0, 4], "float32"))


def test_inputs_and_states_that_are_bad_already_are_named(device):
    x, w = sc.vector("x"), sc.shared(np.ones(2, "float32"), name="w")
    f = guarded([x], x * w, device)
    assert f"x float32[2] from {x.origin} holds nan at [1]" in raised(f, np.array([1, np.nan], "float32"))
    w.set_value(np.array([np.inf, 1], "float32"))
    assert f"w float32[2] from {w.origin} holds inf at [0]" in raised(f, np.ones(2, "float32"))


def test_large_values_count_unless_left_out(device):
    x = sc.vector("x")
    big = np.array([1, 2e5], "float32")
    assert "gives 40000000000.0 at [1] of float32[2] (1 beyond 1e+10)" in raised(
        guarded([x], x * x, device), big
    )
    lenient = sc.NanGuardMode(big_is_error=False)
    assert guarded([x], x * x, device, mode=lenient)(big)[1] == np.float32(2e5) ** 2
    assert "beyond 100000" in raised(guarded([x], x + 1, device, mode=sc.NanGuardMode(big=1e5)), big)
    only_nan = sc.NanGuardMode(inf_is_error=False, big_is_error=False)
    f = guarded([x], sc.log(x) * 2, device, mode=only_nan)
    assert f(np.zeros(1, "float32"))[0] == -np.inf
    assert "nan" in raised(f, -np.ones(1, "float32"))
    only_inf = sc.NanGuardMode(nan_is_error=False)
    assert np.isnan(guarded([x], sc.log(x) * 2, device, mode=only_inf)(-np.ones(1, "float32")))


def test_states_are_as_before_the_call_also_in_a_loop(device):
    w = sc.shared(np.full(3, 2.5, "float32"), name="w")
    f = guarded([], w.sum(), device, updates=[(w, sc.sqrt(w - 1) * 1.5)])
    first = f()
    assert first == 7.5 and np.isfinite(w.get_value()).all()
    w.set_value(np.full(3, 1.5, "float32"))
    text = raised(f.loop, 50)
    assert "in iteration " in text and "sqrt from test_nan_guard.py:" in text
    assert w.get_value().tolist() == [1.5, 1.5, 1.5]
    count = int(text.split("in iteration ")[1].split()[0])
    assert count > 0 and f.loop(count).shape == (count,)


def test_a_kernel_alone_is_blamed_where_the_graph_is_innocent(core, cxx):
    code = """
    struct P { ll n; };
    void f(const P& p, const Args& args, ll begin, ll end) {
      for (ll i = begin; i < end; i++) args.get<float>(1)[i] = i == 2 ? NAN : 1;
    }
    CPU_KERNEL(spoils, P, f)
    """

    class One(Op):
        name = "one"
        kernels = [sc.cpu_kernel("spoils", code, launch=lambda n: sc.launch(n.out.type.size, n=1))]

        def infer(self, x):
            return x.type

        def reference(self, x):
            return np.ones_like(x)

    x = sc.vector("x")
    text = raised(guarded([x], One()(x), "cpu"), np.zeros(4, "float32"))
    assert (
        "no node of the graph as written" in text
        and "noticed in one from" in text
        and "kernel spoils" in text
    )


def test_find_nonfinite_needs_no_mode():
    x, w = sc.vector("x"), sc.shared(np.zeros(1, "float32"), name="w")
    f = sc.function([x], x / w, updates=[(w, w + 1)], device="reference")
    found = f.find_nonfinite(np.ones(2, "float32"))
    assert found.startswith("true_div from test_nan_guard.py:") and "inf at [0]" in found
    assert w.get_value()[0] == 0
    w.set_value(np.ones(1, "float32"))
    assert f.find_nonfinite(np.ones(2, "float32")) is None


def test_the_node_inside_a_loop_is_named_with_its_step(device):
    x = sc.matrix("x")

    def step(row, h):
        return sc.log(h - row)  # 0.9, then log(0.9) - 0.1 < 0

    h, _ = sc.scan(step, sequences=x, outputs_info=sc.ones((4,)))
    text = raised(guarded([x], h, device), np.full((5, 4), 0.1, "float32"))
    assert text.startswith("log from test_nan_guard.py:") and "gives nan at [0] of float32[4]" in text
    assert " in step 1 of scan" in text
