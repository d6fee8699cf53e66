"""Loops in whose step shapes change from step to step: run by the references, right, and with gradients."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import symconv as sc
from symconv.errors import ExecutionError, ShapeError


def slopes_agree(f: Any, at: int, *values: np.ndarray) -> None:
    """f gives (cost, gradient by argument `at`): compared with central differences."""
    found = f(*values)[1]
    for i in np.ndindex(*values[at].shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = [v.copy() for v in values]
            moved[at][i] += step
            sides.append(float(f(*moved)[0]))
        assert abs((sides[0] - sides[1]) / 2e-6 - found[i]) < 1e-6, i


def test_a_slice_whose_length_is_a_row() -> None:
    x, lengths = sc.dvector("x"), sc.ivector("lengths")
    sums, _ = sc.scan(lambda n, total: total + (x[:n] ** 2).sum(), lengths, sc.constant(0.0, "float64"))
    f = sc.function([x, lengths], [sums, sc.grad(sums[-1], x)])
    values, counts = np.arange(5.0) + 1, np.int32([1, 3, 0, 2])
    got, slope = f(values, counts)
    assert got.tolist() == np.cumsum([(values[:n] ** 2).sum() for n in counts]).tolist()
    assert slope.tolist() == [2 * v * (counts > k).sum() for k, v in enumerate(values)]
    text = f.explain()
    assert "has a shape that changes from step to step" in text and "test_scan_resized.py" in text
    assert f(values, counts[::-1].copy())[0][0] == 5  # other lengths, no new plan


def test_states_into_which_parts_of_changing_length_are_put() -> None:
    w = sc.dvector("w")

    def step(n: Any, s: Any) -> Any:
        part = sc.tanh(s[:n] * w[:n] + 1)
        return sc.set_subtensor(sc.zeros_like(s)[:n], part * part.sum())

    lengths = sc.ivector("lengths")
    states, _ = sc.scan(step, lengths, sc.ones_like(w))
    cost = (states[-1] * sc.arange(w.shape[0])).sum() + (states**2).sum()
    f = sc.function([w, lengths], [cost, sc.grad(cost, w)])
    values, counts = np.linspace(-1, 1, 4), np.int32([4, 2, 3])
    s, total = np.ones(4), 0.0
    for n in counts:
        part = np.tanh(s[:n] * values[:n] + 1)
        s = np.zeros(4)
        s[:n] = part * part.sum()
        total += (s**2).sum()
    assert abs(f(values, counts)[0] - total - (s * np.arange(4)).sum()) < 1e-12
    slopes_agree(lambda *v: f(*v), 0, values, counts)


def test_elements_that_are_picked_by_a_mask() -> None:
    x, limits = sc.dvector("x"), sc.dvector("limits")
    means, _ = sc.scan(lambda t: sc.log(x[x > t]).sum(), limits)
    f = sc.function([x, limits], [means.sum(), sc.grad(means.sum(), x)])
    values, given = np.array([0.5, 2.0, 3.0, 1.5]), np.array([0.2, 1.0, 1.7])
    want = sum(np.log(values[values > t]).sum() for t in given)
    assert abs(f(values, given)[0] - want) < 1e-12
    slopes_agree(f, 0, values, given)


def test_a_loop_within_whose_number_of_steps_changes() -> None:
    x, counts = sc.dvector("x"), sc.ivector("counts")

    def outer(n: Any) -> Any:
        inner, _ = sc.scan(lambda s: sc.sin(s * 1.5), None, x, n_steps=sc.cast(n, "int64") + 1)
        return inner[-1].sum() * inner.sum()

    rows, _ = sc.scan(outer, counts)
    f = sc.function([x, counts], [rows.sum(), sc.grad(rows.sum(), x)])
    values, steps = np.array([0.3, -0.7, 1.1]), np.int32([2, 0, 3])
    total = 0.0
    for n in steps:
        s, seen = values, []
        for _ in range(n + 1):
            s = np.sin(s * 1.5)
            seen.append(s)
        total += seen[-1].sum() * np.sum(seen)
    assert abs(f(values, steps)[0] - total) < 1e-12
    slopes_agree(f, 0, values, steps)


def test_only_the_last_value_is_kept_and_until_ends_early() -> None:
    x, lengths = sc.dvector("x"), sc.ivector("lengths")
    last, _ = sc.scan(lambda n, s: s * x[:n].prod(), lengths, sc.constant(1.0, "float64"))
    f = sc.function([x, lengths], last[-1])
    assert f(np.array([2.0, 3, 5]), np.int32([1, 3, 2])) == 2 * 30 * 6
    sums, _ = sc.scan(
        lambda n, s: (s + x[:n].sum(), sc.until(s + x[:n].sum() > 9)), lengths, sc.constant(0.0, "float64")
    )
    g = sc.function([x, lengths], [sums, sc.grad(sums[-1], x)])
    values, slope = g(np.array([2.0, 3, 5]), np.int32([1, 2, 2, 3, 3]))
    assert values.tolist() == [2, 7, 12] and slope.tolist() == [3, 2, 0]


def test_values_of_changing_shape_cannot_leave_the_loop() -> None:
    x, lengths = sc.dvector("x"), sc.ivector("lengths")
    parts, _ = sc.scan(lambda n: x[:n] * 2, lengths)
    f = sc.function([x, lengths], parts)
    with pytest.raises(ShapeError, match=r"(?s)its step returns mul from test_scan_resized.*set_subtensor"):
        f(np.ones(3), np.int32([1, 2]))
    states, _ = sc.scan(lambda n, s: sc.concatenate([s[:n], s[:1]]), lengths, x)
    for asked in (states, states[-1]):
        g = sc.function([x, lengths], asked)
        assert g(np.arange(3.0), np.int32([2, 2])).shape[-1] == 3
        with pytest.raises((ExecutionError, ShapeError), match=r"a state of shape \(3,\) becomes \(2,\)"):
            g(np.arange(3.0), np.int32([2, 1]))


def test_other_loops_are_compiled_as_before() -> None:
    x, w = sc.dmatrix("x"), sc.dvector("w")
    i = sc.arange(x.shape[0] - 1)
    rows, _ = sc.scan(lambda k, s: sc.tanh(s[1:].sum() * w + x[k] + x[k + 1]), i, sc.zeros_like(w))
    cost = (rows**2).sum()
    f = sc.function([x, w], [cost, sc.grad(cost, w)])
    values = np.random.default_rng(0).normal(size=(6, 3))
    slopes_agree(f, 1, values, np.array([0.1, 0.5, -1]))
    assert "changes from step to step" not in f.explain() and "loop" in f.explain()


def logsumexp(a: Any, b: Any) -> Any:
    m = sc.maximum(sc.maximum(a, b), -1e30)
    return m + sc.log(sc.exp(a - m) + sc.exp(b - m))


def test_connectionist_temporal_classification() -> None:
    """-log P(labels | p) of sentences of different lengths: the forward recursion over blanks and labels.

    p is [batch, time, classes], the last class the blank; only times[b] rows and counts[b] labels count.
    """
    p, labels = sc.tensor("float64", (None, None, None)), sc.imatrix()
    times, counts = sc.ivector(), sc.ivector()

    def sentence(rows: Any, row_labels: Any, t: Any, n: Any) -> Any:
        logp, y = sc.log(rows[:t]), row_labels[:n]
        blank = rows.shape[1] - 1
        states = sc.stack([sc.zeros_like(y) + sc.cast(blank, "int32"), y]).T.flatten()
        states = sc.concatenate(
            [states, sc.cast(blank, "int32").reshape((1,))]
        )  # blank y0 blank y1 ... blank
        skip = sc.neq(states[2:], states[:-2])

        def step(row: Any, alpha: Any) -> Any:
            low = sc.full((1,), -1e30, "float64")
            one = sc.concatenate([low, alpha[:-1]])
            two = sc.concatenate([low, low, sc.where(skip, alpha[:-2], -1e30)])
            return logsumexp(logsumexp(alpha, one), two) + row[states]

        first = sc.where(sc.arange(states.shape[0]) < 2, logp[0][states], -1e30)
        alphas, _ = sc.scan(step, logp[1:], first)
        last = sc.concatenate([sc.expand_dims(first, 0), alphas])[-1]
        return -logsumexp(last[-1], last[-2])

    costs, _ = sc.scan(sentence, [p, labels, times, counts])
    f = sc.function([p, labels, times, counts], [costs.sum(), sc.grad(costs.sum(), p), costs])
    rng = np.random.default_rng(1)
    z = np.exp(rng.normal(size=(3, 5, 4)))
    probabilities = z / z.sum(2, keepdims=True)
    y, t, n = np.int32([[0, 1, 2], [1, 0, 0], [2, 2, 0]]), np.int32([5, 3, 4]), np.int32([3, 1, 2])

    def wanted(rows: np.ndarray, target: list[int]) -> float:
        total = 0.0
        for path in itertools.product(range(4), repeat=len(rows)):
            if [k for k, _ in itertools.groupby(path) if k != 3] == target:
                total += math.prod(row[k] for row, k in zip(rows, path))
        return -math.log(total)

    want = [wanted(probabilities[b, : t[b]], y[b, : n[b]].tolist()) for b in range(3)]
    np.testing.assert_allclose(f(probabilities, y, t, n)[2], want, rtol=1e-12)
    slopes_agree(f, 0, probabilities, y, t, n)
