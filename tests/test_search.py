"""The search for hyper-parameters: its points, its ranking, and the command that goes on where it stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from nn_helpers import DEVICES, blobs

from symconv import nn
from symconv.cli import main
from symconv.errors import ArgumentError
from symconv.nn.hyper import ranked

TRAIN, VALIDATION = blobs(60), blobs(40, seed=1)


def build(setting, seed):
    net = nn.Sequential([nn.Flatten(), nn.Dense(8, "relu"), nn.Dense(4)], (1, 8, 8), seed=seed)
    return net, nn.SGD(setting["eta"]), setting.get("lmbda", 0.0)


def test_a_grid_is_every_combination():
    assert nn.grid({"eta": [1, 2], "lmbda": [0, 3]}) == [
        {"eta": 1, "lmbda": 0}, {"eta": 1, "lmbda": 3}, {"eta": 2, "lmbda": 0}, {"eta": 2, "lmbda": 3}
    ]  # fmt: skip
    for values in (nn.LogUniform(0.1, 1), [], "abc", 0.1):
        with pytest.raises(ArgumentError, match="eta needs a list"):
            nn.grid({"eta": values})


def test_points_follow_their_distributions():
    space = {"eta": nn.LogUniform(1e-3, 10), "lmbda": nn.Uniform(-1, 3), "kind": ["a", "b", "c"]}
    points = nn.sample(space, 4000, seed=3)
    assert points[:50] == nn.sample(space, 50, seed=3) != nn.sample(space, 50, seed=4)
    eta = np.log10([p["eta"] for p in points])
    assert np.histogram(eta, 4, (-3, 1))[0] == pytest.approx([1000] * 4, abs=120)
    lmbda = np.array([p["lmbda"] for p in points])
    assert np.histogram(lmbda, 4, (-1, 3))[0] == pytest.approx([1000] * 4, abs=120)
    assert abs(np.corrcoef(eta, lmbda)[0, 1]) < 0.05
    assert sorted({p["kind"] for p in points}) == ["a", "b", "c"]
    for wrong in (lambda: nn.LogUniform(0, 1), lambda: nn.Uniform(2, 1), lambda: nn.Uniform(0, float("inf"))):
        with pytest.raises(ArgumentError):
            wrong()
    with pytest.raises(ArgumentError, match="number of points"):
        nn.sample(space, 0)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("together", [1, 3, 4, 100])
def test_every_setting_is_trained_from_every_seed(device, together):
    """Whatever is trained at once: the accuracies are those of trainings by themselves."""
    settings = [{"eta": 0.001, "lmbda": 0.1}, {"eta": 0.3, "lmbda": 0.0}, {"eta": 0.05, "lmbda": 0.0}]
    told = []
    trials = nn.search(
        build, settings, TRAIN, VALIDATION, 4, seeds=(5, 6), together=together, device=device,
        after=told.append,
    )  # fmt: skip
    assert [t.setting for t in told] == settings and ranked(told) == trials
    assert [t.accuracy for t in trials] == sorted((t.accuracy for t in trials), reverse=True)
    assert trials[0].setting["eta"] == 0.3 and trials[-1].setting["eta"] == 0.001
    for trial in told:
        for seed, accuracy, best in zip((5, 6), trial.accuracies, trial.best_epochs):
            model, optimizer, lmbda = build(trial.setting, seed)
            alone = nn.Trainer(model, optimizer, lmbda=lmbda, progress=False, device=device)
            history = alone.fit(TRAIN, 4, VALIDATION)
            assert (history.validation_accuracy, history.best_epoch) == (accuracy, best)


@pytest.mark.parametrize("together", [1, 2])
def test_a_training_that_diverges_ranks_last_and_stops_no_other(together):
    settings = [{"eta": 1e30}, {"eta": 0.3}]
    trials = nn.search(build, settings, TRAIN, VALIDATION, 2, together=together, device="reference")
    assert [t.setting["eta"] for t in trials] == [0.3, 1e30]
    assert trials[1].accuracies == (None,) and "not finite" in trials[1].stopped[0]
    assert trials[1].accuracy == 0 and trials[0].stopped == (None,)


def test_bad_searches_are_refused():
    for changes in ({"settings": []}, {"seeds": (1, 1)}, {"seeds": ()}, {"together": 0}):
        given = {"settings": [{"eta": 1}], "seeds": (0,), **changes}
        with pytest.raises(ArgumentError, match="search"):
            nn.search(build, train=TRAIN, validation=VALIDATION, epochs=1, **given)


def test_the_command(tmp_path, capsys):
    base = ["search", "--net", "shallow", "--limit", "60", "--epochs", "1", "--out", str(tmp_path)]
    assert main([*base, "--eta", "0.1,0.5", "--lmbda", "0,5"]) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 settings to train" in printed and "4 of 4: eta" in printed
    result = json.loads((tmp_path / "search.json").read_text())
    assert result["net"] == "shallow" and len(result["trials"]) == 4
    accuracies = [t["validation_accuracy"] for t in result["trials"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert main([*base, "--eta", "0.1,0.5,0.7", "--lmbda", "0,5"]) == 0
    assert "2 of 6 settings to train" in capsys.readouterr().out
    assert main([*base, "--eta", "0.01:1", "--trials", "2", "--epochs", "2"]) == 2
    assert "another search" in capsys.readouterr().err
    drawn = [*base[:-1], str(tmp_path / "drawn"), "--eta", "0.01:1", "--trials", "2", "--seeds", "2"]
    assert main(drawn) == 0
    result = json.loads((tmp_path / "drawn" / "search.json").read_text())
    assert [len(t["accuracies"]) for t in result["trials"]] == [2, 2]
    assert all(0.01 <= t["setting"]["eta"] <= 1 and t["setting"]["lmbda"] == 0 for t in result["trials"])
    assert main([*base, "--trials", "3"]) == 2 and "taken whole" in capsys.readouterr().err
    (tmp_path / "search.json").write_text("{}")
    assert main(base) == 2 and "not the results of a search" in capsys.readouterr().err
    for text in ("a", "1:0", "0:1", "-1"):
        with pytest.raises(SystemExit):
            main([*base, f"--eta={text}"])
