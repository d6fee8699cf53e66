"""What tuning may choose: kernels that refuse for speed alone are right at every size, tilings too."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from cuda_kernels import run_cuda_kernel
from test_ops import TABLE

import symconv as sc
from symconv.backends import tune as backend
from symconv.graph.kernel import Slower
from symconv.graph.registry import all_ops
from symconv.ops.conv_pool import ConvPool
from symconv.plan.select import candidates, forcing, select
from symconv.testing import OpCase, check_op
from symconv.workbench.check import nodes_of

CONVOLUTIONS = ("conv2d", "conv2d_dgrad", "conv2d_wgrad", "conv_pool")
PRODUCTS = ("dot", "batched_dot", "gemm")


def own_op(name):
    (op,) = [op for op in all_ops() if op.name == name and op.__module__.startswith("symconv.")]
    return op


def slower(node, device):
    """Kernels that tuning measures although they refuse."""
    return [k for k in candidates(node, device, _available(device)) if isinstance(k.supports(node), Slower)]


def _available(device):
    if device != "cpu":
        return None
    from symconv.backends.cpu import available_kernels

    return available_kernels()


@functools.cache
def ops_of(row: str) -> set[type]:
    return {type(node.op) for node in nodes_of(TABLE[row])}


def cases_of(name) -> list[OpCase]:
    """The rows of the tables that have a node of the op."""
    rows = [row for row in TABLE if not any(s.dtype.startswith("int") for s in TABLE[row].inputs)]
    return [TABLE[row] for row in rows if own_op(name) in ops_of(row)]


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *PRODUCTS])
def test_a_cpu_kernel_that_refuses_for_speed_is_right_when_it_is_forced(name, core):
    op, forced = own_op(name), set()
    for case in cases_of(name):
        inputs = [sc.tensor(s.dtype, s.shape) for s in case.inputs]
        built = case.build(*inputs)
        node = (built[0] if isinstance(built, (tuple, list)) else built).owner
        for kernel in slower(node, "cpu") if node is not None and type(node.op) is op else ():
            with forcing(op, kernel):
                check_op(
                    OpCase(
                        **{
                            **vars(case),
                            "kernel": None,
                            "exact": case.exact and "winograd" not in kernel.name,
                        }
                    ),
                    "cpu",
                )
            forced.add(kernel.name)
    assert forced, "no case has such a kernel"


def conv_pool_node(x=(3, 2, 12, 12), w=(4, 2, 5, 5)):
    arrays = sc.tensor("float32", x), sc.tensor("float32", w), sc.tensor("float32", (w[0],))
    return ConvPool((2, 2), activation="relu").make(*arrays)


def test_tilings_of_a_fused_convolution_are_variants_that_all_give_the_same(cxx):
    node = conv_pool_node()
    choices = [k for k in candidates(node, "emulated") if k.name.startswith("direct_conv_pool_2x2_k4_5x5")]
    assert 3 < len(choices) <= 8 and len({k.name for k in choices}) == len(choices)
    assert all("rows=" in k.name for k in choices[1:])
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(v.type.dims).astype("float32") for v in node.inputs]
    want = node.op.reference(*(a.astype("float64") for a in arrays))[0]
    launches = {(k.launch(node).tiles, k.launch(node).params) for k in choices}
    assert len(launches) == len(choices), "each is cut in another way"
    for kernel in choices:
        np.testing.assert_allclose(run_cuda_kernel(node, kernel, *arrays)[0], want, rtol=1e-5, atol=1e-5)


def test_the_tuning_file_may_name_a_tiling_or_a_refused_kernel(tmp_path, monkeypatch, cxx):
    node = conv_pool_node()
    every = candidates(node, "cuda")
    tiling = next(k for k in every if "[rows=" in k.name)
    refused = next(k for k in every if isinstance(k.supports(node), Slower))
    for wanted in (tiling, refused):
        times = {k.name: 2.0 for k in every} | {wanted.name: 1.0}

        def timings(n, d, ks, times=times):
            return [backend.Timing(k, (times[k.name],)) for k in ks]

        monkeypatch.setattr(backend, "time_kernels", timings)
        graph = backend.FunctionGraph(node.inputs, (), node.outputs, ())
        with sc.config(tuning_file=tmp_path / f"{wanted.entry}.json"):
            backend.tune_graph(graph, "cuda")
            with sc.config(autotune="cached"):
                assert select(node, "cuda").kernel.name == wanted.name
            assert select(node, "cuda").kernel is every[0]


def test_matrix_products_on_a_gpu_leave_every_tile_to_tuning():
    a, b = sc.tensor("float32", (256, 512)), sc.tensor("float32", (512, 384))
    names = {k.name for k in candidates(sc.dot(a, b).owner, "cuda")}
    assert {"gemm_128x128", "gemm_64x64", "gemm_32x32", "gemm_16x32"} <= names
    assert not any("tf32" in n for n in names), "another rounding is not a matter of speed"
    x, w = sc.tensor("float32", (8, 32, 14, 14)), sc.tensor("float32", (64, 32, 3, 3))
    names = {k.name for k in candidates(sc.conv2d(x, w).owner, "cuda")}
    assert {f"implicit_fprop_{t}_f32" for t in ("128x64", "64x64", "32x128")} <= names


def test_a_kernel_of_the_users_may_refuse_for_speed(tmp_path, monkeypatch, core, cxx):
    from user_kernels import TANH

    shy = sc.cpu_kernel(
        "shy", TANH, supports=lambda n: sc.Slower("small"), launch=lambda n: sc.launch(n.out.type.size, n=1)
    )
    v = sc.vector("v")
    data = np.linspace(-1, 1, 50, dtype="float32")
    with sc.use_kernel("tanh", shy), sc.config(tuning_file=tmp_path / "t.json"):
        f = sc.function([v], sc.tanh(v), device="cpu")
        f(data)
        assert [s.kernel.name for s in f.executables[0].plan.steps] == ["elementwise"]
        monkeypatch.setattr(
            backend,
            "time_kernels",
            lambda n, d, ks, *_: [backend.Timing(k, (1.0 if k is shy else 9.0,)) for k in ks],
        )
        sc.tune(f, data)
        np.testing.assert_allclose(f(data), np.tanh(data), rtol=1e-6)
        assert [s.kernel.name for s in f.executables[0].plan.steps] == ["shy"]


def test_steps_of_loops_are_tuned(tmp_path, monkeypatch, core):
    def timings(n, d, ks, *_):
        return [backend.Timing(k, (1.0 if k.name == "gemm_packed" else 5.0,)) for k in ks]

    monkeypatch.setattr(backend, "time_kernels", timings)
    x, w = sc.tensor3("x"), sc.matrix("w")
    hs, _ = sc.scan(lambda a, h: sc.tanh(sc.dot(h, w) + a), sequences=[x], outputs_info=[sc.zeros((2, 4))])
    f = sc.function([x, w], hs, device="cpu")
    arrays = np.ones((3, 2, 4), "float32"), np.full((4, 4), 0.1, "float32")

    def kernels():
        plan = f.prepare(*arrays).plan
        (loop,) = [s.loop for s in plan.steps if s.loop is not None]
        return [s.kernel.name for s in loop.plan.steps]

    before, y = kernels(), f(*arrays)
    assert "gemm_packed" not in before
    with sc.config(tuning_file=tmp_path / "t.json"):
        assert "gemm_packed" in sc.tune(f, *arrays)
        assert "gemm_packed" in kernels()
        np.testing.assert_allclose(f(*arrays), y, rtol=1e-6)
