"""Models trained together have the bits of models trained alone."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs, same_weights

from symconv import nn
from symconv.errors import ArgumentError, NonFiniteError
from symconv.nn import replicas
from symconv.nn.schedules import Cosine

TRAIN, VALIDATION, TEST = blobs(45), blobs(40, seed=1), blobs(30, seed=2)


def models(n=3):
    layers = lambda: [  # noqa: E731
        nn.ConvPoolLayer((4, 1, 3, 3), (1, 1, 8, 8), (2, 2), "relu"),
        nn.FullyConnectedLayer(36, 10, "relu", p_dropout=0.5),
        nn.SoftmaxLayer(10, 4),
    ]
    return [nn.Network(layers(), 10, seed=s) for s in range(n)]


def optimizers():
    return [nn.SGD(0.1), nn.SGD(Cosine(0.1, 3), momentum=0.9), nn.Adam(0.01)]


def train(together, device, epochs=3):
    nets = models()
    histories = replicas.fit_replicas(
        nets, optimizers(), TRAIN, epochs, VALIDATION, TEST, mini_batch_size=9, lmbda=[0.0, 0.1, 0.2],
        together=together, device=device,
    )  # fmt: skip
    rows = [
        [{k: v for k, v in r.items() if k not in ("seconds", "images_per_s")} for r in h.epochs]
        for h in histories
    ]
    return [m.get_weights() for m in nets], rows, [(h.best_epoch, h.images) for h in histories]


@pytest.mark.parametrize("device", DEVICES)
def test_together_and_in_turn_give_the_same_bits(device):
    weights, rows, facts = train(True, device)
    alone, rows_alone, facts_alone = train(False, device)
    assert rows == rows_alone and facts == facts_alone
    assert all(same_weights(a, b) for a, b in zip(weights, alone))
    assert not same_weights(weights[0], weights[1])


def test_a_gpu_takes_them_together_and_a_cpu_in_turn(monkeypatch):
    taken = []
    monkeypatch.setattr(replicas._Together, "fit", lambda self, epochs: taken.append(self.device) or [])
    for device in ("emulated", "reference"):
        replicas.fit_replicas(models(), optimizers(), TRAIN, 0, device=device)
    assert taken == ["emulated"]


def test_a_model_that_diverges_is_named():
    nets = models()
    before = [m.get_weights() for m in nets]
    wild = [nn.SGD(0.1), nn.SGD(1e30), nn.SGD(0.1)]
    with pytest.raises(NonFiniteError, match=r"epoch 1, steps \d+ to \d+ of 5: .* of model 1 is"):
        replicas.fit_replicas(nets, wild, TRAIN, 2, together=True, device="reference")
    assert all(np.isfinite(w).all() for m in nets for w in m.get_weights().values())
    assert [m.get_weights().keys() for m in nets] == [b.keys() for b in before]


def test_ctrl_c_keeps_the_best_weights(monkeypatch):
    nets, calls = models(), []
    real = replicas._Together.train

    def stop(self, number):
        calls.append(number)
        if number == 2:
            raise KeyboardInterrupt
        return real(self, number)

    monkeypatch.setattr(replicas._Together, "train", stop)
    histories = replicas.fit_replicas(
        nets, optimizers(), TRAIN, 5, VALIDATION, together=True, device="reference"
    )
    assert calls == [1, 2] and all(h.interrupted and h.best_epoch == 1 for h in histories)


def test_lists_that_do_not_fit_are_refused():
    nets, makers = models(), optimizers()
    with pytest.raises(ArgumentError, match="3 models need as many .* got 2 and 3"):
        replicas.fit_replicas(nets, makers[:2], TRAIN, 1)
    with pytest.raises(ArgumentError, match="twice"):
        replicas.fit_replicas([nets[0], nets[0], nets[1]], makers, TRAIN, 1)
    with pytest.raises(ArgumentError, match="differ"):
        other = nn.Sequential([nn.Dense(3)], (64,))
        replicas.fit_replicas([*nets[:2], other], makers, TRAIN, 1)
    with pytest.raises(ArgumentError, match="0 models"):
        replicas.fit_replicas([], [], TRAIN, 1)
