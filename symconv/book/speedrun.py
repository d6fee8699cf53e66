"""Speed run: the least time from the start of a process to a test accuracy, compilation and data included.

Every run is a process of its own, `symconv book speedrun --target T --one SEED`, and its clock starts when
the operating system started it: the interpreter, imports, data, plans and every evaluation count. A course is
fixed beforehand; its hyper-parameters were chosen on the book's validation images. The run itself trains on
all 60,000 training images. It is judged on the test images after the course's last epoch, and, where it falls
short, after each further epoch at the last learning rate.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symconv import datasets
from symconv.book.record import FOUR_CONVOLUTIONS, four_convolutions, one_cycle
from symconv.book.runner import make_directory, read_json, write_json
from symconv.config import config
from symconv.device import core_error, resolve_device
from symconv.errors import ConfigError, ExecutionError
from symconv.files import Pathlike
from symconv.nn import (
    Activate,
    Augmentation,
    Conv,
    Dense,
    Flatten,
    Layer,
    Pool,
    Sequential,
    Trainer,
)
from symconv.plan.tuning import cpu_model

SPEEDRUN = "speedrun"
SEEDS = 5
RESULT = "speedrun-{}.json"  # of a device
SINCE = "SYMCONV_SPEEDRUN_SINCE"  # environment variable: time.time() when the parent started the process
MARK = "speedrun: "  # begins the line of a child's result
FURTHER = 2  # as many times the course's epochs, where it falls short


@dataclass(frozen=True)
class Course:
    """How the net for one target is trained: Adam along one cycle of `epochs`."""

    layers: Callable[[], list[Layer]]
    about: str
    epochs: int
    batch: int
    peak: float
    augment: Augmentation | None = None


def two_convolutions() -> list[Layer]:
    """Pooling before the rectifier: a quarter of the values to rectify and to go back through."""
    first = [Conv(20, 5), Pool(2), Activate("relu")]
    second = [Conv(40, 5), Pool(2), Activate("relu")]
    return [*first, *second, Flatten(), Dense(100, "relu"), Dense(10)]


BENDS = Augmentation(translation=1, rotation=8, scale=0.05)
COURSES = {
    99.0: Course(two_convolutions, "20 and 40 5x5 filters, 100 neurons", 2, 128, 0.01),
    99.4: Course(two_convolutions, "20 and 40 5x5 filters, 100 neurons, augmentation", 9, 128, 0.007, BENDS),
    99.6: Course(four_convolutions, FOUR_CONVOLUTIONS, 6, 128, 0.01, BENDS),
}


def course_of(target: float) -> Course:
    if target not in COURSES:
        raise ConfigError(
            f"no course to {target:g} % test accuracy\n  allowed: {', '.join(f'{t:g}' for t in COURSES)}"
        )
    return COURSES[target]


def process_seconds() -> float:
    """Seconds since the operating system started this process.

    Where it does not tell (no /proc), since the parent was about to start it, as SINCE has it. Raises
    ConfigError without either.
    """
    try:
        # Field 22, counted behind the name, which may hold blanks: in clock ticks since the machine's start.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        if SINCE not in os.environ:
            raise ConfigError("speedrun: this system does not tell when a process started") from None
        return time.time() - float(os.environ[SINCE])


def run_one(
    target: float, seed: int, *, epochs: int | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Train in this process; {seconds, reached, test_accuracy, ...}, seconds since the process started."""
    course = course_of(target)
    imported = process_seconds()
    data = datasets.mnist(validation=0, limit=limit)
    loaded = process_seconds()
    model = Sequential(course.layers(), data.image_shape, seed=seed)
    planned = epochs or course.epochs
    tried: list[dict[str, float]] = []

    def judge(trainer: Trainer, row: dict[str, Any]) -> bool:
        if row["epoch"] < planned:
            return False
        accuracy = model.accuracy(data.test)
        tried.append(
            {"epoch": row["epoch"], "test_accuracy": accuracy, "seconds": round(process_seconds(), 3)}
        )
        return 100 * accuracy >= target - 1e-9

    optimizer = one_cycle(planned, course.peak)
    trainer = Trainer(
        model,
        optimizer,
        mini_batch_size=course.batch,
        shuffle=True,
        augment=course.augment,
        keep_best=False,
        callbacks=[judge],
        progress=False,
    )
    history = trainer.fit(data.train, planned * (1 + FURTHER))
    return {
        "target": target,
        "seed": seed,
        "reached": 100 * tried[-1]["test_accuracy"] >= target - 1e-9,
        "seconds": tried[-1]["seconds"],
        "test_accuracy": tried[-1]["test_accuracy"],
        "epochs": int(tried[-1]["epoch"]),
        "seconds_to_import": round(imported, 3),
        "seconds_to_data": round(loaded, 3),
        "seconds_of_training": round(history.training_seconds, 3),
        "tried": tried,
    }


def command(target: float, seed: int, epochs: int | None, limit: int | None) -> list[str]:
    options = [
        sys.executable,
        "-m",
        "symconv",
        "book",
        "speedrun",
        "--target",
        f"{target:g}",
        "--one",
        str(seed),
    ]
    for name, value in (("--epochs", epochs), ("--limit", limit), ("--device", config.device)):
        if value is not None:
            options += [name, str(value)]
    return options


def run_child(target: float, seed: int, epochs: int | None, limit: int | None) -> dict[str, Any]:
    """run_one in a process of its own. Raises ExecutionError with what the process said if it fails."""
    environment = {**os.environ, SINCE: repr(time.time())}
    package = str(Path(importlib.import_module("symconv").__file__ or "").resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command(target, seed, epochs, limit), env=environment, capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            found: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return found
    if done.returncode == 130:
        raise KeyboardInterrupt
    raise ExecutionError(
        f"speedrun: the run to {target:g} % from seed {seed} failed\n  {done.stderr.strip()}"
    )


def speedrun(
    targets: Sequence[float],
    seeds: Sequence[int],
    out: Pathlike,
    *,
    epochs: int | None = None,
    limit: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run every target from every seed, each in a process of its own; the results, which go to OUT too.

    Runs of other targets and seeds that OUT has for this machine and version stay there. The targets take
    turns, seed by seed, so that a slow spell of the machine falls on all. Raises ConfigError, DataError,
    ExecutionError, OutputError.
    """
    for target in targets:
        course_of(target)
    make_directory(Path(out))
    device = resolve_device()
    path = Path(out) / RESULT.format(device)
    facts = {
        "device": device,
        "machine": cpu_model(),
        "threads": threads(),
        "version": importlib.import_module("symconv").__version__,
        "limit": limit,
    }
    before = read_json(path)
    kept = before["targets"] if before and all(before.get(k) == v for k, v in facts.items()) else {}
    found = {t: {r["seed"]: r for r in kept.get(f"{t:g}", {"runs": []})["runs"]} for t in COURSES}
    result: dict[str, Any] = {}
    for seed in seeds:
        for target in targets:
            one = run_child(target, seed, epochs, limit)
            found[target][seed] = one
            word = "reached" if one["reached"] else "NOT reached"
            say(
                f"{target:g} % {word} from seed {seed}: {100 * one['test_accuracy']:.2f} % after "
                f"{one['seconds']:.2f} s and {one['epochs']} epochs"
            )
            sorted_runs = {t: [runs[s] for s in sorted(runs)] for t, runs in found.items() if runs}
            result = {**facts, "targets": {f"{t:g}": summary(t, runs) for t, runs in sorted_runs.items()}}
            write_json(path, result)
    return result


def speedrun_table(results: Sequence[dict[str, Any]]) -> str:
    """A row for each device and target, as Markdown."""
    head = (
        "target",
        "device",
        "net",
        "seconds, mean",
        "least to greatest",
        "reached",
        "accuracy, mean",
        "epochs",
    )
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for result in results:
        where = (
            f"{result['machine']}, {result['threads']} threads"
            if result["device"] == "cpu"
            else result["device"]
        )
        for target, s in result["targets"].items():
            runs = s["runs"]
            mean = "-" if s["mean_seconds"] is None else f"{s['mean_seconds']:.1f}"
            span = (
                "-"
                if s["mean_seconds"] is None
                else f"{s['least_seconds']:.1f} to {s['greatest_seconds']:.1f}"
            )
            epochs = sorted({r["epochs"] for r in runs})
            cells = (
                f"{float(target):.1f} %", where, s["course"], mean, span, f"{s['reached']} of {len(runs)}",
                f"{100 * s['mean_test_accuracy']:.2f} %", ", ".join(map(str, epochs)),
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def read_speedruns(out: Pathlike) -> list[dict[str, Any]]:
    """The results of every device in OUT/speedrun."""
    found = (read_json(path) for path in sorted((Path(out) / SPEEDRUN).glob(RESULT.format("*"))))
    return [result for result in found if result is not None]


def threads() -> int:
    """Of the C++ executor."""
    if core_error() is not None:
        return 1
    return config.num_threads or int(importlib.import_module("symconv._core").num_threads())


def summary(target: float, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest seconds of the runs that reached the target, beside the runs."""
    seconds = [r["seconds"] for r in runs if r["reached"]]
    return {
        "course": COURSES[target].about,
        "reached": len(seconds),
        "mean_seconds": round(float(np.mean(seconds)), 3) if seconds else None,
        "least_seconds": min(seconds, default=None),
        "greatest_seconds": max(seconds, default=None),
        "mean_test_accuracy": float(np.mean([r["test_accuracy"] for r in runs])),
        "runs": list(runs),
    }
