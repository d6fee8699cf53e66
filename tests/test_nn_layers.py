"""Layers: initial weights, shapes that are inferred, the same values as plain NumPy, errors."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs, same_weights

import symconv as sc
from symconv import nn
from symconv.errors import ArgumentError, ConfigError, DTypeError, ShapeError
from symconv.nn.draws import order_draws, weight_draws


def spread(values: np.ndarray, std: float) -> None:
    """The values look drawn from N(0, std^2)."""
    n = values.size
    assert abs(values.mean()) < 5 * std / n**0.5
    assert abs(values.std() / std - 1) < 5 / n**0.5


def test_book_initial_weights():
    net = nn.net("dbl_conv_relu").build(seed=4)
    weights = net.get_weights()
    assert list(weights) == [f"{a}.{b}" for a in ("conv1", "conv2", "fc1", "softmax1") for b in "wb"]
    spread(weights["conv1.w"], (4 / (20 * 25)) ** 0.5)
    spread(weights["conv2.w"], (4 / (40 * 25)) ** 0.5)
    spread(weights["fc1.w"], 0.1)
    spread(np.concatenate([weights["conv1.b"], weights["conv2.b"], weights["fc1.b"]]), 1.0)
    assert not weights["softmax1.w"].any() and not weights["softmax1.b"].any()
    assert {w.dtype for w in weights.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("shallow", 784 * 100 + 100 + 1010),
        ("conv", 520 + 2880 * 100 + 100 + 1010),
        ("dbl_conv", 520 + 20040 + 64000 + 100 + 1010),
        ("dropout", 520 + 20040 + 641000 + 1001000 + 10010),
    ],
)
def test_book_networks_have_their_parameters(name, expected):
    net = nn.net(name).build()
    assert sum(p.variable.type.size for p in net.parameters.values()) == expected
    assert f"{expected:,} parameters" in net.summary()


def test_initial_weights_depend_on_the_seed_alone():
    a, b, c = (nn.net("conv").build(seed=s).get_weights() for s in (1, 1, 2))
    assert same_weights(a, b)
    assert not np.array_equal(a["conv1.w"], c["conv1.w"])
    with sc.config(seed=2):
        assert same_weights(nn.net("conv").build().get_weights(), c)


def test_initial_weights_are_those_of_numpys_seed():
    """As in network3.py: layer by layer, the weights and then the biases."""
    weights = nn.net("conv").build(seed=5).get_weights()
    rng = np.random.RandomState(5)
    expected = [("conv1.w", 4 / 500, (20, 1, 5, 5)), ("conv1.b", 1, (20,))]
    expected += [("fc1.w", 1 / 100, (2880, 100)), ("fc1.b", 1, (100,))]
    for name, variance, shape in expected:
        assert np.array_equal(weights[name], rng.normal(0, variance**0.5, shape).astype("float32")), name


def test_seeds_beyond_32_bits_tell_apart():
    seeds = (5, 2**32 + 5, 2**63 + 5)
    for source in (weight_draws, order_draws):
        draws = [source(seed).permutation(40) for seed in (*seeds, 5)]
        assert np.array_equal(draws[0], draws[3])
        assert not any(np.array_equal(draws[i], draws[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert not np.array_equal(weight_draws(5).permutation(40), order_draws(5).permutation(40))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "5"])
def test_bad_seeds_are_refused(seed):
    for source in (weight_draws, order_draws):
        with pytest.raises(ArgumentError, match="a seed must be an integer"):
            source(seed)


@pytest.mark.parametrize("name, std", [("he", (2 / 300) ** 0.5), ("lecun", (1 / 300) ** 0.5)])
def test_initial_weights_by_name(name, std):
    model = nn.Sequential([nn.Dense(200, initial=name)], (300,), seed=0)
    spread(model.get_weights()["dense1.w"], std)


def test_initial_glorot_stays_in_its_bounds_and_is_the_default():
    w = nn.Sequential([nn.Dense(200)], (300,), seed=0).get_weights()["dense1.w"]
    bound = (6 / 500) ** 0.5
    assert 0.99 * bound < np.abs(w).max() < bound
    relu = nn.Sequential([nn.Dense(200, "relu")], (300,), seed=0).get_weights()["dense1.w"]
    spread(relu, (2 / 300) ** 0.5)


def test_modular_layers_infer_their_shapes():
    model = nn.Sequential(
        [
            nn.Conv(6, 3, "relu", padding="same"),
            nn.BatchNorm(),
            nn.Pool(2),
            nn.Residual([nn.Conv(6, 3, padding=1)], activation="relu"),
            nn.Residual([nn.Conv(8, 3, stride=2, padding=1)], shortcut=nn.Conv(8, 1, stride=2)),
            nn.Pool(2, "avg", stride=1),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Dense(7, "tanh"),
            nn.Activate("elu"),
            nn.Dense(5),
        ],
        (2, 12, 10),
    )
    shapes = [layer.output_shape for layer in model.layers]
    assert shapes == [
        (6, 12, 10), (6, 12, 10), (6, 6, 5), (6, 6, 5), (8, 3, 3), (8, 2, 2), (32,), (32,), (7,), (7,), (5,)
    ]  # fmt: skip
    assert model.n_classes == 5
    assert "residual1.conv1.w" in model.parameters
    assert model.predict_proba(np.zeros((3, 2, 12, 10), "float32")).shape == (3, 5)


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_global_pool_is_numpys(mode):
    model = nn.Sequential([nn.GlobalPool(mode)], (3, 4, 5))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    scores = sc.function([model.x], model.scores)(x.reshape(2, -1))
    want = x.max((2, 3)) if mode == "max" else x.mean((2, 3))
    np.testing.assert_allclose(scores, want, rtol=1e-6)


@pytest.mark.parametrize(
    "activation, f",
    [
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        (nn.tanh, np.tanh),
        (nn.ReLU, lambda z: np.maximum(z, 0)),
        (nn.linear, lambda z: z),
    ],
)
def test_fully_connected_layer_is_numpys(activation, f):
    net = nn.Network([nn.FullyConnectedLayer(12, 9, activation), nn.SoftmaxLayer(9, 3)], 10, seed=2)
    rng = np.random.default_rng(0)
    net.layers[1].w.set_value(rng.normal(size=(9, 3)))
    x = rng.normal(size=(4, 12)).astype("float32")
    w = {k: v.astype("float64") for k, v in net.get_weights().items()}
    z = f(x @ w["fc1.w"] + w["fc1.b"]) @ w["softmax1.w"] + w["softmax1.b"]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(net.predict_proba(x), p, rtol=2e-5, atol=1e-7)
    assert np.array_equal(net.predict(x), p.argmax(1))


def test_conv_pool_layer_is_numpys():
    layer = nn.ConvPoolLayer((3, 2, 3, 3), (1, 2, 8, 6), (2, 2), nn.ReLU)
    net = nn.Network([layer, nn.SoftmaxLayer(18, 2)], 10, seed=1)
    net.layers[1].w.set_value(np.eye(18, 2))
    x = np.random.default_rng(0).normal(size=(5, 2, 8, 6)).astype("float32")
    w, b = layer.w.get_value().astype("float64"), layer.b.get_value()
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    full = np.einsum("nchwrs,kcrs->nkhw", windows, w)
    pooled = full.reshape(5, 3, 3, 2, 2, 2).max((3, 5))
    y = np.maximum(pooled + b[:, None, None], 0).reshape(5, 18)
    np.testing.assert_allclose(
        sc.function([net.x], net.scores)(x.reshape(5, -1)), y[:, :2], rtol=1e-4, atol=1e-5
    )


def test_dropout_layers_scale_as_the_book_does():
    net = nn.Network(
        [nn.FullyConnectedLayer(40, 30, nn.linear, p_dropout=0.25), nn.SoftmaxLayer(30, 2)], seed=1
    )
    net.layers[1].w.set_value(np.eye(30, 2))
    w, b = net.layers[0].w.get_value(), net.layers[0].b.get_value()
    x = np.random.default_rng(0).normal(size=(6, 40)).astype("float32")
    scores = sc.function([net.x], net.scores)(x)
    np.testing.assert_allclose(scores, (0.75 * (x @ w) + b)[:, :2], rtol=1e-4, atol=1e-5)
    train = sc.function([net.x], net.training_scores)
    first, second = train(x), train(x)
    assert not np.array_equal(first, second)
    many = np.mean([train(x) for _ in range(400)], axis=0)
    assert np.abs(many - scores).max() < 5 * np.abs(first - scores).std() / 400**0.5 * 2


def test_dropout_layer_does_nothing_when_used():
    model = nn.Sequential([nn.Dropout(0.9), nn.Dense(3)], (5,))
    x = np.ones((2, 5), "float32")
    np.testing.assert_allclose(
        sc.function([model.x], model.scores)(x), x @ model.layers[1].w.get_value(), rtol=1e-5
    )


@pytest.mark.parametrize("device", DEVICES)
def test_batch_norm_trains_on_the_batch_and_uses_running_averages(device):
    model = nn.Sequential([nn.BatchNorm(momentum=0.8), nn.Flatten(), nn.Dense(2)], (3, 2, 2), seed=0)
    x, y = np.random.default_rng(1).normal(2, 3, (10, 12)).astype("float32"), np.zeros(10, "int32")
    model.layers[2].w.set_value(np.eye(12, 2))
    nn.Trainer(model, nn.SGD(0.0), mini_batch_size=10, progress=False, device=device).fit((x, y), 1)
    images = x.reshape(10, 3, 4)
    weights = model.get_weights()
    np.testing.assert_allclose(weights["batch_norm1.mean"], 0.2 * images.mean((0, 2)), rtol=1e-5)
    var = 0.8 + 0.2 * images.transpose(1, 0, 2).reshape(3, -1).var(1, ddof=1)
    np.testing.assert_allclose(weights["batch_norm1.var"], var, rtol=1e-5)
    scores = sc.function([model.x], model.scores, device=device)(x)
    want = (x[:, :2] - weights["batch_norm1.mean"][0]) / np.sqrt(var[0] + 1e-5)
    np.testing.assert_allclose(scores, want, rtol=1e-4, atol=1e-5)


def test_images_come_in_several_shapes():
    net = nn.net("conv").build((1, 16, 16), 4, seed=0)
    x = np.random.default_rng(0).uniform(size=(3, 256))
    want = net.predict_proba(x)
    assert np.array_equal(net.predict_proba(x.reshape(3, 16, 16)), want)
    assert np.array_equal(net.predict_proba(x.reshape(3, 1, 16, 16)), want)
    assert np.array_equal(net.predict_proba(x, batch_size=2), want)
    np.testing.assert_allclose(net.predict_proba(x[1].reshape(16, 16)), want[1:2], rtol=1e-6)


def test_accuracy_and_confusion_matrix():
    model = nn.Sequential([nn.Dense(3, bias=False)], (3,))
    model.layers[0].w.set_value(np.eye(3))
    x, y = np.eye(3, dtype="float32")[[0, 1, 2, 2]], np.array([0, 1, 1, 2])
    assert model.accuracy((x, y)) == 0.75
    assert model.confusion_matrix((x, y)).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


# -- what is refused -----------------------------------------------------------------------------


def refuse(kind, words, make):
    with pytest.raises(kind) as found:
        make()
    for word in words if isinstance(words, (list, tuple)) else [words]:
        assert word in str(found.value)


def test_layers_that_do_not_fit_name_both_shapes_and_the_line():
    conv = nn.ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28))
    refuse(
        ShapeError,
        ["FullyConnectedLayer(n_in=2881", "2880", "[20, 12, 12]", "test_nn_layers.py:"],
        lambda: nn.Network([conv, nn.FullyConnectedLayer(2881, 10), nn.SoftmaxLayer(10, 10)], 10),
    )


def test_channels_that_do_not_match_are_refused_at_construction():
    refuse(
        ShapeError,
        ["3 channels", "expect 1", "test_nn_layers.py:"],
        lambda: nn.ConvPoolLayer((20, 1, 5, 5), (10, 3, 28, 28)),
    )


def test_filters_larger_than_the_image_are_refused():
    refuse(
        ShapeError,
        ["conv2d", "conv1"],
        lambda: nn.Network([nn.ConvPoolLayer((2, 1, 9, 9), (1, 1, 8, 8)), nn.SoftmaxLayer(2, 2)]),
    )


@pytest.mark.parametrize(
    "kind, words, make",
    [
        (ShapeError, "filter_shape", lambda: nn.ConvPoolLayer((20, 1, 5), (1, 1, 28, 28))),
        (ShapeError, "poolsize", lambda: nn.ConvPoolLayer((2, 1, 5, 5), (1, 1, 28, 28), (0, 2))),
        (ShapeError, "whole numbers", lambda: nn.FullyConnectedLayer(10.5, 3)),
        (ArgumentError, "p_dropout", lambda: nn.FullyConnectedLayer(10, 3, p_dropout=1.0)),
        (ArgumentError, "p_dropout", lambda: nn.SoftmaxLayer(10, 3, p_dropout=-0.1)),
        (ConfigError, ["'swish'", "sigmoid"], lambda: nn.FullyConnectedLayer(10, 3, "swish")),
        (ConfigError, "name or a function", lambda: nn.Dense(3, 7)),
        (ConfigError, ["'eye'", "glorot"], lambda: nn.Sequential([nn.Dense(3, initial="eye")], (2,))),
        (ShapeError, ["Dense", "Flatten"], lambda: nn.Sequential([nn.Dense(3)], (1, 4, 4))),
        (ShapeError, ["takes images"], lambda: nn.Sequential([nn.Conv(3, 3)], (16,))),
        (ShapeError, ["groups"], lambda: nn.Sequential([nn.Conv(4, 3, groups=2), nn.Flatten()], (3, 5, 5))),
        (ShapeError, ["units"], lambda: nn.Sequential([nn.Dense(0)], (3,))),
        (ShapeError, ["mode", "max, avg"], lambda: nn.Sequential([nn.Pool(2, "median")], (1, 4, 4))),
        (ShapeError, ["scores [N, classes]"], lambda: nn.Sequential([nn.Pool(2)], (1, 4, 4))),
        (ShapeError, ["cannot be added"], lambda: nn.Sequential([nn.Residual([nn.Dense(4)])], (3,))),
        (ArgumentError, "list of layers", lambda: nn.Sequential([], (3,))),
        (ArgumentError, "input_shape", lambda: nn.Sequential([nn.Dense(3)], (3, 4))),
        (ArgumentError, ["first layer", "Sequential"], lambda: nn.Network([nn.Dense(3)], 10)),
        (ArgumentError, "one name", lambda: nn.Sequential([nn.Dense(3, name="a") for _ in "ab"], (3,))),
        (ConfigError, ["'vgg'", "dbl_conv_relu"], lambda: nn.net("vgg")),
    ],
)  # fmt: skip
def test_bad_layers_are_refused(kind, words, make):
    refuse(kind, words, make)


def test_a_layer_twice_in_a_model_is_refused():
    layer = nn.Dense(3)
    refuse(ArgumentError, "twice", lambda: nn.Sequential([layer, layer], (3,)))


def test_a_built_layer_keeps_its_weights_and_its_shape():
    layer = nn.Dense(3)
    first = nn.Sequential([layer], (4,), seed=1)
    second = nn.Sequential([layer, nn.Dense(2)], (4,), seed=2)
    assert second.layers[0].w is first.layers[0].w
    refuse(ShapeError, ["was built for inputs [N, 4]", "[N, 5]"], lambda: nn.Sequential([layer], (5,)))


@pytest.mark.parametrize(
    "kind, words, images",
    [
        (ShapeError, ["[3, 15]", "[n, 16]", "[n, 1, 4, 4]"], np.zeros((3, 15))),
        (ShapeError, "no images", np.zeros((0, 16))),
        (DTypeError, "numbers", np.array([["a"] * 16])),
    ],
)
def test_bad_images_are_refused(kind, words, images):
    model = nn.Sequential([nn.Flatten(), nn.Dense(2)], (1, 4, 4))
    refuse(kind, words, lambda: model.predict(images))


def test_nan_in_images_is_found_on_request():
    model = nn.Sequential([nn.Dense(2)], (4,))
    x = np.zeros((3, 4))
    x[2, 1] = np.nan
    model.predict(x)
    with sc.config(check_data=True):
        refuse(sc.errors.NonFiniteError, ["image 2", "pixel 1"], lambda: model.predict(x))


def test_networks_learn_blobs_in_float64():
    with sc.config(floatX="float64"):
        model = nn.Sequential([nn.Dense(4)], (64,), seed=0)
        history = nn.Trainer(model, nn.SGD(0.5), progress=False, device="reference").fit(
            blobs(100), 2, blobs(50, seed=1)
        )
    assert {w.dtype for w in model.get_weights().values()} == {np.dtype("float64")}
    assert history.validation_accuracy == 1.0
