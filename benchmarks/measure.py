"""Interleaved timing: correctness first, then rounds in which every configuration runs once.

A Subject is one configuration in its worker. One that fails or computes something else than the oracle
becomes a row with a note and without figures.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.cores import Cores, Wanted, cores_of, look
from benchmarks.workers import WorkerError, WorkerProcess
from benchmarks.workloads import load_arrays

ATTEMPTS = 5  # at a timing whose cores do not stay as wanted

_numbers = itertools.count(1)


@dataclass
class Subject:
    peer: str
    config: str
    threads: int
    worker: WorkerProcess
    number: int = field(default_factory=lambda: next(_numbers))
    multiple: int = 1
    steps: int = 1
    build_s: float = 0.0
    note: str = ""
    seconds: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)  # MiB
    cores: list[Cores] = field(default_factory=list)  # of each timing of several threads

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.worker.call(command, subject=self.number, **arguments)

    def make(self, command: str, **arguments: Any) -> None:
        """Build it and run it once: what a user waits for before the second step."""
        made = self.call(command, config=self.config, **arguments)
        self.multiple = made["multiple"]
        self.build_s = made["seconds"] + self.run(self.multiple)

    def run(self, n: int) -> float:
        return float(self.call("run", n=n)["seconds"])

    def result(self) -> list[np.ndarray]:
        prefix = f"result{self.number}"
        self.call("result", prefix=prefix)
        return load_arrays(self.worker.folder, prefix)

    def drop(self) -> None:
        """Free it, also after a failure."""
        if self.worker.alive:
            with contextlib.suppress(WorkerError):
                self.call("drop")
        for path in self.worker.folder.glob(f"result{self.number}.*"):
            path.unlink()


def wanted_forms(peer: str, forms: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The peer's forms; only those among `asked` ("PEER:FORM") if some of them are this peer's."""
    own = [a.partition(":")[2] for a in asked if a.startswith(peer + ":")]
    return [f for f in forms if not own or f in own]


@dataclass(frozen=True)
class Protocol:
    """rounds of about `target` seconds each, per configuration. A timing of several threads waits until the
    cores are as `wanted`, and is taken again where they are not when it ends."""

    rounds: int = 7
    target: float = 0.1
    wanted: Wanted = Wanted()

    def calibrate(self, subject: Subject) -> None:
        """Choose subject.steps so that one timing takes about `target` seconds; also warms it up."""
        n = subject.multiple
        for _ in range(6):
            subject.run(n)  # a form whose step count is part of the compiled code compiles here
            seconds = subject.run(n)
            if seconds > 0.6 * self.target:
                break
            wanted = n * min(self.target / max(seconds, 1e-7), 100.0)
            n = max(1, round(wanted / subject.multiple)) * subject.multiple
        subject.steps = n

    def time(self, subjects: Sequence[Subject], progress: Callable[[str], None]) -> None:
        """Fill in seconds per step, one entry per round."""
        for subject in subjects:
            attempt(subject, self.calibrate)
        for turn in range(self.rounds):
            progress(f"round {turn + 1} of {self.rounds}")
            alive = [s for s in subjects if not s.note]
            # every round starts elsewhere, so that no configuration always runs after the same neighbour
            shift = turn * max(1, len(alive) // self.rounds) % max(1, len(alive))
            for subject in alive[shift:] + alive[:shift]:
                attempt(subject, self.timing)

    def timing(self, subject: Subject) -> None:
        """One more entry of subject.seconds, and of subject.cores where it has several threads."""
        if subject.threads == 1:
            subject.seconds.append(subject.run(subject.steps) / subject.steps)
            return
        for _ in range(ATTEMPTS):
            before = self.wanted.settle()
            seconds = subject.run(subject.steps) / subject.steps
            if not self.wanted.met_by(before) or self.wanted.met_by(look()):
                break
        subject.seconds.append(seconds)
        if before is not None:
            subject.cores.append(before)


def attempt(subject: Subject, action: Callable[[Subject], Any]) -> bool:
    """Do it; on failure the subject keeps the reason as its note and is left out from then on."""
    if subject.note:
        return False
    try:
        action(subject)
    except WorkerError as why:
        subject.note = "failed: " + (str(why).splitlines() or ["no message"])[0][:300]
        return False
    return True


def row(
    subject: Subject, workload: str, batch: int | None, metric: str, unit: str, values: Sequence[float]
) -> dict[str, Any]:
    """One row of the results. No values: median, min and max are None and the note says why."""
    return {
        "peer": subject.peer,
        "config": subject.config,
        "threads": subject.threads,
        "workload": workload,
        "batch": batch,
        "metric": metric,
        "unit": unit,
        "median": statistics.median(values) if values else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
        "n": len(values),
        **cores_of(subject.cores),
        "note": subject.note,
    }


def absent_row(
    peer: str, threads: int, workload: str, batch: int | None, metric: str, unit: str, why: str
) -> dict[str, Any]:
    """The row of a peer that is not there."""
    keys = ("median", "min", "max")
    return {
        "peer": peer, "config": None, "threads": threads, "workload": workload, "batch": batch,
        "metric": metric, "unit": unit, **dict.fromkeys(keys), "n": 0, **cores_of([]), "note": why,
    }  # fmt: skip
