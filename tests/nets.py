"""Small nets, a trainer that prints nothing, and what trainings are compared with."""

from __future__ import annotations

from nn_helpers import blobs

import symconv as sc
from symconv import nn
from symconv.nn import trainer

TRAIN, VALIDATION, TEST = blobs(105), blobs(40, seed=1), blobs(30, seed=2)


def dense_net(seed: int = 0, p: float = 0.0) -> nn.Model:
    return nn.Sequential([nn.Dense(8, "tanh"), nn.Dropout(p), nn.Dense(4)], (64,), seed=seed)


def conv_net(seed: int = 0) -> nn.Network:
    return nn.Network(
        [
            nn.ConvPoolLayer((6, 1, 3, 3), (10, 1, 8, 8), (2, 2), nn.ReLU),
            nn.FullyConnectedLayer(54, 20, nn.ReLU, p_dropout=0.2),
            nn.SoftmaxLayer(20, 4),
        ],
        10,
        seed=seed,
    )


def quiet(model: nn.Model, eta: float = 0.1, **options) -> nn.Trainer:
    return nn.Trainer(model, nn.SGD(eta), **{"progress": False, "device": "reference", **options})


def by_hand(model: nn.Model, eta: float, l2: float, batches) -> None:
    """Plain gradient descent over the given mini-batches."""
    cost = model.cost() + 0.5 * l2 * model.l2()
    grads = sc.grad(cost, model.params)
    updates = [(p, p - eta * g) for p, g in zip(model.params, grads)]
    step = sc.function([model.x, model.y], None, updates, device="reference")
    for rows in batches:
        step(TRAIN[0][rows], TRAIN[1][rows])


def scores(monkeypatch, *accuracies: float) -> None:
    """Let the validation accuracies be these."""
    given = iter(accuracies)
    monkeypatch.setattr(
        trainer._Run, "evaluate", lambda self, name: next(given) if name == "validation" else None
    )
