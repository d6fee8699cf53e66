"""The command line, end to end on a small data set: train, predict, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import ROOT, error_of, start
from nn_helpers import DEVICES, blobs, needs_core

import symconv as sc
from symconv import nn
from symconv.cli import main
from symconv.nn import checkpoint

pytest.importorskip("safetensors")
FILES = {"result.json", "weights.safetensors", "curves.png", "filters.png", "errors.png"}


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Images of 16 x 16 in four classes, 120 to train with, 40 to validate, 40 to test."""
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    arrays = {}
    for i, (name, n) in enumerate((("train", 120), ("val", 40), ("test", 40))):
        images, labels = blobs(n, 16, seed=i)
        arrays |= {f"x_{name}": (255 * images).astype("uint8").reshape(n, 16, 16), f"y_{name}": labels}
    np.savez(path, **arrays)
    return path


def train(data: Path, out: Path, *options: str) -> int:
    return main(["train", "--data", str(data), "--out", str(out), "--device", "reference", *options])


# -- train -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "device"),
    [("shallow", "reference"), *(pytest.param(net, "cpu", marks=needs_core) for net in nn.NETS)],
)
def test_train_writes_all_results(net, device, data, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "deep" / "run"
    code = main(
        ["train", "--net", net, "--epochs", "1", "--seed", "3", "--batch", "20", "--limit", "40",
         "--data", str(data), "--device", device, "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    assert {p.name for p in out.iterdir()} == FILES - ({"filters.png"} if net == "shallow" else set())
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in out.glob("*.png"))
    result = json.loads((out / "result.json").read_text())
    recipe = nn.net(net)
    assert result["net"] == net and result["device"] == device and result["epochs"] == 1
    assert result["seed"] == 3 and result["version"] == sc.__version__
    assert result["eta"] == recipe.eta and result["lmbda"] == recipe.lmbda and result["mini_batch_size"] == 20
    assert result["seconds"] > 0 and result["images_per_s"] > 0
    assert 0 <= result["validation_accuracy"] <= 1 and 0 <= result["test_accuracy"] <= 1
    assert [row["epoch"] for row in result["history"]] == [1] and not result["interrupted"]
    printed = capsys.readouterr().out
    assert f"Training {net} on 40 images" in printed and "Epoch 1: cost" in printed and str(out) in printed


def test_train_learns_repeats_and_keeps_the_best_weights(data, tmp_path):
    for name in "ab":
        code = train(
            data, tmp_path / name, "--net", "shallow", "--epochs", "6", "--seed", "1", "--eta", "0.5"
        )
        assert code == 0
    a, b = tmp_path / "a", tmp_path / "b"
    assert (a / "weights.safetensors").read_bytes() == (b / "weights.safetensors").read_bytes()
    result = json.loads((a / "result.json").read_text())
    assert result["validation_accuracy"] == max(row["validation_accuracy"] for row in result["history"]) > 0.9
    model = nn.load(a / "weights.safetensors")
    split = sc.datasets.load(data).validation
    assert model.accuracy(split, device="reference") == result["validation_accuracy"]


def test_train_options_reach_the_trainer(data, tmp_path, capsys):
    out = tmp_path / "o"
    options = ["--net", "shallow", "--epochs", "9", "--eta", "0", "--lmbda", "0.5", "--patience", "2"]
    assert train(data, out, *options, "--shuffle", "--expand", "--batch", "60") == 0
    result = json.loads((out / "result.json").read_text())
    assert result["epochs"] == 3 and result["eta"] == 0 and result["lmbda"] == 0.5
    printed = capsys.readouterr().out
    assert "on 600 images" in printed and "Stopped after epoch 3" in printed


def test_train_without_matplotlib_says_so_and_writes_the_rest(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train(data, tmp_path / "o", "--net", "shallow", "--epochs", "1") == 0
    assert "No pictures" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "o").iterdir()} == {"result.json", "weights.safetensors"}


def test_defaults_are_the_books():
    settings = {n.name: (n.epochs, n.mini_batch_size, n.eta, n.lmbda) for n in nn.NETS.values()}
    assert settings == {
        "shallow": (60, 10, 0.1, 0.0),
        "conv": (60, 10, 0.1, 0.0),
        "dbl_conv": (60, 10, 0.1, 0.0),
        "dbl_conv_relu": (60, 10, 0.03, 0.1),
        "dropout": (40, 10, 0.03, 0.0),
    }


@pytest.mark.parametrize("device", DEVICES)
def test_ctrl_c_ends_cleanly_and_keeps_the_best_weights(device, data, tmp_path):
    process = start(
        "train", "--net", "shallow", "--epochs", "100000", "--data", str(data), "--device", device,
        "--out", str(tmp_path),
    )  # fmt: skip
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Epoch 3:"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (lines, out, err)
    assert "Traceback" not in err and "Interrupted" in out
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["interrupted"] and result["epochs"] >= 3
    model = nn.load(tmp_path / "weights.safetensors")
    split = sc.datasets.load(data).validation
    assert model.accuracy(split, device=device) == result["validation_accuracy"]


def test_ctrl_c_in_the_first_epoch_keeps_the_weights_so_far(data, tmp_path):
    process = start(
        "train", "--net", "dropout", "--batch", "1", "--epochs", "1", "--expand", "--data", str(data),
        "--device", "reference", "--out", str(tmp_path),
    )  # fmt: skip
    assert process.stdout.readline().startswith("Training dropout")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, (out, err)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epochs"] == 0 and result["validation_accuracy"] is None
    assert all(
        np.isfinite(w).all() for w in checkpoint.load(tmp_path / "weights.safetensors").tensors.values()
    )


# -- what goes wrong in train ----------------------------------------------------------------------


def test_a_cost_that_explodes_names_step_and_node_and_keeps_good_weights(data, tmp_path, capsys):
    text = error_of(
        capsys, 2, "train", "--net", "dbl_conv_relu", "--eta", "1e12", "--data", str(data), "--limit", "80",
        "--device", "reference", "--out", str(tmp_path),
    )  # fmt: skip
    assert "epoch 1, step " in text and "net dbl_conv_relu (" in text and "weights.safetensors" in text
    weights = checkpoint.load(tmp_path / "weights.safetensors").tensors
    assert all(np.isfinite(w).all() for w in weights.values())
    assert "not finite" in json.loads((tmp_path / "result.json").read_text())["stopped"]


def test_an_unwritable_directory_is_refused_before_the_training(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(nn.Trainer, "fit", lambda *a: pytest.fail("training began"))
    (tmp_path / "file").write_text("here")
    text = error_of(capsys, 2, "train", "--data", str(data), "--out", str(tmp_path / "file"))
    assert str(tmp_path / "file") in text
    text = error_of(capsys, 2, "train", "--data", str(data), "--out", str(tmp_path / "file" / "deeper"))
    assert "cannot make the output directory" in text
    (tmp_path / "o" / "result.json").mkdir(parents=True)
    assert "is a directory" in error_of(capsys, 2, "train", "--data", str(data), "--out", str(tmp_path / "o"))
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        text = error_of(capsys, 2, "train", "--data", str(data), "--out", str(tmp_path / "locked"))
        assert "may not write" in text


def test_missing_and_damaged_data_is_named_and_nothing_is_written(data, tmp_path, capsys):
    out = tmp_path / "o"
    text = error_of(capsys, 2, "train", "--data", str(tmp_path / "no.npz"), "--out", str(out))
    assert "no.npz" in text and "no such file" in text
    cut = tmp_path / "cut.npz"
    cut.write_bytes(data.read_bytes()[:1000])
    assert "cut.npz" in error_of(capsys, 2, "train", "--data", str(cut), "--out", str(out))
    assert not any(out.iterdir())


@pytest.mark.parametrize(
    "argv, word",
    [
        (["--net", "resnet"], "dbl_conv_relu"),
        (["--device", "tpu"], "reference"),
        (["--epochs", "0"], "must be 1 or more"),
        (["--eta", "nan"], "finite"),
        (["--eta", "-1"], "finite"),
        (["--batch", "ten"], "whole number"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_bad_options_are_explained(argv, word, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", *argv])
    assert end.value.code == 2
    assert word in capsys.readouterr().err


def test_an_unknown_device_in_the_environment_is_explained(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SYMCONV_DEVICE": "tpu"}
    done = subprocess.run(
        [sys.executable, "-m", "symconv", "train", "--out", str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "SYMCONV_DEVICE" in done.stderr and "reference" in done.stderr


def test_a_traceback_is_shown_on_request(tmp_path, capsys):
    for argv in (["--traceback", "predict"], ["predict", "--traceback"]):
        assert main([*argv, "--weights", str(tmp_path / "no"), "x.png"]) == 2
        text = capsys.readouterr().err
        assert "Traceback" in text and "no such weights file" in text


# -- predict ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def weights(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    assert train(data, out, "--net", "shallow", "--epochs", "6", "--seed", "1", "--eta", "0.5") == 0
    return out / "weights.safetensors"


def predictions(capsys, weights: Path, *paths: Path) -> list[dict]:
    argv = ["predict", "--device", "reference", "--json", "--weights", str(weights), *map(str, paths)]
    assert main(argv) == 0
    return json.loads(capsys.readouterr().out)


def test_predict_reads_arrays_as_the_training_did(weights, data, tmp_path, capsys):
    split = sc.datasets.load(data).test
    capsys.readouterr()
    want = nn.load(weights).predict_proba(split.images, device="reference")
    pixels = (split.images * 256).astype("uint8").reshape(-1, 16, 16)
    for name, array in (("u8", pixels), ("flat", split.images), ("chw", pixels[:, None])):
        np.save(tmp_path / f"{name}.npy", array)
        found = predictions(capsys, weights, tmp_path / f"{name}.npy")
        assert [r["image"] for r in found[:2]] == [f"{tmp_path / name}.npy[0]", f"{tmp_path / name}.npy[1]"]
        np.testing.assert_allclose([list(r["probabilities"].values()) for r in found], want, rtol=1e-6)
        assert [int(r["class"]) for r in found] == want.argmax(1).tolist()
    np.save(tmp_path / "one.npy", pixels[0])
    assert main(["predict", "--weights", str(weights), str(tmp_path / "one.npy")]) == 0
    line = capsys.readouterr().out
    assert line == f"{tmp_path / 'one.npy'}: {want[0].argmax()}  ({100 * want[0].max():.1f} %)\n"


def test_predict_reads_pictures_light_on_dark_and_dark_on_light(weights, data, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    split = sc.datasets.load(data).test
    capsys.readouterr()
    pixels = (split.images[0] * 256).astype("uint8").reshape(16, 16)
    dark = pixels.copy()
    dark[0] = dark[-1] = dark[:, 0] = dark[:, -1] = 0
    image.fromarray(dark).save(tmp_path / "light_on_dark.png")
    image.fromarray(255 - dark).save(tmp_path / "dark_on_light.png")
    image.fromarray(255 - dark).convert("RGB").save(tmp_path / "colour.png")
    clear = np.stack([np.zeros_like(dark)] * 3 + [dark], -1)  # black ink, transparent elsewhere
    image.fromarray(clear, "RGBA").save(tmp_path / "clear.png")
    names = ("light_on_dark", "dark_on_light", "colour", "clear")
    found = predictions(capsys, weights, *(tmp_path / f"{n}.png" for n in names))
    p = np.array([list(r["probabilities"].values()) for r in found])
    want = nn.load(weights).predict_proba(dark.reshape(1, -1) / 256, device="reference")
    np.testing.assert_allclose(p, np.repeat(want, 4, 0), atol=1e-5)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: None, ["no such image file"]),
        (lambda p: p.mkdir(), ["a directory"]),
        (lambda p: p.write_bytes(b"\x89PNG nothing"), ["not a readable"]),
    ],
)
@pytest.mark.parametrize("name", ["x.png", "x.npy"])
def test_predict_explains_bad_images(make, words, name, weights, tmp_path, capsys):
    pytest.importorskip("PIL.Image")
    capsys.readouterr()
    make(tmp_path / name)
    text = error_of(capsys, 2, "predict", "--weights", str(weights), str(tmp_path / name))
    assert name in text and all(word in text for word in words)


@pytest.mark.parametrize(
    "array, word",
    [
        (np.zeros((3, 28, 28)), "[3, 28, 28]"),
        (np.zeros((0, 256)), "one image or more"),
        (np.full((1, 256), np.nan), "NaN"),
        (np.array(["a"]), "no numbers"),
    ],
)
def test_predict_explains_bad_arrays(array, word, weights, tmp_path, capsys):
    capsys.readouterr()
    np.save(tmp_path / "x.npy", array)
    assert word in error_of(capsys, 2, "predict", "--weights", str(weights), str(tmp_path / "x.npy"))


def test_predict_explains_bad_weights(weights, tmp_path, capsys):
    capsys.readouterr()
    np.save(tmp_path / "x.npy", np.zeros((1, 256)))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    for path, word in ((tmp_path / "no.safetensors", "no such weights file"), (cut, "cut.safetensors")):
        assert word in error_of(capsys, 2, "predict", "--weights", str(path), str(tmp_path / "x.npy"))
