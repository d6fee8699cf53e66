"""Users' kernels for ops of the package: what is registered, for whom, for how long, and what fusion does."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from user_kernels import CUDA, SCALE_CPU, Scale, kernels_used, tanh_kernel

import symconv as sc
from symconv.errors import ArgumentError
from symconv.graph import registry

pytestmark = pytest.mark.usefixtures("cxx")


def test_a_kernel_for_an_op_of_the_package_is_a_boundary_of_fusion(core):
    v = sc.vector("v")
    x = np.linspace(-2, 2, 101, dtype="f4")
    f = sc.function([v], sc.tanh(v * 2) + 1)
    f(x)
    assert kernels_used(f) == ["elementwise"]
    with sc.use_kernel("tanh", tanh_kernel()):
        np.testing.assert_allclose(f(x), np.tanh(2 * x) + 1, rtol=1e-6, atol=1e-6)
        newest = f.executables[-1].plan
        assert [s.kernel.name for s in newest.steps] == ["elementwise", "my_tanh", "elementwise"]
        assert "kept for my_tanh" in f.explain(rewrites=True)
    fused = sc.function([v], sc.tanh(v * 2) + 1)
    fused(x)
    assert kernels_used(fused) == ["elementwise"]


def test_a_registered_convolution_is_not_fused_with_its_pooling(core):
    code = """
    struct P { ll n; };
    void f(const P& p, const Args& args, ll begin, ll end) {
      for (ll i = begin; i < end; i++) args.get<float>(2)[i] = 7;
    }
    CPU_KERNEL(sevens, P, f)
    """
    kernel = sc.cpu_kernel("sevens", code, launch=lambda n: sc.launch(n.out.type.size, n=1))
    x, w = sc.tensor("float32", (2, 1, 8, 8)), sc.tensor("float32", (3, 1, 3, 3))
    arrays = np.zeros((2, 1, 8, 8), "f4"), np.zeros((3, 1, 3, 3), "f4")
    expression = sc.relu(sc.max_pool2d(sc.conv2d(x, w), (2, 2)) + 1)
    with sc.use_kernel("conv2d", kernel):
        f = sc.function([x, w], expression)
        assert (f(*arrays) == 8).all() and "sevens" in kernels_used(f)
    with sc.config(winograd=False):
        f = sc.function([x, w], expression)
        assert (f(*arrays) == 1).all() and kernels_used(f)[0] == "direct_conv_pool"


def test_plans_follow_registrations_and_are_not_made_twice(core):
    x = np.ones(5, "f4")
    v = sc.vector("v")
    f = sc.function([v], sc.tanh(v))
    f(x)
    sc.register_kernel("tanh", tanh_kernel())
    try:
        f(x)
        assert "my_tanh" in f.explain()
    finally:
        sc.unregister_kernel("tanh", "my_tanh")
    f(x), f(x)
    assert len(f._plans) == 2
    with pytest.raises(
        ArgumentError, match=r"no kernel 'my_tanh' is registered for tanh \(registered: none\)"
    ):
        sc.unregister_kernel("tanh", "my_tanh")


def test_a_block_is_for_its_own_thread_and_nests():
    seen = []
    with sc.use_kernel("tanh", tanh_kernel("outer")):
        with sc.use_kernel("tanh", tanh_kernel("inner")):
            cls = registry.op_class("tanh")
            assert [k.name for k in registry.registered_kernels(cls)] == ["inner", "outer"]
            thread = threading.Thread(target=lambda: seen.append(registry.registered_kernels(cls)))
            thread.start()
            thread.join()
        assert [k.name for k in registry.registered_kernels(cls)] == ["outer"]
    assert seen == [[]] and registry.state() == ((), ())


def test_last_comes_behind_the_ops_own_kernels(core):
    with sc.use_kernel("tanh", tanh_kernel(), last=True):
        v = sc.vector("v")
        f = sc.function([v], sc.tanh(v))
        f(np.ones(3, "f4"))
        assert kernels_used(f) == ["elementwise"]


def test_clashing_names_and_things_that_are_no_kernels_are_refused():
    with sc.use_kernel(Scale, SCALE_CPU):
        with pytest.raises(
            ArgumentError, match=r"scale already has a cpu kernel 'scale_planes', from user_kernels.py"
        ):
            sc.register_kernel(Scale, SCALE_CPU)
        with pytest.raises(ArgumentError, match="already has"), sc.use_kernel(Scale, SCALE_CPU):
            pass
    with pytest.raises(ArgumentError, match="conv2d already has a cpu kernel .*, from csrc/kernels/"):
        own = registry.op_class("conv2d").kernels[0]
        sc.register_kernel("conv2d", tanh_kernel(own.name))
    with pytest.raises(ArgumentError, match="is no kernel"):
        sc.register_kernel(Scale, CUDA)
    with pytest.raises(ArgumentError, match="no op has the name 'tanhh'"):
        sc.register_kernel("tanhh", SCALE_CPU)
    with pytest.raises(ArgumentError, match="an op is a class"):
        sc.register_kernel(sc.tanh, SCALE_CPU)
    assert registry.state() == ((), ())
