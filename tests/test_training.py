"""Training: it learns, repeats bit by bit, keeps the best weights, and stops where it should."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs, same_weights

import symconv as sc
from symconv import nn
from symconv.errors import (
    ArgumentError,
    ConfigError,
    DataError,
    DTypeError,
    NonFiniteError,
    ShapeError,
    WeightsError,
)
from symconv.graph.traversal import leaves
from symconv.nn import checkpoint, trainer
from symconv.nn.schedules import Cosine, Step

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


def by_hand(model: nn.Model, eta: float, l2: float, batches) -> None:
    """Plain gradient descent over the given mini-batches."""
    cost = model.cost() + 0.5 * l2 * model.l2()
    grads = sc.grad(cost, model.params)
    updates = [(p, p - eta * g) for p, g in zip(model.params, grads)]
    step = sc.function([model.x, model.y], None, updates, device="reference")
    for rows in batches:
        step(TRAIN[0][rows], TRAIN[1][rows])


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


# -- how it ends -----------------------------------------------------------------------------------


def scores(monkeypatch, *accuracies: float) -> None:
    """Let the validation accuracies be these."""
    given = iter(accuracies)
    monkeypatch.setattr(
        trainer._Run, "evaluate", lambda self, name: next(given) if name == "validation" else None
    )


def test_patience_ends_the_training_and_the_best_weights_are_kept(monkeypatch):
    scores(monkeypatch, 0.5, 0.7, 0.7, 0.6, 0.9)
    kept = {}
    model = dense_net()
    t = quiet(model, patience=2, callbacks=[lambda t, row: kept.update({row["epoch"]: model.get_weights()})])
    history = t.fit(TRAIN, 10, VALIDATION)
    assert (
        len(history.epochs) == 4 and history.best_epoch == 3
    )  # of equal epochs the later, as in network3.py
    assert "2 epochs" in history.stopped and not history.interrupted
    assert same_weights(model.get_weights(), kept[3])
    assert not same_weights(kept[3], kept[2]) and not same_weights(kept[3], kept[4])


def test_the_last_weights_stay_on_request(monkeypatch):
    scores(monkeypatch, 0.9, 0.1)
    kept = {}
    model = dense_net()
    t = quiet(model, keep_best=False, callbacks=[lambda t, row: kept.update(last=model.get_weights())])
    assert t.fit(TRAIN, 2, VALIDATION).best_epoch == 1
    assert same_weights(model.get_weights(), kept["last"])


def test_a_callback_can_end_the_training():
    history = quiet(dense_net(), callbacks=[lambda t, row: row["epoch"] == 2]).fit(TRAIN, 5)
    assert len(history.epochs) == 2 and "callback" in history.stopped
    assert history.best_epoch == 2 and history.validation_accuracy is None


def test_ctrl_c_ends_the_training_with_the_best_weights(monkeypatch):
    scores(monkeypatch, 0.9, 0.2)
    kept = []
    model = dense_net()

    def callback(t, row):
        kept.append(model.get_weights())
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    history = quiet(model, callbacks=[callback]).fit(TRAIN, 5, VALIDATION)
    assert history.interrupted and len(history.epochs) == 2 and history.best_epoch == 1
    assert same_weights(model.get_weights(), kept[0])


@pytest.mark.parametrize("device", DEVICES)
def test_ctrl_c_in_the_first_epoch_keeps_finite_weights(device):
    class Interrupt(nn.Progress):
        def images(self, epoch, done, cost):
            if done > 40:
                raise KeyboardInterrupt

    model = dense_net()
    before = model.get_weights()
    history = quiet(model, progress=Interrupt(), device=device, mini_batch_size=1).fit(TRAIN, 5, VALIDATION)
    assert history.interrupted and not history.epochs and history.best_epoch is None
    after = model.get_weights()
    assert not same_weights(before, after) and all(np.isfinite(w).all() for w in after.values())


@pytest.mark.parametrize("device", DEVICES)
def test_a_cost_that_is_not_finite_stops_with_the_node_and_the_last_good_weights(device):
    model = nn.Sequential([nn.Dense(8, "relu"), nn.Dense(4, name="scores")], (64,), seed=0)
    images, labels = TRAIN[0].copy(), TRAIN[1]
    images[73, 5] = np.inf
    with pytest.raises(NonFiniteError) as error:
        quiet(model, 0.1, device=device).fit((images, labels), 3)
    text = str(error.value)
    assert "epoch 1, step 8 of 11" in text and "the cost is not finite" in text
    assert "images" in text and "inf at [73, 5]" in text
    wanted = nn.Sequential([nn.Dense(8, "relu"), nn.Dense(4, name="scores")], (64,), seed=0)
    by_hand(wanted, 0.1, 0.0, [slice(i, i + 10) for i in range(0, 70, 10)])
    for key, value in wanted.get_weights().items():
        np.testing.assert_allclose(model.get_weights()[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("device", DEVICES)
def test_a_huge_learning_rate_names_the_node_that_overflows(device):
    model = nn.Sequential([nn.Dense(8), nn.Dense(8), nn.Dense(4, name="scores")], (64,), seed=0)
    with pytest.raises(NonFiniteError) as error:
        quiet(model, 1e15, device=device).fit(TRAIN, 3)
    text = str(error.value)
    assert "step" in text and "test_training.py:" in text and "float32[10, " in text
    assert "hint: a smaller learning rate" in text
    assert all(np.isfinite(w).all() for w in model.get_weights().values())


def test_a_weight_that_overflows_is_seen_though_the_cost_is_finite():
    model = nn.Sequential([nn.Dense(4, "relu"), nn.Dense(4)], (64,), seed=0)
    model.layers[0].w.set_value(-np.ones((64, 4), "float32"))
    t = nn.Trainer(model, nn.SGD(1e37), mini_batch_size=10, lmbda=1e3, progress=False, device="reference")
    with pytest.raises(NonFiniteError, match="a weight becomes not finite"):
        t.fit(TRAIN, 1)
    assert np.array_equal(model.layers[0].w.get_value(), -np.ones((64, 4), "float32"))


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


# -- bad input -------------------------------------------------------------------------------------


def spoilt(labels=None, images=None):
    return (TRAIN[0] if images is None else images, TRAIN[1] if labels is None else labels)


@pytest.mark.parametrize(
    "kind, words, data",
    [
        (DataError, ["label 4 of image 3", "4 classes, 0 to 3"], spoilt(np.r_[0, 1, 2, 4, TRAIN[1][4:]])),
        (DataError, ["label -1 of image 0"], spoilt(np.r_[-1, TRAIN[1][1:]])),
        (ShapeError, ["105 images need labels [105]", "[104]"], spoilt(TRAIN[1][1:])),
        (ShapeError, ["argmax"], spoilt(np.eye(4)[TRAIN[1]])),
        (DTypeError, ["labels are integers", "float64"], spoilt(TRAIN[1] * 1.0)),
        (ShapeError, ["[105, 63]", "[n, 64]"], spoilt(images=TRAIN[0][:, 1:])),
        (ShapeError, ["there are no images"], (TRAIN[0][:0], TRAIN[1][:0])),
        (ShapeError, ["pair (images, labels)"], TRAIN[0]),
        (ShapeError, ["pair (images, labels)", "int"], 7),
    ],
)
def test_bad_data_is_refused_before_the_training(kind, words, data):
    model = dense_net()
    before = model.get_weights()
    for train, validation in ((data, None), (TRAIN, data)):
        with pytest.raises(kind) as error:
            quiet(model).fit(train, 1, validation)
        for word in words:
            assert word in str(error.value)
        assert ("training data" if validation is None else "validation data") in str(error.value)
    assert same_weights(before, model.get_weights())


@pytest.mark.parametrize(
    "kind, word, make",
    [
        (ArgumentError, "mini_batch_size", lambda: quiet(dense_net(), mini_batch_size=0)),
        (ArgumentError, "mini_batch_size", lambda: quiet(dense_net(), mini_batch_size=2.5)),
        (ArgumentError, "patience", lambda: quiet(dense_net(), patience=0)),
        (ArgumentError, "lmbda", lambda: quiet(dense_net(), lmbda=-1.0)),
        (ArgumentError, "seed", lambda: quiet(dense_net(), shuffle=True, seed=-1).fit(TRAIN, 1)),
        (ArgumentError, "seed", lambda: dense_net(seed=0.5)),
        (ArgumentError, "epochs", lambda: quiet(dense_net()).fit(TRAIN, -1)),
        (ConfigError, "learning rate", lambda: nn.SGD("0.1")),
        (ConfigError, "momentum", lambda: nn.SGD(0.1, momentum=1.0)),
        (ConfigError, "nesterov", lambda: nn.SGD(0.1, nesterov=True)),
        (ConfigError, "weight_decay", lambda: nn.Adam(0.1, weight_decay=-1.0)),
        (ConfigError, "decay", lambda: nn.RMSProp(0.1, decay=1.5)),
        (sc.errors.DeviceError, "tpu", lambda: quiet(dense_net(), device="tpu").fit(TRAIN, 1)),
    ],
)
def test_bad_arguments_are_refused(kind, word, make):
    with pytest.raises(kind, match=word):
        make()


# -- weights in files ------------------------------------------------------------------------------

safetensors = pytest.mark.parametrize("suffix", ["safetensors", "npz"])


@safetensors
def test_a_trained_network_comes_back_from_its_file(tmp_path, suffix):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    net = conv_net()
    net.SGD(TRAIN, 1, 10, 0.1, progress=False, device="reference")
    path = tmp_path / f"w.{suffix}"
    net.save(path, {"note": "one epoch"})
    again = nn.load(path)
    assert isinstance(again, nn.Network) and again.summary() == net.summary()
    assert np.array_equal(again.predict_proba(TEST[0]), net.predict_proba(TEST[0]))
    assert checkpoint.load(path).metadata == {"note": "one epoch"}
    other = conv_net(seed=5)
    other.load_weights(path)
    assert same_weights(other.get_weights(), net.get_weights())


def test_a_modular_network_comes_back_from_its_file(tmp_path):
    model = nn.Sequential(
        [
            nn.Conv(3, (3, 2), nn.ReLU, padding=1),
            nn.BatchNorm(eps=1e-3),
            nn.Residual([nn.Conv(3, 3, padding="same")], shortcut=nn.Conv(3, 1), activation=nn.tanh),
            nn.GlobalPool(),
            nn.Dense(4, name="scores"),
        ],
        (1, 8, 8),
        seed=1,
    )
    model.save(tmp_path / "w.npz")
    again = nn.load(tmp_path / "w.npz")
    assert again.summary() == model.summary()
    assert np.array_equal(again.predict_proba(TEST[0]), model.predict_proba(TEST[0]))


def test_weights_of_another_network_change_nothing(tmp_path):
    net = conv_net()
    before = net.get_weights()
    dense_net().save(tmp_path / "w.npz")
    with pytest.raises(WeightsError, match="made for another network"):
        net.load_weights(tmp_path / "w.npz")
    assert same_weights(before, net.get_weights())


def test_a_network_with_functions_of_its_own_is_not_rebuilt_from_its_file_alone(tmp_path):
    def shifted(z):
        return sc.tanh(z) + 1

    def make(seed):
        return nn.Sequential([nn.Dense(3, shifted), nn.Dense(4)], (64,), seed=seed)

    model = make(0)
    model.save(tmp_path / "w.npz")
    with pytest.raises(WeightsError, match="load_weights"):
        nn.load(tmp_path / "w.npz")
    again = make(1)
    again.load_weights(tmp_path / "w.npz")
    assert np.array_equal(again.predict_proba(TEST[0]), model.predict_proba(TEST[0]))


def test_an_unknown_layer_in_a_file_is_named(tmp_path):
    checkpoint.save(
        tmp_path / "w.npz", {}, spec={"model": "Sequential", "input_shape": [4], "layers": [{"layer": "Gru"}]}
    )
    with pytest.raises(WeightsError, match="Gru"):
        nn.load(tmp_path / "w.npz")
