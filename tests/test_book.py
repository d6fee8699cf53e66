"""The book's experiments: all of them run, go on after an interruption, and are reported as they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from symconv import config, datasets, nn
from symconv.book import EXPERIMENTS, Plan, experiment, read_results, report, run, runner, table
from symconv.book.ensemble import judge
from symconv.cli import main
from symconv.device import core_error
from symconv.errors import ArgumentError, ConfigError, DataError, OutputError, ShapeError, WeightsError
from symconv.files import locked
from symconv.nn.committee import decide, plurality

pytest.importorskip("safetensors")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "book"
SMOKE = 60 if core_error() is None else 10  # images of each split


def without_clocks(path: Path) -> dict:
    result = json.loads(path.read_text())
    del result["seconds"], result["planned_epochs"]
    for row in result["history"]:
        del row["seconds"], row["images_per_s"]
    return result


# -- the definitions -------------------------------------------------------------------------------


def test_hyper_parameters_are_the_books():
    found = {
        n: (e.net.epochs, e.net.eta, e.net.lmbda, e.net.mini_batch_size, e.runs, e.expanded, e.book)
        for n, e in EXPERIMENTS.items()
        if e.recipe is None
    }
    relu = (60, 0.03, 0.1, 10, 3, True)
    assert found == {
        "shallow": (60, 0.1, 0.0, 10, 3, False, 97.80),
        "conv_no_fc": (60, 0.1, 0.0, 10, 3, False, None),
        "conv": (60, 0.1, 0.0, 10, 3, False, 98.78),
        "dbl_conv": (60, 0.1, 0.0, 10, 3, False, 99.06),
        "tanh": (60, 0.1, 0.0, 10, 3, False, None),
        "relu": (60, 0.03, 0.1, 10, 3, False, 99.23),
        "relu_sweep": (60, 0.03, 0.1, 10, 3, False, 99.23),
        **{f"expanded_{n}": (*relu, b) for n, b in ((100, 99.37), (300, 99.46), (1000, 99.43))},
        **{f"double_fc_{n}": (*relu, b) for n, b in ((100, 99.43), (300, 99.48), (1000, 99.47))},
        "dropout": (40, 0.03, 0.0, 10, 3, True, 99.60),
        "ensemble": (40, 0.03, 0.0, 10, 5, True, 99.67),
    }
    sweep = [net.lmbda for net in EXPERIMENTS["relu_sweep"].variants().values()]
    assert sweep == [0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0]


@pytest.mark.parametrize(
    "name, sizes, activation",
    [
        ("shallow", [(784, 100), (100, 10)], "sigmoid"),
        ("conv_no_fc", [(20, 1, 5, 5), (2880, 10)], "sigmoid"),
        ("conv", [(20, 1, 5, 5), (2880, 100), (100, 10)], "sigmoid"),
        ("dbl_conv", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 100), (100, 10)], "sigmoid"),
        ("tanh", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 100), (100, 10)], "tanh"),
        ("relu", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 100), (100, 10)], "relu"),
        ("expanded_300", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 300), (300, 10)], "relu"),
        ("double_fc_300", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 300), (300, 300), (300, 10)], "relu"),
        ("dropout", [(20, 1, 5, 5), (40, 20, 5, 5), (640, 1000), (1000, 1000), (1000, 10)], "relu"),
    ],
)
def test_networks_are_the_books(name, sizes, activation):
    model = experiment(name).net.build(seed=0)
    assert [w.type.shape for w in model.weights] == sizes
    assert {layer.activation_fn for layer in model.layers[:-1]} == {activation}
    dropped = [getattr(layer, "p_dropout", 0.0) for layer in model.layers]
    assert dropped == ([0, 0, 0.5, 0.5, 0.5] if name == "dropout" else [0] * len(dropped))


def record_net(name):
    """Shapes behind its poolings, and the maps of its convolutions and features of its dense layer."""
    e = experiment(name)
    model = e.recipe.build(e.net, (1, 28, 28), 10, 0)
    shapes = [layer.output_shape for layer in model.layers if layer.kind in ("pool", "global_pool")]
    return shapes, [w.type.shape[0] for w in model.weights]


def test_the_record_nets():
    """The large one goes from 28 x 28 to 14, 7 and 4, as in the recipe that it follows."""
    shapes, maps = record_net("record")
    assert shapes == [(128, 14, 14), (256, 7, 7), (512, 4, 4), (512,)]
    assert maps == [128, 128, 128, 256, 256, 512, 512, 512]
    shapes, maps = record_net("record_small")
    assert shapes == [(32, 12, 12), (64, 4, 4), (128,)] and maps == [32, 64, 64, 128, 128]
    rate = EXPERIMENTS["record"].recipe.optimizer(11).schedule
    assert rate(0) == 4e-4 and rate(10) == pytest.approx(4e-5) and rate(11) == 0


def test_the_expanded_data_are_five_times_as_many():
    plan = Plan(limit=30)
    images, labels = plan.expanded
    assert images.shape == (150, 784) and np.bincount(labels, minlength=10).tolist() == (
        5 * np.bincount(plan.dataset.train.labels, minlength=10)
    ).tolist()  # fmt: skip


# -- runs ------------------------------------------------------------------------------------------


# The record net in full size is the small one with more maps, and too slow for a test.
@pytest.mark.parametrize("name", sorted(set(EXPERIMENTS) - {"record", "record_committee"}))
def test_every_experiment_runs(name, tmp_path):
    e = EXPERIMENTS[name]
    small = len(e.variants()) > 1 or e.recipe is not None
    plan = Plan(tmp_path, epochs=1, runs=1, limit=min(SMOKE, 20) if small else SMOKE)
    assert run(name, plan, progress=False)
    results = read_results(tmp_path)[e.members or name]
    assert set(results) == set(e.variants())
    for variant, (result, *_) in results.items():
        assert result["epochs"] == 1 and result["stopped"] is None and result["device"]
        assert result["lmbda"] == e.variants()[variant].lmbda
        more = 0 if e.recipe is None or e.recipe.holds_out else len(plan.dataset.validation)
        assert result["train_images"] == plan.limit * (5 if e.expanded else 1) + more
        assert 0 <= result["test_accuracy"] <= 1
        weights = tmp_path / (e.members or name) / variant / "run-0.weights.safetensors"
        accuracy = nn.load(weights).accuracy(plan.dataset.test)
        assert accuracy == result.get("one_view_test_accuracy", result["test_accuracy"])
    rows = {line.split(" | ")[0]: line for line in table(tmp_path).splitlines()}
    assert "not run" not in rows[f"| {e.members or name}"]
    if e.members:
        assert judge(e, plan)["members"] == [f"{e.members}/run-0.json"]


def test_runs_have_their_own_seeds_and_are_not_done_twice(tmp_path):
    plan = Plan(tmp_path, epochs=1, runs=2, limit=40, seed=7)
    told: list[str] = []
    assert run("shallow", plan, progress=False, say=told.append)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "shallow").glob("run-*")}
    assert {p.name for p in files} == {
        f"run-{s}.{end}" for s in (7, 8) for end in ("json", "state.safetensors", "weights.safetensors")
    }
    assert without_clocks(tmp_path / "shallow/run-7.json") != without_clocks(tmp_path / "shallow/run-8.json")
    assert run("shallow", plan, progress=False, say=told.append)
    assert [line.split(":")[1].split(",")[0] for line in told] == [" 1 epochs"] * 2 + [" done before"] * 2
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "shallow").glob("run-*")} == files


def test_more_epochs_go_on_from_what_is_there(tmp_path):
    name = "dropout"  # its masks come from a counter that must go on too
    for epochs in (1, 3):
        assert run(name, Plan(tmp_path / "a", epochs=epochs, runs=1, limit=8), progress=False)
    assert run(name, Plan(tmp_path / "b", epochs=3, runs=1, limit=8), progress=False)
    a, b = (without_clocks(tmp_path / d / name / "run-0.json") for d in "ab")
    assert a == b and a["epochs"] == 3
    a, b = ((tmp_path / d / name / "run-0.weights.safetensors").read_bytes() for d in "ab")
    assert a == b


def start(out: Path, epochs: int) -> subprocess.Popen:
    command = ["book", "shallow", "--runs", "1", "--limit", "200", "--epochs", str(epochs), "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "symconv", *command],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SYMCONV_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_with_the_same_bits(how, tmp_path):
    process = start(tmp_path / "cut", 100000)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Epoch 3:"):
            break
    process.send_signal(how)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), (lines, rest)
    assert ("goes on after the last whole epoch" in rest) == (how == signal.SIGINT)
    directory = tmp_path / "cut" / "shallow"
    done = json.loads((directory / "run-0.json").read_text())["epochs"]
    assert done >= 2 and not {p.name for p in directory.glob("*.json")} - {"run-0.json"}
    epochs = done + 2
    for out in ("cut", "whole"):
        with config(num_threads=1):  # as in the process: the same bits ask for as many threads
            assert run("shallow", Plan(tmp_path / out, epochs=epochs, runs=1, limit=200), progress=False)
    cut, whole = (without_clocks(tmp_path / d / "shallow" / "run-0.json") for d in ("cut", "whole"))
    assert cut == whole and cut["epochs"] == epochs
    cut, whole = (
        (tmp_path / d / "shallow" / "run-0.weights.safetensors").read_bytes() for d in ("cut", "whole")
    )
    assert cut == whole


def test_a_run_belongs_to_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    plan = Plan(out=tmp_path, epochs=1, runs=1, limit=200)
    state = tmp_path / "shallow" / runner.STATE.format(0)
    state.parent.mkdir()
    with locked(state), pytest.raises(OutputError, match="run-0.*another process"):
        run("shallow", plan)
    assert not state.exists()
    assert run("shallow", plan) and state.exists()


def test_a_run_that_diverges_is_a_result(tmp_path, monkeypatch):
    e = EXPERIMENTS["shallow"]
    wild = replace(e, net=replace(e.net, eta=1e30))
    monkeypatch.setitem(EXPERIMENTS, "shallow", wild)
    told: list[str] = []
    assert run("shallow", Plan(tmp_path, epochs=3, runs=1, limit=40), progress=False, say=told.append)
    assert "not finite" in told[-1]


def test_results_of_other_data_are_not_gone_on_with(tmp_path):
    run("shallow", Plan(tmp_path, epochs=1, runs=1, limit=40), progress=False)
    with pytest.raises(WeightsError, match="another training"):
        run("shallow", Plan(tmp_path, epochs=1, runs=1, limit=50), progress=False)


def test_limited_results_have_a_directory_of_their_own():
    assert Plan(limit=9).directory != Plan().directory != Plan(limit=8).directory


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown experiment 'deep'\n  allowed: shallow, conv_no_fc"):
        run("deep")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        run("shallow", Plan(tmp_path / "file", limit=10))
    (tmp_path / "shallow").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "shallow" / "run-0.json").write_text(text)
        with pytest.raises(DataError, match="run-0.json"):
            table(tmp_path)


# -- the committee ---------------------------------------------------------------------------------


def test_plurality_is_the_books():
    """Counter(votes).most_common(1), as conv.py's ensemble() has it."""
    from collections import Counter

    votes = np.random.default_rng(0).integers(0, 4, (5, 300))
    wanted = [Counter(column).most_common(1)[0][0] for column in votes.T.tolist()]
    assert plurality(votes, 4).tolist() == wanted
    assert any(len(set(column)) > 2 for column in votes.T.tolist())  # ties among them


def test_vote_and_mean_differ_where_they_should():
    p = np.array([[[0.6, 0.4]], [[0.55, 0.45]], [[0.0, 1.0]]])
    assert decide(p, "vote").tolist() == [0] and decide(p, "mean").tolist() == [1]
    with pytest.raises(ArgumentError, match="vote or mean"):
        decide(p, "median")
    with pytest.raises(ShapeError, match="members"):
        decide(p[0])


def test_a_committee_decides_as_its_members_do():
    models = [EXPERIMENTS["shallow"].net.build(seed=s) for s in range(3)]
    rng = np.random.default_rng(0)
    for m in models:  # the softmax layer starts at zero: all classes alike
        m.layers[-1].w.set_value(rng.normal(size=(100, 10)).astype("float32"))
    images, labels = datasets.mnist(limit=50).test
    committee = nn.Committee(models)
    votes = np.stack([m.predict(images) for m in models])
    assert np.array_equal(committee.predict(images), plurality(votes, 10))
    mean = np.mean([m.predict_proba(images) for m in models], 0)
    assert np.array_equal(committee.predict(images, rule="mean"), mean.argmax(1))
    assert committee.accuracy((images, labels)) == np.mean(plurality(votes, 10) == labels)
    with pytest.raises(ArgumentError, match="same images and classes"):
        nn.Committee([models[0], nn.Sequential([nn.Dense(3)], (784,))])
    with pytest.raises(ArgumentError, match="no model"):
        nn.Committee([])


def test_a_net_that_sees_more_than_one_view_of_an_image():
    """The mean over the image and its copies, bent as in the first epochs of a training on them."""
    model = nn.Sequential([nn.Conv(2, 5), nn.GlobalPool("max"), nn.Dense(10)], (1, 28, 28), seed=1)
    images, labels = datasets.mnist(limit=20).test
    bends = nn.Augmentation(rotation=20, translation=2)
    views = nn.Views(bends, 2)
    seen = [images, bends(images, 1), bends(images, 2)]
    want = np.mean([model.predict_proba(i) for i in seen], 0)
    got = views.predict_proba(model, images)
    assert got.dtype == np.float32 and not np.allclose(got, model.predict_proba(images), atol=1e-4)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    committee = nn.Committee([model])
    assert np.array_equal(committee.probabilities(images, views=views), got[None])
    assert committee.accuracy((images, labels), views=views) == np.mean(got.argmax(1) == labels)
    dense = nn.Sequential([nn.Dense(10)], (784,), seed=1)
    want = np.mean([dense.predict_proba(i) for i in seen], 0)
    np.testing.assert_allclose(views.predict_proba(dense, images), want, rtol=1e-6)
    with pytest.raises(ShapeError, match="images are"):
        views.predict_proba(nn.Sequential([nn.Dense(10)], (300,)), images[:, :300])
    for count in (0, True, 1.5):
        with pytest.raises(ArgumentError, match="whole number > 0"):
            nn.Views(bends, count)


def test_record_small_is_judged_by_its_views(tmp_path):
    """Also where the training was cut off between the last epoch and that."""
    e, plan = EXPERIMENTS["record_small"], Plan(tmp_path, epochs=1, runs=1, limit=40)
    assert run("record_small", plan, progress=False)
    path = tmp_path / "record_small" / "run-0.json"
    result = json.loads(path.read_text())
    model = nn.load(tmp_path / "record_small" / "run-0.weights.safetensors")
    images, labels = plan.dataset.test
    assert e.recipe.views.count == 16 and "count=16" in result["views"]
    assert result["test_accuracy"] == np.mean(e.recipe.views.predict_proba(model, images).argmax(1) == labels)
    assert result["one_view_test_accuracy"] == result["history"][-1]["test_accuracy"]
    del result["one_view_test_accuracy"]
    path.write_text(json.dumps(result))
    before = path.read_text()
    said = []
    assert run("record_small", plan, progress=False, say=said.append)
    assert "done before" not in said[0] and "one_view_test_accuracy" in path.read_text() != before
    assert run("record_small", plan, progress=False, say=said.append) and "done before" in said[-1]


def test_the_committee_of_the_ensemble(tmp_path):
    e, plan = EXPERIMENTS["ensemble"], Plan(tmp_path, epochs=2, runs=3, limit=30)
    assert run("ensemble", plan, progress=False)
    result = judge(e, plan)
    labels = plan.dataset.test.labels
    kept = np.load(tmp_path / "ensemble" / "predictions.npz")
    assert kept["probabilities"].shape == (3, 30, 10)
    assert np.array_equal(kept["vote"], plurality(kept["probabilities"].argmax(2), 10))
    assert result["test_accuracy"] == np.mean(kept["vote"] == labels) == result["last"]["vote"]
    assert [row["image"] for row in result["errors"]] == np.flatnonzero(kept["vote"] != labels).tolist()
    last = [r["history"][-1]["test_accuracy"] for r in read_results(tmp_path)["dropout"][""]]
    best = [r["test_accuracy"] for r in read_results(tmp_path)["dropout"][""]]
    assert result["last"]["members"] == last and result["best"]["members"] == best
    assert f"({len(result['errors'])} wrong of 30)" in table(tmp_path)


# -- the table and the command ---------------------------------------------------------------------


def put(out: Path, name: str, seed: int, test: float, epochs: int = 60, validation: float = 0.5) -> None:
    path = out / name / f"run-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"seed": seed, "epochs": epochs, "test_accuracy": test, "validation_accuracy": validation}
    path.write_text(json.dumps({**result, "train_images": 50000, "history": [{}]}))


def test_the_table_says_what_was_done(tmp_path):
    for seed, accuracy in enumerate((0.9876, 0.9861)):
        put(tmp_path, "conv", seed, accuracy, 60 - seed)
    put(tmp_path, "relu_sweep/lmbda-0.1", 0, 0.9915, validation=0.992)
    put(
        tmp_path, "relu_sweep/lmbda-1", 0, 0.9925, validation=0.991
    )  # better on the test images, and not taken
    rows = {line.split(" | ")[0].strip("| "): line for line in table(tmp_path).splitlines() if " | " in line}
    assert "| 98.78 | 98.76 | 98.69 | 0.15 | 2 of 3 | 59 of 60 | 50,000 |" in rows["conv"]
    assert "| 97.80 | not run |  |  | 0 of 3 | 0 of 60 |" in rows["shallow"]
    assert "| 99.23 | 99.15 (lambda 0.1) | 99.15 | - | 1 of 3 |" in rows["relu_sweep"]
    assert rows["0.001"] == "| 0.001 | not run |  | 0 |" and "| 99.10 | 99.25 | 1 |" in rows["1"]
    assert set(EXPERIMENTS) <= set(rows)


def test_the_page_has_the_table_of_the_results():
    page = (ROOT / "docs" / "book.md").read_text()
    assert page == report_module().with_tables(page, "book.md", RESULTS), (
        "python -m symconv book --report docs/book.md --out benchmarks/results/book"
    )


def report_module():
    import importlib

    return importlib.import_module("symconv.book.report")


def test_a_page_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(OutputError, match="book:begin"):
        report(page, tmp_path)
    assert page.read_text() == "text"
    with pytest.raises(OutputError, match="cannot read"):
        report(tmp_path / "none.md", tmp_path)


def test_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["book", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{name} " in printed for name in EXPERIMENTS) and "99.67" in printed
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- book:begin -->\nold\n<!-- book:end -->\nb\n")
    smoke = ["--epochs", "1", "--limit", "40", "--runs", "2", "--out", str(tmp_path / "out")]
    assert main(["book", "conv", *smoke, "--report", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "conv run 0: 1 epochs, eta 0.1, lambda 0" in printed and "of 2 runs (book: 98.78 %)" in printed
    assert "2 of 3 | 1 of 60 | 40 |" in page.read_text() and "old" not in page.read_text()
    names = {p.name for p in (tmp_path / "out" / "conv").iterdir()}
    assert {f"{n}.{s}" for n in ("curves", "errors", "filters", "features") for s in ("png", "svg")} < names
    assert {"comparison.png", "comparison.svg"} < {p.name for p in (tmp_path / "out").iterdir()}
    assert (
        main(["book", "conv", *smoke, "--digit", "40"]) == 2 and "40 test images" in capsys.readouterr().err
    )
    assert main(["book"]) == 2 and "allowed: shallow" in capsys.readouterr().err
    assert main(["book", "nothing"]) == 2
    assert runner.read_json(tmp_path / "none.json") is None
