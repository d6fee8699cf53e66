"""On a real GPU: the case tables, draws, training. `pytest -m gpu`; skipped, with the reason, without one."""

from __future__ import annotations

import numpy as np
import pytest
from test_gpu_training import BATCH, NETS, data, trained
from test_ops import ALL, TABLE, WITH_GRAD

import symconv as sc
from symconv import testing
from symconv.config import config
from symconv.device import cuda_error
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_error() is not None, reason=(cuda_error() or "").splitlines()[0]),
]


@pytest.mark.parametrize("name", ALL)
def test_values(name: str) -> None:
    testing.check_op(TABLE[name], "cuda")


@pytest.mark.parametrize("name", WITH_GRAD)
def test_gradients(name: str) -> None:
    testing.check_grad(TABLE[name], "cuda")


@pytest.mark.parametrize("executor", ["kernels", "graph", "persistent"])
@pytest.mark.parametrize("name", NETS)
def test_training_equals_the_cpu(name: str, executor: str) -> None:
    costs, weights = trained(name, "cuda", executor)
    wanted_costs, wanted = trained(name, "cpu")
    np.testing.assert_allclose(costs, wanted_costs, rtol=1e-4)
    for got, want in zip(weights, wanted):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("executor", ["graph", "persistent"])
def test_a_thousand_steps_repeat_their_bits(executor: str) -> None:
    def run() -> list[np.ndarray]:
        recipe = net("dropout")
        with config(gpu_executor=executor, seed=3):
            model = recipe.build(seed=3)
            step = training_step(model, SGD(recipe.eta), data(BATCH), BATCH, recipe.lmbda, device="cuda")
            step.map(np.arange(1000) % 3)
        return [p.get_value() for p in model.params]

    for a, b in zip(run(), run()):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("draw", ["uniform", "normal", "bernoulli"])
def test_draws_equal_the_references(draw: str) -> None:
    def values(device: str) -> np.ndarray:
        rng = sc.RandomStream(seed=11)
        make = getattr(rng, draw)
        return np.asarray(sc.function([], make((1000, 37)), device=device)())

    assert np.array_equal(values("cuda"), values("reference"))
