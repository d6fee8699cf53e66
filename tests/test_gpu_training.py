"""Training steps of the book's nets on emulated CUDA kernels: the same costs and weights as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symconv.config import config
from symconv.function import Function
from symconv.nn import SGD, net
from symconv.nn.trainer import training_step

NETS = ("shallow", "conv", "dbl_conv", "dbl_conv_relu", "dropout")
BATCH = 4

pytestmark = pytest.mark.usefixtures("cxx", "core")


def data(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of which most pixels are 0, as digits are."""
    rng = np.random.default_rng(0)
    images = rng.random((3 * batch, 784)) * (rng.random((3 * batch, 784)) < 0.2)
    return images.astype("float32"), rng.integers(0, 10, 3 * batch).astype("int32")


def step_of(name: str, device: str, batch: int = BATCH) -> tuple[Function, Any]:
    recipe = net(name)
    model = recipe.build(seed=3)
    step = training_step(model, SGD(recipe.eta), data(batch), batch, recipe.lmbda, device=device)
    return step, model


def trained(name: str, device: str, executor: str = "auto") -> tuple[list[float], list[np.ndarray]]:
    """The costs of five steps, two by calls and three by map, and the weights after them."""
    with config(gpu_executor=executor, seed=3):
        step, model = step_of(name, device)
        costs = [float(step(0)), float(step(1)), *step.map(np.array([2, 0, 1])).tolist()]
    return costs, [p.get_value() for p in model.params]


@pytest.mark.parametrize("executor", ["kernels", "persistent"])
@pytest.mark.parametrize("name", NETS)
def test_training_equals_the_cpu(name: str, executor: str) -> None:
    with config(emulator_checks=name == "dbl_conv_relu"):
        costs, weights = trained(name, "emulated", executor)
    # Winograd's rounding may choose the other of two nearly equal maxima of a window.
    with config(winograd=False):
        wanted_costs, wanted = trained(name, "cpu")
    np.testing.assert_allclose(costs, wanted_costs, rtol=2e-5)
    for got, want in zip(weights, wanted):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-6)
