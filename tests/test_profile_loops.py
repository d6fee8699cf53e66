"""Profiles of functions with loops: the steps inside are rows of their own, and all adds up."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import symconv as sc
from symconv.see import profile as profile_module

pytestmark = pytest.mark.usefixtures("core")
STEPS, RUNS = 7, 3


@pytest.fixture(autouse=True)
def no_peaks(monkeypatch):
    monkeypatch.setattr(profile_module, "peaks", lambda device, threads: None)


def recurrent(device):
    """A recurrent net's step: a loop forwards, and one backwards for the gradient."""
    x = sc.tensor3("x")
    w = sc.shared(np.full((4, 4), 0.1, "float32"), name="w")
    hs, _ = sc.scan(lambda a, h: sc.tanh(sc.dot(h, w) + a), sequences=[x], outputs_info=[sc.zeros((2, 4))])
    cost = (hs[-1] ** 2).sum()
    return sc.function([x], cost, updates=[(w, w - 0.1 * sc.grad(cost, w))], name="net", device=device)


def profiled(f, *arguments):
    with f.profile() as p:
        f.loop(RUNS, *arguments)
    return p


@pytest.fixture(scope="module", params=["cpu", "reference", "emulated"])
def net(request):
    if request.param == "emulated":
        request.getfixturevalue("cxx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile_module, "peaks", lambda device, threads: None)
        p = profiled(recurrent(request.param), np.ones((STEPS, 2, 4), "float32"))
        assert p.rows and p.peaks is None
    return p


def test_the_steps_of_a_loop_follow_it(net):
    loops = [k for k, r in enumerate(net.rows) if r.op == "scan"]
    assert len(loops) == 2
    for k in loops:
        loop, inner = net.rows[k], [r for r in net.rows if r.within == (net.rows[k].step,)]
        assert net.rows[k + 1 : k + 1 + len(inner)] == inner and len(inner) >= 2
        assert [r.label for r in inner] == [f"{loop.step}.{i}" for i in range(len(inner))]
        assert all(r.runs == RUNS * STEPS and r.times == STEPS for r in inner)
        assert loop.runs == RUNS and loop.flops == loop.bytes == 0
        assert loop.total_us == pytest.approx(loop.us + sum(r.us for r in inner))
    names = [r.op for r in net.rows if r.within == (net.rows[loops[0]].step,)]
    assert "tanh" in names
    assert any("gradient of tanh" in r.line for r in net.rows if r.within == (net.rows[loops[1]].step,))


def test_times_work_and_shares_add_up(net):
    assert sum(r.share for r in net.rows) == pytest.approx(1)
    assert all(r.us >= 0 and r.least_us <= r.us * 1.0001 for r in net.rows)
    (tanh,) = [r for r in net.rows if r.op == "tanh" and r.within]
    assert tanh.flops % STEPS == 0 and tanh.bytes == STEPS * 2 * 2 * 4 * 4
    assert sum(share for _, _, share, _ in net.totals("line")) == pytest.approx(1)


def test_table_and_json_tell_them_apart(net):
    lines = net.table(sort="step").splitlines()
    (loop,) = [r for r in net.rows if r.op == "scan" and not r.within][:1]
    assert any(f"scan, {loop.total_us:.2f} with its steps" in line for line in lines)
    assert any(line.split()[0] == f"{loop.step}.0" and f" x{STEPS} " in line for line in lines)
    rows = json.loads(json.dumps(net.to_dict()))["steps"]
    assert [r["within"] for r in rows] == [list(r.within) for r in net.rows]


def test_the_flame_has_the_inner_steps_below_their_loop(net):
    from symconv.see.flame import spans

    root = spans(net)
    assert root.us == pytest.approx(sum(r.us for r in net.rows))

    def find(span, name):
        return [span] * (name in span.name) + [s for b in span.below.values() for s in find(b, name)]

    for loop in find(root, " scan"):
        assert find(loop, ".0 ") and loop.us >= sum(s.us for s in loop.below.values()) * 0.999
    ET.fromstring(net.flame())


def test_a_trace_has_the_iterations_within_the_loops_event(tmp_path):
    p = profiled(recurrent("cpu"), np.ones((STEPS, 2, 4), "float32"))
    told = json.loads(p.trace(tmp_path / "t.json").read_text())
    events = [e for e in told["traceEvents"] if e["ph"] == "X"]
    loop = next(r for r in p.rows if r.op == "scan")
    outer = [e for e in events if e["args"]["step"] == loop.step]
    inner = [e for e in events if str(e["args"]["step"]).startswith(f"{loop.step}.")]
    kinds = sum(r.within == (loop.step,) for r in p.rows)
    assert len(outer) == RUNS and len(inner) == RUNS * STEPS * kinds
    for k, e in enumerate(sorted(inner, key=lambda e: e["ts"])):
        around = outer[k // (STEPS * kinds)]
        assert around["ts"] - 0.01 <= e["ts"] <= e["ts"] + e["dur"] <= around["ts"] + around["dur"] + 0.01


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_loops_within_loops_and_loops_that_stop_early(device):
    x = sc.matrix("x")

    def row(r, total):
        inner, _ = sc.scan(
            lambda a, s: sc.tanh(a + s), sequences=[r], outputs_info=[sc.constant(np.float32(0))]
        )
        return total + inner[-1], sc.until(total > 1e9)

    sums, _ = sc.scan(row, sequences=[x], outputs_info=[sc.constant(np.float32(0))], n_steps=3)
    f = sc.function([x], sums, device=device)
    f(np.ones((3, 5), "float32"))
    p = profiled(f, np.ones((3, 5), "float32"))
    deep = [r for r in p.rows if len(r.within) == 2]
    assert deep and all(r.runs == RUNS * 3 * 5 and r.times == 15 for r in deep)
    assert sum(r.share for r in p.rows) == pytest.approx(1)

    start = sc.scalar("start")
    stopping, _ = sc.scan(lambda s: (s + 1, sc.until(s >= 1)), outputs_info=[start], n_steps=50)
    p = profiled(sc.function([start], stopping, device=device), np.float32(0))
    assert {r.times for r in p.rows if r.within} == {2.0}


def test_a_profile_that_is_over_costs_the_inner_steps_nothing():
    f = recurrent("cpu")
    x = np.ones((STEPS, 2, 4), "float32")
    p = profiled(f, x)
    (executable,) = f.executables
    inner = executable.timing().inside
    f.loop(5, x)
    assert {k: t.runs for k, t in executable.timing().inside.items()} == {k: t.runs for k, t in inner.items()}
    assert p.rows[0].runs == RUNS
