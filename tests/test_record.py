"""The recipe of the record net, on a small one: batch norm, residual links, Adam, schedule, augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import blobs, needs_core, same_weights

from symconv import nn
from symconv.book.record import RECIPE, deep
from symconv.config import config
from symconv.nn.trainer import training_step

TRAIN, VALIDATION = blobs(22, side=12), blobs(12, side=12, seed=1)
BENDS = nn.Augmentation(rotation=10, crop=11, elastic=14)


def trained(device, epochs=2, planned=2, resume_from=None):
    model = nn.Sequential(deep((2, 3, 4), (1, 12, 12), 4), (1, 12, 12), seed=1)
    trainer = nn.Trainer(
        model, RECIPE.optimizer(planned), mini_batch_size=8, shuffle=True, augment=BENDS, progress=False,
        keep_best=False, device=device,
    )  # fmt: skip
    history = trainer.fit(TRAIN, epochs, VALIDATION, resume_from=resume_from)
    return model.get_weights(), [row["learning_rate"] for row in history.epochs]


def steps(device):
    """Costs of two steps, the running statistics after them, and how the step was compiled."""
    model = nn.Sequential(deep((2, 3, 4), (1, 12, 12), 4), (1, 12, 12), seed=1)
    with config(gpu_executor="kernels", emulator_checks=False, winograd=False):
        step = training_step(model, RECIPE.optimizer(2), TRAIN, 8, augment=BENDS, device=device)
        costs = [float(step(i, np.float32(1e-3), 1)) for i in range(2)]
        plan = step.explain()
    statistics = {k: p.variable.get_value() for k, p in model.parameters.items() if not p.trained}
    return costs, statistics, plan


@needs_core
def test_a_gpu_takes_the_same_steps_with_kernels_alone(cxx):
    costs, statistics, plan = steps("emulated")
    wanted_costs, wanted, cpu_plan = steps("cpu")
    assert "REFERENCE" not in plan + cpu_plan
    np.testing.assert_allclose(costs, wanted_costs, rtol=1e-5)
    assert len(statistics) == 12  # mean and variance of each batch norm
    for name, value in wanted.items():
        # Adam makes steps of full size of gradients that are zero but for rounding.
        np.testing.assert_allclose(statistics[name], value, rtol=0, atol=2e-3, err_msg=name)


@needs_core
def test_a_run_that_was_cut_off_goes_on_with_the_same_bits(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "state.safetensors"
    trained("cpu", epochs=1, resume_from=path)
    resumed, rates = trained("cpu", epochs=2, resume_from=path)
    whole, same_rates = trained("cpu")
    assert rates == same_rates and same_weights(resumed, whole)
