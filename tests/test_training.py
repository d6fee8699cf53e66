"""Training: it learns, repeats bit by bit, and tells how it goes on."""

from __future__ import annotations

import numpy as np
import pytest
from nets import TEST, TRAIN, VALIDATION, by_hand, conv_net, dense_net, quiet, scores
from nn_helpers import DEVICES, same_weights

import symconv as sc
from symconv import nn
from symconv.graph.traversal import leaves
from symconv.nn import trainer
from symconv.nn.schedules import Cosine, Step

# -- what a training does --------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_training_reduces_the_cost_and_learns(device):
    net = conv_net()
    history = net.SGD(TRAIN, 8, 10, 0.1, VALIDATION, TEST, lmbda=0.1, progress=False, device=device)
    costs = [row["cost"] for row in history.epochs]
    assert len(costs) == 8 and costs[-1] < 0.5 * costs[0]
    assert history.validation_accuracy > 0.9 and history.test_accuracy > 0.9
    assert history.validation_accuracy == net.accuracy(VALIDATION)
    assert history.images == 8 * 105 and history.images_per_s > 0
    assert history.best["epoch"] == history.best_epoch
    assert set(history.epochs[0]) == {
        "epoch", "cost", "learning_rate", "seconds", "images_per_s", "validation_accuracy", "test_accuracy"
    }  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_seed_gives_the_same_bits(device, shuffle):
    def train(seed):
        net = conv_net(seed)
        net.SGD(TRAIN, 2, 10, 0.1, VALIDATION, progress=False, shuffle=shuffle, device=device)
        return net.get_weights()

    first, second = train(7), train(7)
    assert same_weights(first, second)
    assert not np.array_equal(first["fc1.w"], train(8)["fc1.w"])


def test_results_do_not_depend_on_the_chunks(monkeypatch):
    found = []
    for seconds in (0.0, 100.0):
        monkeypatch.setattr(trainer, "CHUNK_SECONDS", seconds)
        model = dense_net(p=0.4)
        quiet(model, shuffle=True, lmbda=0.2).fit(TRAIN, 2)
        found.append(model.get_weights())
    assert same_weights(*found)


@pytest.mark.parametrize("device", DEVICES)
def test_an_epoch_is_its_mini_batches_in_order_with_a_short_last_one(device):
    trained, wanted = dense_net(), dense_net()
    quiet(trained, 0.1, lmbda=0.6, mini_batch_size=20, device=device).fit(TRAIN, 1)
    by_hand(wanted, 0.1, 0.6 / 6, [slice(i, i + 20) for i in range(0, 105, 20)])
    for key, value in wanted.get_weights().items():
        np.testing.assert_allclose(trained.get_weights()[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_the_cost_of_an_epoch_weighs_every_image_alike():
    model = dense_net()
    costs = sc.function([model.x, model.y], model.cost(), device="reference")
    history = quiet(model, 0.0, mini_batch_size=20).fit(TRAIN, 1)
    assert history.epochs[0]["cost"] == pytest.approx(float(costs(*TRAIN)), rel=1e-5)


def test_shuffling_visits_every_image_once_in_a_new_order(monkeypatch):
    orders = []
    model = dense_net()
    t = quiet(model, 0.1, shuffle=True, mini_batch_size=21, seed=3, keep_best=False)
    real = trainer._Run.train

    def train(self, number):
        orders.append(self.order.get_value())
        return real(self, number)

    monkeypatch.setattr(trainer._Run, "train", train)
    t.fit(TRAIN, 2)
    assert all(sorted(order) == list(range(105)) for order in orders)
    assert list(orders[0]) != list(range(105)) and list(orders[0]) != list(orders[1])
    wanted = dense_net()
    by_hand(wanted, 0.1, 0.0, [order[i : i + 21] for order in orders for i in range(0, 105, 21)])
    for key, value in wanted.get_weights().items():
        np.testing.assert_allclose(model.get_weights()[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_regularisation_shrinks_weights_and_not_biases():
    model = nn.Sequential([nn.Dense(4)], (64,), seed=0)
    model.layers[0].b.set_value(np.ones(4, "float32"))
    w, b = model.layers[0].w.get_value(), model.layers[0].b.get_value()
    images, labels = np.zeros((10, 64), "float32"), np.arange(10, dtype="int32") % 4
    quiet(model, 0.5, lmbda=0.2, mini_batch_size=10).fit((images, labels), 1)
    np.testing.assert_allclose(model.layers[0].w.get_value(), w * (1 - 0.5 * 0.2), rtol=1e-5)
    p = np.bincount(labels) / 10
    np.testing.assert_allclose(model.layers[0].b.get_value(), b - 0.5 * (0.25 - p), rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_a_schedule_sets_the_rate_of_every_step_without_a_new_plan(device):
    rates, seen = [], []
    schedule = Cosine(0.2, 3)

    def spy(t):
        rates.append(t)
        return schedule(t)

    scheduled, wanted = dense_net(), dense_net()
    optimizer = nn.SGD(spy)
    rates.clear()
    t = nn.Trainer(
        scheduled, optimizer, mini_batch_size=35, progress=False, device=device, keep_best=False,
        callbacks=[lambda trainer, row: seen.append(row["learning_rate"])],
    )  # fmt: skip
    t.fit(TRAIN, 2)
    assert {round(3 * r) for r in rates} == {0, 1, 2, 3, 4, 5}
    assert seen == pytest.approx([schedule(2 / 3), schedule(5 / 3)])
    step = trainer.training_step(wanted, nn.SGD(0.0), TRAIN, 35, device="reference")
    rate = next(v for v in leaves([new for _, new in step.updates]) if v.name == "learning_rate")
    for k in range(6):
        rate.set_value(np.float32(schedule(k / 3)))
        step(k % 3)
    for key, value in wanted.get_weights().items():
        np.testing.assert_allclose(scheduled.get_weights()[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_a_step_schedule_is_reported_by_epoch():
    history = nn.Trainer(dense_net(), nn.SGD(Step(0.4, 2)), progress=False, device="reference").fit(TRAIN, 4)
    assert [row["learning_rate"] for row in history.epochs] == [0.4, 0.4, 0.2, 0.2]


@pytest.mark.parametrize("optimizer", [nn.SGD(0.05, momentum=0.9), nn.RMSProp(0.01), nn.Adam(0.01)])
def test_every_optimizer_learns(optimizer):
    model = dense_net()
    history = nn.Trainer(model, optimizer, progress=False, device="reference").fit(TRAIN, 4, VALIDATION)
    assert history.validation_accuracy > 0.9


def test_a_second_training_goes_on_with_the_optimizers_state():
    once, twice = dense_net(), dense_net()
    t = nn.Trainer(once, nn.Adam(0.01), progress=False, device="reference")
    t.fit(TRAIN, 2)
    t = nn.Trainer(twice, nn.Adam(0.01), progress=False, device="reference")
    t.fit(TRAIN, 1)
    t.fit(TRAIN, 1)
    assert same_weights(once.get_weights(), twice.get_weights())


# -- what is reported ------------------------------------------------------------------------------


def test_lines_are_printed_for_every_epoch(capsys, monkeypatch):
    scores(monkeypatch, 0.5, 0.25)
    quiet(dense_net(), progress=None).fit(TRAIN, 2, VALIDATION)
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("Epoch 1: cost ") and "validation 50.00 %" in first and "(best so far)" in first
    assert second.startswith("Epoch 2: cost ") and "validation 25.00 %" in second and "best" not in second
    assert "images/s" in first and not err


def test_the_bar_shows_cost_accuracy_rate_and_time_left(capsys):
    pytest.importorskip("tqdm")
    from symconv.nn.progress import Lines

    quiet(dense_net(), progress=Lines(bar=True)).fit(TRAIN, 3, VALIDATION)
    out, err = capsys.readouterr()
    assert out.count("Epoch") == 3
    last = err.split("\r")[-3] + err.split("\r")[-2]
    for word in ("epoch 3/3", "cost=", "accuracy=", "images/s", "<"):
        assert word in err, (word, last)
