"""Feature maps and the comparison of experiments: what they show, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from nn_helpers import blobs

from symconv import nn, viz
from symconv.errors import OutputError, ShapeError

pytest.importorskip("matplotlib")
ROWS = {"a": (97.8, [97.7, 97.9]), "b": (None, [98.0]), "c": (99.0, [])}


def net():
    layers = [
        nn.ConvPoolLayer((3, 1, 3, 3), (1, 1, 8, 8), (2, 2), "relu"),
        nn.FullyConnectedLayer(27, 6, "tanh", p_dropout=0.5),
        nn.SoftmaxLayer(6, 4),
    ]
    model = nn.Network(layers, 10, seed=0)
    model.layers[-1].w.set_value(np.random.default_rng(0).normal(size=(6, 4)).astype("float32"))
    return model


def test_layer_outputs_are_those_of_the_trained_net():
    model, (images, _) = net(), blobs(5)
    found = nn.layer_outputs(model, images)
    assert {name: v.shape for name, v in found.items()} == {
        "conv1": (5, 3, 3, 3), "fc1": (5, 6), "softmax1": (5, 4), "output": (5, 4)
    }  # fmt: skip
    np.testing.assert_array_equal(found["output"], model.predict_proba(images))
    w, b = (p.get_value() for p in (model.layers[1].w, model.layers[1].b))
    wanted = np.tanh(0.5 * found["conv1"].reshape(5, 27) @ w + b)  # dropout's scale after training
    np.testing.assert_allclose(found["fc1"], wanted, rtol=1e-4, atol=1e-5)


def test_layer_outputs_of_a_modular_net():
    model = nn.Sequential([nn.Conv(2, 3), nn.BatchNorm(), nn.Flatten(), nn.Dense(4)], (1, 8, 8), seed=0)
    images, _ = blobs(3)
    found = nn.layer_outputs(model, images)
    assert list(found) == [layer.name for layer in model.layers] + ["output"]
    np.testing.assert_array_equal(found["output"], model.predict_proba(images))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures_are_written_and_repeat(suffix, tmp_path):
    images, _ = blobs(1)
    maps = {name: v[0] for name, v in nn.layer_outputs(net(), images).items()}
    for k in "ab":
        viz.plot_features(images[0].reshape(8, 8), maps, tmp_path / f"f{k}.{suffix}", title="a digit")
        viz.plot_comparison(ROWS, tmp_path / f"c{k}.{suffix}", title="all")
    for name in "fc":
        a, b = ((tmp_path / f"{name}{k}.{suffix}").read_bytes() for k in "ab")
        assert a == b and a[:4] in (b"\x89PNG", b"<?xm")


def test_the_words_are_there(tmp_path):
    images, _ = blobs(1)
    maps = {name: v[0] for name, v in nn.layer_outputs(net(), images).items()}
    text = viz.plot_features(images[0].reshape(8, 8), maps, tmp_path / "f.svg").read_text()
    assert "conv1: 3 maps of 3×3" in text and "fc1: 6 values" in text
    text = viz.plot_comparison(ROWS, tmp_path / "c.svg", goal="the goal").read_text()
    assert text.count("not run") == 1 and "the goal" in text and "mean of the runs" in text


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ShapeError, match=r"image is \[H, W\]"):
        viz.plot_features(np.zeros(64), {}, tmp_path / "f.png")
    with pytest.raises(ShapeError, match=r"conv1 is .* not \[1, 2, 3, 3\]"):
        viz.plot_features(np.zeros((8, 8)), {"conv1": np.zeros((1, 2, 3, 3))}, tmp_path / "f.png")
    with pytest.raises(ShapeError, match="rows are"):
        viz.plot_comparison({}, tmp_path / "c.png")
    with pytest.raises(ShapeError, match="rows are"):
        viz.plot_comparison({"a": (None, [])}, tmp_path / "c.png")
    with pytest.raises(OutputError, match="ends in"):
        viz.plot_comparison(ROWS, tmp_path / "c.gif")
    viz.plot_features(np.full((8, 8), np.nan), {"x": np.full(3, np.nan)}, tmp_path / "nan.png")
