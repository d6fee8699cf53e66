"""The net that ships with the package: what it is, how good it is, and that it can be made anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from nn_helpers import needs_core

import symconv as sc
from symconv import nn
from symconv.book import shipped
from symconv.cli import main
from symconv.nn import checkpoint
from symconv.nn.saved import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
RESULT = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))


def test_shipped_weights_are_small_and_load_with_numpy_alone(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "safetensors"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert 100_000 < SHIPPED.stat().st_size < 1_000_000
    found = checkpoint.load(SHIPPED)
    assert {w.dtype for w in found.tensors.values()} == {np.dtype("float16")}
    assert sum(w.size for w in found.tensors.values()) == RESULT["parameters"]
    assert found.metadata["classes"] == list("0123456789")
    assert found.metadata["test_accuracy"] == RESULT["test_accuracy"]
    model = nn.load(SHIPPED)
    for name, w in model.get_weights().items():
        assert w.dtype == np.float32 and np.array_equal(w, found.tensors[name])


@needs_core
def test_shipped_net_is_as_good_as_its_file_says():
    data = sc.datasets.mnist()
    model = nn.load(SHIPPED)
    assert model.accuracy(data.test, device="cpu") == pytest.approx(RESULT["test_accuracy"], abs=1.5e-4)
    assert RESULT["test_accuracy"] >= 0.995 and RESULT["test_images"] == 10_000


def test_shipped_net_is_that_of_the_recipe():
    recipe = shipped.Recipe()
    assert recipe.build().spec() == checkpoint.load(SHIPPED).spec
    for name in ("epochs", "mini_batch_size", "seed"):
        assert RESULT[name] == getattr(recipe, name)
    assert RESULT["augment"] == repr(recipe.augment) and len(RESULT["history"]) == recipe.epochs
    assert repr(recipe.peak) in RESULT["optimizer"]
    page = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    told = page.split("<!-- shipped:begin -->\n")[1].split("<!-- shipped:end -->")[0]
    assert told == shipped.describe(RESULT)


@needs_core
def test_the_recipe_trains_goes_on_and_writes_what_ships(tmp_path, capsys, monkeypatch):
    pytest.importorskip("safetensors")
    argv = ["--out", str(tmp_path / "a"), "--limit", "300", "--epochs", "2"]
    assert shipped.main(argv) == 0
    assert "Test " in capsys.readouterr().out
    result = json.loads((tmp_path / "a" / "mnist.json").read_text())
    assert result.keys() == RESULT.keys()
    assert result["test_images"] == 300 and len(result["history"]) == 2
    weights = (tmp_path / "a" / "mnist.safetensors").read_bytes()
    model = nn.load(tmp_path / "a" / "mnist.safetensors")
    test = sc.datasets.mnist(limit=300).test
    assert model.accuracy(test) == pytest.approx(result["test_accuracy"], abs=0.01)
    (tmp_path / "a" / "mnist.safetensors").unlink()
    assert shipped.main(argv) == 0  # from the state after the last epoch
    assert (tmp_path / "a" / "mnist.safetensors").read_bytes() == weights


def test_predict_needs_no_weights(tmp_path, capsys):
    test = sc.datasets.mnist(limit=20).test
    np.save(tmp_path / "digits.npy", test.images)
    assert main(["predict", "--device", "reference", str(tmp_path / "digits.npy")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1][0] for line in lines] == [str(k) for k in test.labels]


def test_predict_reads_a_photograph_of_a_digit_as_the_page_reads_a_drawing(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    test = sc.datasets.mnist(limit=8).test
    names = []
    for k, digit in enumerate(test.images.reshape(-1, 28, 28)):
        paper = np.full((500, 400), 230.0)  # grey paper, dark ink, off centre
        paper[100 : 100 + 28 * 9, 20 + 9 * k : 20 + 9 * k + 28 * 9] -= 200 * np.kron(digit, np.ones((9, 9)))
        names.append(str(tmp_path / f"{k}.png"))
        image.fromarray(paper.astype("uint8")).save(names[-1])
    assert main(["predict", "--device", "reference", *names]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1][0] for line in lines] == [str(k) for k in test.labels]
