"""Learning-rate schedules: their formulas, borders, and refused parameters."""

from __future__ import annotations

import math

import pytest

from symconv.errors import ConfigError
from symconv.nn.schedules import Constant, Cosine, Exponential, OneCycle, Step, Then, Warmup, as_schedule

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "schedule, values",
    [
        (Constant(0.1), {0: 0.1, 5: 0.1, 1e6: 0.1}),
        (Step(0.8, every=2), {0: 0.8, 1.9: 0.8, 2: 0.4, 3: 0.4, 4: 0.2}),
        (Step(1.0, every=10, factor=0.1), {9: 1.0, 10: 0.1, 25: 0.01}),
        (Exponential(0.5, 0.9), {0: 0.5, 1: 0.45, 2: 0.405, 0.5: 0.5 * math.sqrt(0.9)}),
        (Cosine(1.0, 10), {0: 1.0, 5: 0.5, 2.5: (1 + math.sqrt(0.5)) / 2, 10: 0.0, 11: 0.0}),
        (Cosine(1.0, 10, last=0.2), {0: 1.0, 5: 0.6, 10: 0.2, 100: 0.2}),
        (OneCycle(1.0, 100), {0: 0.04, 15: 0.52, 30: 1.0, 65: (1 + 1e-4) / 2, 100: 1e-4, 200: 1e-4}),
        (OneCycle(2.0, 10, rise=0.5, start_div=2, end_div=4), {0: 1.0, 5: 2.0, 10: 0.5}),
        (Warmup(4, 0.8), {0: 0.0, 1: 0.2, 4: 0.8, 9: 0.8}),
        (Warmup(2, Cosine(1.0, 10), start=0.5), {0: 0.5, 1: 0.75, 2: 1.0, 7: 0.5, 12: 0.0}),
        (Then(Cosine(1.0, 4, 0.5), 4, Cosine(0.5, 2)), {0: 1.0, 2: 0.75, 4: 0.5, 5: 0.25, 6: 0.0, 9: 0.0}),
        (Then(0.3, 2, 0.1), {0: 0.3, 1.99: 0.3, 2: 0.1}),
        (Warmup(2, lambda t: 3.0 + t), {1: 1.5, 2: 3.0, 4: 5.0}),
    ],
)
def test_schedule_follows_its_formula(schedule, values):
    for t, rate in values.items():
        assert schedule(t) == pytest.approx(rate, rel=1e-12, abs=1e-15), f"t = {t}"
        assert type(schedule(t)) is float


@pytest.mark.parametrize("schedule", [Cosine(1.0, 7, 0.1), OneCycle(1.0, 7), Warmup(3, Cosine(1.0, 4))])
def test_schedule_is_continuous(schedule):
    steps = [schedule(i / 1000) for i in range(10_000)]
    assert max(abs(a - b) for a, b in zip(steps, steps[1:])) < 2e-3


def test_schedules_compare_and_print():
    assert Warmup(4, 0.8) == Warmup(4, Constant(0.8)) and Cosine(1, 2) != Cosine(1, 3)
    assert repr(Step(0.1, 2)) == "Step(rate=0.1, every=2, factor=0.5)"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Constant(-0.1), r"Constant\(rate=-0.1\): rate"),
        (lambda: Constant(NAN), "rate"),
        (lambda: Constant("0.1"), "rate"),
        (lambda: Constant(True), "rate"),
        (lambda: Step(0.1, every=0), "every"),
        (lambda: Step(0.1, every=1, factor=-1), "factor"),
        (lambda: Step(INF, every=1), "rate"),
        (lambda: Exponential(0.1, 1.1), "decay"),
        (lambda: Exponential(0.1, 0), "decay"),
        (lambda: Cosine(0.1, 0), "length"),
        (lambda: Then(0.1, 0, 0.2), "length"),
        (lambda: Cosine(0.1, 5, last=-1), "last"),
        (lambda: OneCycle(0.1, 5, rise=1.0), "rise"),
        (lambda: OneCycle(0.1, 5, end_div=0), "end_div"),
        (lambda: OneCycle(-0.1, 5), "peak"),
        (lambda: Warmup(0, 0.1), "length"),
        (lambda: Warmup(1, "fast"), "a number or a schedule.*'fast'"),
        (lambda: Warmup(1, 0.1, start=-1), "start"),
        (lambda: as_schedule(None), "None"),
    ],
)
def test_schedule_refuses_bad_parameters(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_as_schedule():
    assert as_schedule(1) == Constant(1.0)
    cosine = Cosine(1, 2)
    assert as_schedule(cosine) is cosine
