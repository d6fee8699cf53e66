"""Speed runs: the clock starts with the process, each run has its own, and results say what was reached."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from symconv.book import report, speedrun
from symconv.book.speedrun import COURSES, course_of, process_seconds, read_speedruns, speedrun_table, summary
from symconv.cli import main
from symconv.errors import ConfigError, ExecutionError

ROOT = Path(__file__).resolve().parents[1]
PAUSE = """
import time
time.sleep(0.3)
from symconv.book.speedrun import process_seconds
print(process_seconds())
"""


def test_the_clock_starts_with_the_process():
    """More than the child slept before it imported anything, less than the parent saw."""
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PAUSE], cwd=ROOT, capture_output=True, text=True, check=True)
    seen = time.monotonic() - before
    assert 0.3 < float(done.stdout) < seen + 0.02  # the system counts in hundredths


def test_without_proc_the_parent_tells_the_start(monkeypatch):
    def nothing(self, *args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", nothing)
    monkeypatch.setenv(speedrun.SINCE, repr(time.time() - 5))
    assert 5 <= process_seconds() < 60
    monkeypatch.delenv(speedrun.SINCE)
    with pytest.raises(ConfigError, match="does not tell when a process started"):
        process_seconds()


def test_every_course_ends_in_ten_classes_and_one_cycle():
    from symconv import nn

    for course in COURSES.values():
        model = nn.Sequential(course.layers(), (1, 28, 28), seed=0)
        assert model.n_classes == 10 and course.epochs >= 1
    with pytest.raises(ConfigError, match=r"no course to 99.9 .*\n  allowed: 99, 99.4, 99.6"):
        course_of(99.9)


def test_the_command_runs_each_seed_in_a_process_of_its_own(tmp_path, capsys):
    smoke = ["--limit", "200", "--epochs", "1", "--out", str(tmp_path)]
    assert main(["book", "speedrun", "--target", "99", "--runs", "2", *smoke]) == 0
    printed = capsys.readouterr().out
    assert "99 % NOT reached from seed 0" in printed and "| 0 of 2 |" in printed
    (result,) = read_speedruns(tmp_path)
    assert list(result["targets"]) == ["99"] and result["limit"] == 200
    runs = result["targets"]["99"]["runs"]
    assert [r["seed"] for r in runs] == [0, 1] and runs[0]["test_accuracy"] != runs[1]["test_accuracy"]
    for run in runs:
        assert not run["reached"] and run["epochs"] == 1 + speedrun.FURTHER == len(run["tried"])
        assert 0 < run["seconds_to_import"] < run["seconds_to_data"] < run["tried"][0]["seconds"]
        assert run["seconds"] == run["tried"][-1]["seconds"] > run["tried"][0]["seconds"]
    assert result["targets"]["99"]["mean_seconds"] is None


def test_runs_of_other_seeds_and_targets_stay(tmp_path, monkeypatch):
    def child(target, seed, epochs, limit):
        return {"seed": seed, "reached": True, "seconds": next(clock), "test_accuracy": 0.99, "epochs": 1}

    clock = iter(range(1, 100))
    monkeypatch.setattr(speedrun, "run_child", child)
    speedrun.speedrun([99.0, 99.4], [1, 0], tmp_path)
    result = speedrun.speedrun([99.4], [1, 2], tmp_path)
    seconds = {t: {r["seed"]: r["seconds"] for r in s["runs"]} for t, s in result["targets"].items()}
    assert seconds == {"99": {0: 3, 1: 1}, "99.4": {0: 4, 1: 5, 2: 6}}
    assert result["targets"]["99.4"]["mean_seconds"] == 5
    assert list(speedrun.speedrun([99.0], [0], tmp_path, limit=10)["targets"]) == ["99"]  # another experiment


def test_a_run_ends_where_it_reaches_the_target(monkeypatch):
    monkeypatch.setitem(COURSES, 5.0, COURSES[99.0])
    found = speedrun.run_one(5.0, 3, epochs=2, limit=100)
    assert found["reached"] and found["epochs"] == 2 and len(found["tried"]) == 1


def test_a_run_that_fails_says_why(monkeypatch):
    monkeypatch.setattr(
        speedrun, "command", lambda *args: [sys.executable, "-c", "raise SystemExit('no luck')"]
    )
    with pytest.raises(ExecutionError, match=r"99 % from seed 4 failed\n  no luck"):
        speedrun.run_child(99.0, 4, None, None)


def test_the_table_has_means_of_what_was_reached(tmp_path):
    runs = [
        {"seed": s, "reached": s != 2, "seconds": 3.0 + s, "test_accuracy": 0.99 + s / 1e3, "epochs": 2}
        for s in range(3)
    ]
    result = {"device": "cpu", "machine": "M", "threads": 2, "targets": {"99": summary(99.0, runs)}}
    line = speedrun_table([result]).splitlines()[2]
    assert "| 99.0 % | M, 2 threads |" in line and "| 3.5 | 3.0 to 4.0 | 2 of 3 | 99.10 % | 2 |" in line
    (tmp_path / "speedrun").mkdir()
    (tmp_path / "speedrun" / "speedrun-cpu.json").write_text(json.dumps(result))
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- book:begin -->\n<!-- book:end -->\n<!-- speedrun:begin -->\n<!-- speedrun:end -->\n"
    )
    report(page, tmp_path)
    assert line in page.read_text()


def test_options_of_the_run_belong_to_it(capsys):
    assert main(["book", "conv", "--target", "99"]) == 2 and "belongs to" in capsys.readouterr().err
    assert main(["book", "speedrun", "--target", "98"]) == 2 and "no course to 98" in capsys.readouterr().err
    assert main(["book", "speedrun", "--data", "x"]) == 2 and "MNIST alone" in capsys.readouterr().err
