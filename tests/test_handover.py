"""The time between two cores, which stands beside figures of several threads."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import handover  # noqa: E402


def test_rounds_wait_until_the_cores_are_near(monkeypatch):
    apart = iter([430.0, 425.0, 99.0, 101.0])
    monkeypatch.setattr(handover, "handover", lambda: next(apart))
    monkeypatch.setattr(handover.time, "sleep", lambda seconds: None)
    assert handover.near(220) == 99.0
    assert handover.near(220) == 101.0
    monkeypatch.setattr(handover, "handover", lambda: 430.0)
    assert handover.near(220, patience=0) == 430.0
    monkeypatch.setattr(handover, "handover", lambda: None)
    assert handover.near(220) is None


def test_handover_is_measured_between_two_cores(core):
    from symconv import _core

    ns = handover.handover()
    assert ns is None if _core.num_threads() == 1 else ns is None or 1 < ns < 1e7


def test_there_is_no_handover_without_the_core(monkeypatch):
    monkeypatch.setattr(handover, "core_error", lambda: "not built")
    assert handover.handover() is None and handover.near(220) is None
