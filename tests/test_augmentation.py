"""Trainings with augmentation: which image is bent how depends on its number and the epoch alone."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs, needs_core, same_weights

import symconv as sc
from symconv import nn
from symconv.errors import ShapeError, WeightsError

BENDS = nn.Augmentation(rotation=20, translation=1, crop=7, elastic=10, sigma=2)
TRAIN = blobs(45)


def model(seed=3):
    return nn.Network([nn.FullyConnectedLayer(64, 12, "relu"), nn.SoftmaxLayer(12, 4)], 10, seed=seed)


def images_model(seed=3):
    layers = [nn.Flatten(), nn.Dense(12, "relu"), nn.Dense(4)]
    return nn.Sequential(layers, (1, 8, 8), seed=seed)


def train(augment, device="reference", **options):
    net = options.pop("net", None) or images_model()
    epochs = options.pop("epochs", 3)
    resume_from = options.pop("resume_from", None)
    trainer = nn.Trainer(net, nn.SGD(0.2), augment=augment, progress=False, device=device, **options)
    trainer.fit(TRAIN, epochs, resume_from=resume_from)
    return net.get_weights()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_step_takes_the_bent_images(device, shuffle):
    """The same training by hand: every epoch's images bent beforehand, as arrays."""
    found = train(BENDS, device, shuffle=shuffle, mini_batch_size=10)
    net = images_model()
    from symconv.nn.draws import order_draws

    rng = order_draws(net.seed)
    for epoch in range(1, 4):
        order = rng.permutation(45) if shuffle else np.arange(45)
        bent = BENDS(TRAIN[0], epoch, seed=net.seed)
        trainer = nn.Trainer(net, nn.SGD(0.2), mini_batch_size=10, progress=False, device=device)
        trainer.fit((bent[order], TRAIN[1][order]), 1)
    assert same_weights(found, net.get_weights())
    assert not same_weights(found, train(None, device, shuffle=shuffle, mini_batch_size=10))


@needs_core
def test_a_resumed_training_sees_the_same_images(tmp_path):
    path = tmp_path / "state.safetensors"
    pytest.importorskip("safetensors")
    train(BENDS, "cpu", epochs=1, resume_from=path)
    resumed = train(BENDS, "cpu", epochs=4, resume_from=path)
    assert same_weights(resumed, train(BENDS, "cpu", epochs=4))
    with pytest.raises(WeightsError, match="augment"):
        train(nn.Augmentation(rotation=5), "cpu", epochs=4, resume_from=path)


@needs_core
def test_the_seed_of_the_training_or_its_own():
    own = nn.Augmentation(rotation=20, seed=11)
    assert not same_weights(train(BENDS, seed=1), train(BENDS, seed=2))
    assert same_weights(train(own, seed=1), train(own, seed=2))


def test_a_schedule_and_an_epoch_are_both_arguments_of_the_step():
    net = images_model()
    trainer = nn.Trainer(
        net, nn.Adam(nn.schedules.Cosine(0.01, 3)), augment=BENDS, progress=False, device="reference"
    )
    history = trainer.fit(TRAIN, 2)
    assert len({row["learning_rate"] for row in history.epochs}) == 2
    assert history.epochs[1]["cost"] < history.epochs[0]["cost"]


def test_a_change_of_nothing_trains_as_without():
    assert same_weights(train(nn.Augmentation()), train(None))


def test_vectors_are_refused():
    with pytest.raises(ShapeError, match="takes vectors"):
        train(BENDS, net=model())


@needs_core
@pytest.mark.parametrize("seed", [None, 4])
def test_replicas_are_bent_as_alone(seed):
    bends = nn.Augmentation(rotation=20, seed=seed)

    def fit(together):
        nets = [images_model(s) for s in (0, 1)]
        nn.fit_replicas(nets, [nn.SGD(0.1), nn.SGD(0.2)], TRAIN, 2, together=together, augment=bends)
        return [net.get_weights() for net in nets]

    assert all(same_weights(a, b) for a, b in zip(fit(True), fit(False)))


@needs_core
def test_the_warp_is_a_step_of_the_compiled_plan():
    x, i, e = sc.tensor("float32", (6, 1, 28, 28)), sc.lvector("i"), sc.lscalar("e")
    f = sc.function([x, i, e], BENDS.apply(x, i, e))
    f(np.zeros((6, 1, 28, 28), "float32"), np.arange(6), 1)
    assert "random_warp_f32" in f.explain() and "REFERENCE" not in f.explain()
