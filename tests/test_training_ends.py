"""How a training ends: patience, callbacks, Ctrl-C, costs that are not finite, bad data, the file left."""

from __future__ import annotations

import numpy as np
import pytest
from nets import TEST, TRAIN, VALIDATION, by_hand, conv_net, dense_net, quiet, scores
from nn_helpers import DEVICES, same_weights

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
from symconv.nn import checkpoint


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
    assert "step" in text and "test_training_ends.py:" in text and "float32[10, " in text
    assert "hint: a smaller learning rate" in text
    assert all(np.isfinite(w).all() for w in model.get_weights().values())


def test_a_weight_that_overflows_is_seen_though_the_cost_is_finite():
    model = nn.Sequential([nn.Dense(4, "relu"), nn.Dense(4)], (64,), seed=0)
    model.layers[0].w.set_value(-np.ones((64, 4), "float32"))
    t = nn.Trainer(model, nn.SGD(1e37), mini_batch_size=10, lmbda=1e3, progress=False, device="reference")
    with pytest.raises(NonFiniteError, match="a weight becomes not finite"):
        t.fit(TRAIN, 1)
    assert np.array_equal(model.layers[0].w.get_value(), -np.ones((64, 4), "float32"))


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
