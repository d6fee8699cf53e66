"""The page to draw on: what a net shows of a drawing, and the command."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from demo_helpers import look, picture, save, unpack

import symconv as sc
from symconv import nn
from symconv.cli import main
from symconv.datasets import centred
from symconv.demo.app import MOST_SIDE
from symconv.demo.field import fields
from symconv.demo.net import DemoNet
from symconv.errors import WeightsError

pytest_plugins = ["demo_fixtures"]


def test_look_gives_what_predict_and_layer_outputs_give(running, weights):
    found = look(running, picture())
    model = nn.load(weights)
    image = centred(picture() / np.float32(256), (20, 24), threshold=0)
    p = model.predict_proba(image.reshape(1, -1), device="reference")[0]
    np.testing.assert_allclose(found["certainty"], p, rtol=1e-5)
    assert found["answer"] == p.argmax()
    np.testing.assert_allclose(unpack(found["image"]), image, atol=1 / 255)
    outputs = nn.layer_outputs(model, image.reshape(1, -1), device="reference")
    names = [layer["name"] for layer in found["layers"]]
    assert names == ["conv1", "pool1", "conv2", "batch_norm1", "dense1", "dense2"]  # what changes the values
    for layer in found["layers"]:
        want = outputs[layer["name"]][0]
        assert layer["shape"] == list(want.shape)
        step = (layer["high"] - layer["low"]) / 255
        assert np.abs(unpack(layer) - want).max() <= 0.51 * step
        assert layer["low"] == min(0, want.min()) and layer["high"] == max(0, want.max())


def test_look_names_the_strongest_filters_their_weights_and_what_they_saw(running, weights):
    found = look(running, picture())
    model = nn.load(weights)
    image = unpack(found["image"])
    outputs = nn.layer_outputs(model, image.reshape(1, -1), device="reference")
    for name, inputs in (("conv1", image[None]), ("conv2", outputs["pool1"][0])):
        maps, w = outputs[name][0], model.get_weights()[f"{name}.w"]
        fired = [f for f in found["fired"] if f["layer"] == name]
        peaks = maps.reshape(len(maps), -1).max(1)
        assert [f["filter"] for f in fired] == [k for k in np.argsort(-peaks) if peaks[k] > 0]
        for f in fired:
            assert f["value"] == pytest.approx(peaks[f["filter"]], abs=0.02)
            weight = np.sqrt((w[f["filter"]] ** 2).sum((1, 2))) * np.abs(inputs).mean((1, 2))
            assert f["channel"] == weight.argmax() and f["channels"] == len(inputs)
            want = w[f["filter"], f["channel"]]
            np.testing.assert_allclose(unpack(f["kernel"]), want, atol=np.abs(want).max() / 200)
    # The framed pixels are those that the unit depends on: others may change, these may not.
    f = found["fired"][0]
    top, left, height, width = f["field"]
    assert (height, width) == (5, 5)
    inside = np.zeros_like(image)
    inside[top : top + height, left : left + width] = 1
    alone = nn.layer_outputs(model, (image * inside).reshape(1, -1), device="reference")["conv1"][0]
    unit = (f["filter"], *f["unit"])
    assert alone[unit] == pytest.approx(outputs["conv1"][0][unit], abs=1e-5)


def test_fields_hold_every_pixel_that_a_unit_depends_on():
    layers = [
        nn.Conv(2, (3, 5), stride=(2, 1), padding=1, dilation=(2, 1)),
        nn.Activate("tanh"),
        nn.Pool(3, "avg", stride=2),
        nn.Conv(2, 3, padding="same"),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(3),
    ]
    model = nn.Sequential(layers, (1, 21, 17), seed=0)
    rng = np.random.default_rng(1)
    image = rng.normal(size=(21, 17)).astype("float32")
    plain = nn.layer_outputs(model, image, device="reference")
    found = fields(model.layers)
    assert found[-2:] == [None, None] and all(found[:-2])
    for layer, field in zip(model.layers[:5], found):
        rows, columns = plain[layer.name].shape[2:]
        unit = (rows // 2, columns - 1)
        top, left, height, width = field.box(unit, (21, 17))
        inside = np.zeros((21, 17), bool)
        inside[top : top + height, left : left + width] = True
        noise = rng.normal(size=(21, 17)).astype("float32")
        here = (0, slice(None), *unit)
        for changed, same in (((image, noise), True), ((noise, image), False)):
            value = nn.layer_outputs(model, np.where(inside, *changed), device="reference")[layer.name]
            assert np.array_equal(value[here], plain[layer.name][here]) == same, layer.name
        # Nor is the field too large: its first and last rows and columns count.
        for edge in ((top, slice(None)), (top + height - 1, slice(None)), (slice(None), left)):
            changed = image.copy()
            changed[edge] += 1
            value = nn.layer_outputs(model, changed, device="reference")[layer.name]
            assert not np.array_equal(value[here], plain[layer.name][here]), layer.name


def test_the_books_layers_and_groups_show_their_filters(tmp_path):
    book = nn.Network(
        [
            nn.ConvPoolLayer((3, 1, 5, 5), (10, 1, 28, 28), (2, 2), "relu"),
            nn.ConvPoolLayer((4, 3, 5, 5), (10, 3, 12, 12), (2, 2), "relu"),
            nn.FullyConnectedLayer(64, 10, "relu", p_dropout=0.5),
            nn.SoftmaxLayer(10, 10),
        ],
        10,
        seed=1,
    )
    found = DemoNet(save(tmp_path / "book.npz", book), "reference").look(picture())
    assert {f["layer"]: f["kernel"]["shape"] for f in found["fired"]} == {"conv1": [5, 5], "conv2": [5, 5]}
    boxes = {f["layer"]: f["field"][2:] for f in found["fired"]}
    assert boxes["conv1"] == [6, 6] and max(boxes["conv2"]) <= 16
    groups = nn.Sequential(
        [nn.Conv(4, 3, "relu"), nn.Conv(6, 3, "relu", groups=2), nn.GlobalPool(), nn.Dense(2)],
        (1, 9, 9),
        seed=1,
    )
    for f in DemoNet(save(tmp_path / "groups.npz", groups), "reference").look(picture())["fired"]:
        if f["layer"] == "conv2":
            assert f["channel"] // 2 == f["filter"] // 3, "a filter sees its own group alone"


def test_an_empty_drawing_has_no_answer(running):
    found = look(running, np.zeros((9, 9), np.uint8))
    assert found["answer"] is None and not unpack(found["image"]).any()
    assert len(found["certainty"]) == 4 and sum(found["certainty"]) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 1), (1, MOST_SIDE), (MOST_SIDE, 1), (MOST_SIDE, MOST_SIDE)])
def test_drawings_of_every_size_are_looked_at(running, shape):
    found = look(running, np.full(shape, 255, np.uint8) * (np.arange(shape[1]) % 7 > 2).astype("uint8"))
    assert np.isfinite(found["certainty"]).all()


def test_a_net_for_flat_images_and_one_without_names_of_classes(tmp_path):
    model = nn.Network([nn.FullyConnectedLayer(784, 12), nn.SoftmaxLayer(12, 5)], 10, seed=0)
    net = DemoNet(save(tmp_path / "flat.npz", model), "reference")
    assert net.size == (28, 28) and net.classes == ["0", "1", "2", "3", "4"]
    found = net.look(picture())
    assert found["fired"] == [] and [layer["shape"] for layer in found["layers"]] == [[12], [5]]


def test_nets_that_take_no_grey_images_are_refused(tmp_path):
    colour = nn.Sequential([nn.Flatten(), nn.Dense(2)], (3, 8, 8))
    with pytest.raises(WeightsError, match=r"colour.npz: its net takes images \[3, 8, 8\]"):
        DemoNet(save(tmp_path / "colour.npz", colour), "reference")
    wide = nn.Sequential([nn.Dense(2)], (50,))
    with pytest.raises(WeightsError, match=r"takes images \[50\]"):
        DemoNet(save(tmp_path / "wide.npz", wide), "reference")
    flat = nn.Sequential([nn.Dense(2)], (49,))
    for strange in ({"image_shape": [1, 7, 8]}, {"image_shape": 7}, {"image_shape": [49, "x"]}):
        with pytest.raises(WeightsError, match="takes images"):
            DemoNet(save(tmp_path / "flat.npz", flat, **strange), "reference")
    with pytest.raises(WeightsError, match="names .* for a net of 2 classes"):
        DemoNet(save(tmp_path / "flat.npz", flat, classes=["a"]), "reference")


def test_a_net_of_float64_is_shown_too(tmp_path):
    with sc.config(floatX="float64"):
        model = nn.Sequential([nn.Conv(2, 3, "relu"), nn.Flatten(), nn.Dense(2)], (1, 7, 7), seed=0)
        net = DemoNet(save(tmp_path / "double.npz", model), "reference")
    assert sum(net.look(picture())["certainty"]) == pytest.approx(1)


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--weights", "no.safetensors"], "no.safetensors: no such weights file"),
        (["--host", "0.0.0.0"], "on this machine alone"),
    ],
)
def test_demo_explains_what_is_wrong(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("symconv.cli.demo.serve", lambda server: pytest.fail("served"))
    assert main(["demo", "--no-browser", "--device", "reference", "--port", "0", *argv]) == 2
    text = capsys.readouterr().err
    assert text.startswith("symconv demo: error: ") and words in text and "Traceback" not in text


def test_demo_refuses_ports_that_are_none(capsys):
    for port in ("-1", "65536", "http"):
        with pytest.raises(SystemExit):
            main(["demo", "--port", port])
        assert "--port" in capsys.readouterr().err


def test_demo_serves_opens_a_browser_and_ends_with_ctrl_c(weights, tmp_path):
    environment = {**os.environ, "BROWSER": str(tmp_path / "browser"), "DISPLAY": ":0"}
    (tmp_path / "browser").write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    (tmp_path / "browser").chmod(0o755)
    options = ["--port", "0", "--device", "reference", "--weights", str(weights)]
    process = subprocess.Popen(
        [sys.executable, "-m", "symconv", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert url, line + process.stderr.read()
        connection = http.client.HTTPConnection("127.0.0.1", int(url[1]), timeout=20)
        connection.request("GET", "/api/nets")
        nets = json.loads(connection.getresponse().read())["nets"]
        assert [net["name"] for net in nets] == [str(weights), "the one that ships with symconv"]
        end = time.monotonic() + 20
        while not (tmp_path / "opened").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text().strip() == url[0]
        process.send_signal(signal.SIGINT)  # with a connection still open
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0 and out == "Ended.\n" and err == ""
        connection.close()
    finally:
        process.kill()
