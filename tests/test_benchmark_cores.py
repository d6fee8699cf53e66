"""What the cores are worth, which stands beside figures of several threads."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cores, measure  # noqa: E402
from benchmarks.cores import Cores, Wanted  # noqa: E402

FAR, HALVED, GOOD = Cores(430.0, 1.9), Cores(99.0, 1.0), Cores(101.0, 1.9)


@pytest.fixture
def seen(monkeypatch):
    """What look() finds from now on, without any wait."""
    looks: list[Cores | None] = []
    for module in (cores, measure):
        monkeypatch.setattr(module, "look", lambda: looks.pop(0) if len(looks) > 1 else looks[0])
    monkeypatch.setattr(cores.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(cores, "WORK", 0.0)
    return looks


def test_it_waits_until_the_cores_are_near_and_whole(seen):
    seen[:] = [FAR, HALVED, Cores(None, 1.9), HALVED, FAR, GOOD, FAR]
    assert Wanted(near=220, whole=1.6).settle() == GOOD
    seen[:] = [FAR, HALVED]
    assert Wanted(near=220).settle() == HALVED
    seen[:] = [HALVED, FAR]
    assert Wanted(whole=1.6).settle() == FAR
    seen[:] = [HALVED]
    assert Wanted().settle() == HALVED


def test_it_waits_no_longer_than_its_patience_and_not_for_one_core(seen):
    seen[:] = [FAR]
    assert Wanted(near=220).settle(patience=0) == FAR
    seen[:] = [None]
    assert Wanted(near=220, whole=1.6).settle() is None


class Run:
    """A subject of `threads` threads whose n-th run takes n seconds a step."""

    steps = 1

    def __init__(self, threads):
        self.threads, self.seconds, self.cores = threads, [], []
        self.runs = itertools.count(1)

    def run(self, steps):
        return float(next(self.runs))


def test_a_timing_is_taken_again_if_the_cores_do_not_stay_as_wanted(seen):
    protocol, subject = measure.Protocol(wanted=Wanted(whole=1.6)), Run(2)
    seen[:] = [GOOD, HALVED, GOOD, FAR]
    protocol.timing(subject)
    assert (subject.seconds, subject.cores) == ([2.0], [GOOD])
    seen[:] = list(itertools.islice(itertools.cycle([GOOD, HALVED]), 2 * measure.ATTEMPTS))
    protocol.timing(subject)
    assert subject.seconds == [2.0, 2.0 + measure.ATTEMPTS]  # it does not try for ever


def test_a_timing_of_one_thread_asks_nothing_of_the_cores(seen):
    subject = Run(1)
    measure.Protocol(wanted=Wanted(whole=1.6)).timing(subject)
    assert (subject.seconds, subject.cores) == ([1.0], [])


def test_cores_are_measured(core):
    from symconv import _core

    found = cores.look()
    if _core.num_threads() == 1:
        assert found is None
    else:
        assert found.handover_ns is None or 1 < found.handover_ns < 1e7
        assert 0 < found.whole < 4 * _core.num_threads()


def test_nothing_is_measured_without_the_core(monkeypatch):
    monkeypatch.setattr(cores, "core_error", lambda: "not built")
    assert cores.look() is None and Wanted(near=220).settle() is None
