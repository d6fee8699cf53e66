"""Profiles: what is timed, what is told of it, and that nothing else changes."""

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
import pytest

import symconv as sc
from symconv.cli import main
from symconv.errors import ArgumentError, GraphError
from symconv.plan.lifetime import lifetimes, live_bytes
from symconv.see.drawing import phase
from symconv.see.profile import UPKEEP, user_line
from symconv.see.roofline import Peaks

core = pytest.importorskip("symconv._core")
X = np.arange(12, dtype="float32").reshape(4, 3) / 10


@pytest.fixture(autouse=True)
def known_peaks(monkeypatch):
    """Peaks that make the roofline easy to follow, and no measuring."""
    flat = Peaks("cpu", 1, {"float32": 1e9, "float64": 5e8}, ((1 << 20, 1e9), (1 << 26, 1e8)))
    monkeypatch.setattr("symconv.see.profile.peaks", lambda device, threads: flat)
    return flat


def make(device="cpu"):
    x, w = sc.matrix("x"), sc.shared(np.ones((3, 2), "float32"), name="w")
    cost = sc.mean(sc.relu(sc.dot(x, w)))
    f = sc.function([x], cost, updates=[(w, w - 0.1 * sc.grad(cost, w))], name="step", device=device)
    return f, w


# ---- what is timed


@pytest.mark.parametrize("device", ["cpu", "reference", "emulated"])
def test_a_profile_changes_no_result_and_counts_every_run(device):
    (f, w), (g, v) = make(device), make(device)
    plain = [f(X), *f.loop(3, X)]
    with g.profile() as p:
        timed = [g(X), *g.loop(3, X)]
    assert np.array_equal(plain, timed) and np.array_equal(w.get_value(), v.get_value())
    after = g(X)  # not timed
    assert np.isfinite(after)
    (timing,) = [t for _, t in p.timings]
    assert timing.runs == 4 and timing.stamps.shape == (4, len(timing.items) + 1)
    assert (np.diff(timing.stamps, axis=1) >= 0).all()
    assert timing.ns.sum() == pytest.approx(np.diff(timing.stamps, axis=1).sum(), rel=1e-3)
    assert sum(r.share for r in p.rows) == pytest.approx(1)
    assert all(r.runs == 4 and 0 <= r.least_us <= r.us * 1.001 for r in p.rows)


def test_rows_are_the_steps_of_the_plan():
    f, _ = make()
    with f.profile() as p:
        f(X)
    (executable,) = f.executables
    assert [(r.step, r.op) for r in p.rows] == [
        (i, s.node.op.name) for i, s in enumerate(executable.plan.steps)
    ]
    for row, step in zip(p.rows, executable.plan.steps):
        assert row.line == step.node.origin and row.kernel == (step.kernel.name if step.kernel else step.kind)
        if step.kind != "view":
            assert row.flops == step.node.op.flops(step.node) and row.bytes == step.node.op.bytes(step.node)


def test_the_reference_is_timed_node_by_node():
    f, _ = make("reference")
    with f.profile() as p:
        f(X)
    assert [r.op for r in p.rows] == [n.op.name for n in f.executables[0].graph.nodes()]
    assert {r.kernel for r in p.rows} == {"reference"}


@pytest.mark.parametrize("form", ["kernels", "graph", "persistent"])
def test_gpu_programs_are_timed_launch_by_launch_and_then_run_as_before(form):
    with sc.config(gpu_executor=form):
        (f, w), (g, v) = make("emulated"), make("emulated")
        first = f(X)
        with g.profile() as p:
            assert g(X) == first
        assert g(X) == f(X) and np.array_equal(w.get_value(), v.get_value())
    assert p.rows[-1].op == UPKEEP and p.rows[-1].kernel == "advance"
    steps = [r.step for r in p.rows[:-1]]
    assert steps == sorted(set(steps)), "a step of several launches is one row"
    assert ("without a profile they run as one" in str(p)) == (form != "kernels")


def test_a_step_on_the_host_is_timed_within_a_gpu_program():
    from symconv.graph import Op

    @dataclass(frozen=True)
    class Twice(Op):
        name = "twice_on_the_host"

        def infer(self, x):
            return x.type

        def reference(self, x):
            return x * 2

    x = sc.matrix("x")
    f = sc.function([x], sc.exp(Twice()(sc.exp(x))), device="emulated")
    with f.profile() as p:
        y = f(X)
    assert np.allclose(y, np.exp(2 * np.exp(X)), rtol=1e-5)
    assert [r.kernel for r in p.rows if r.op == "twice_on_the_host"] == ["reference"]


def test_plans_made_while_the_profile_runs_are_in_it():
    f, _ = make()
    f(X)
    with f.profile() as p:
        f(X)
        f(X[:2])
    f(X[:1])
    assert [t.runs for _, t in p.timings] == [1, 1]
    assert {r.plan for r in p.rows} == {0, 1}
    assert "plan 1 of step(float32[2, 3])" in str(p)


def test_stamps_are_kept_as_long_as_there_is_room():
    f, _ = make()
    f(X)
    n = len(f.executables[0].plan.steps)
    with f.profile(stamps=2 * (n + 1)) as p:
        f.loop(5, X)
    (timing,) = [t for _, t in p.timings]
    assert timing.runs == 5 and len(timing.stamps) == 2
    with f.profile(stamps=0) as p:
        f.loop(5, X)
    assert len(p.timings[0][1].stamps) == 0 and all(r.least_us == r.us for r in p.rows)
    with pytest.raises(ArgumentError, match="stamps must not be negative"):
        f.profile(stamps=-1)


def test_two_profiles_of_one_function_and_early_reading_are_refused():
    f, _ = make()
    with f.profile() as p:
        with pytest.raises(GraphError, match="is being profiled already\n  hint"):
            f.profile().start()
        with pytest.raises(GraphError, match="still running\n  hint"):
            _ = p.rows
        f(X)
    assert p.rows
    p.start()
    f.loop(2, X)
    p.stop()
    p.stop()
    assert p.rows[0].runs == 2


def test_an_error_ends_the_profile():
    f, _ = make()
    with pytest.raises(ZeroDivisionError), f.profile() as p:
        f(X)
        raise ZeroDivisionError
    assert p.timings[0][1].runs == 1
    with f.profile():
        pass


def test_a_profile_of_nothing_says_so():
    f, _ = make()
    with f.profile() as p:
        pass
    assert str(p) == "profile of step on cpu: it did not run" and p.rows == [] and p.totals() == []
    ET.fromstring(p.flame())


# ---- what is told


@pytest.fixture
def profiled():
    f, _ = make()
    with f.profile() as p:
        f.loop(20, X)
    return p


def test_table_names_every_step_the_longest_first(profiled):
    lines = profiled.table().splitlines()
    shares = [float(line.split(" %")[0].split()[-1]) for line in lines[1:]]
    assert len(shares) == len(profiled.rows) and shares == sorted(shares, reverse=True)
    steps = [int(line.split()[0]) for line in profiled.table(sort="step").splitlines()[1:]]
    assert steps == [r.step for r in profiled.rows]
    assert profiled.table(most=2).splitlines()[-1].startswith(f"and {len(profiled.rows) - 2} shorter steps")
    assert "test_profile.py:" in profiled.table() and "gradient of" in profiled.table()
    with pytest.raises(ArgumentError, match="sort must be"):
        profiled.table(sort="size")


def test_totals_add_up(profiled):
    for by in ("kernel", "op", "line"):
        totals = profiled.totals(by)
        assert sum(share for _, _, share, _ in totals) == pytest.approx(1)
        assert sum(n for *_, n in totals) == len(profiled.rows)
        assert len({what for what, *_ in totals}) == len(totals)
    with pytest.raises(ArgumentError, match="by must be"):
        profiled.totals("colour")


def test_percent_of_the_roofline(profiled, known_peaks):
    for row in profiled.rows:
        if row.roofline is not None:
            least = max(row.flops / 1e9, row.bytes / 1e9)
            assert row.roofline == pytest.approx(1e6 * least / row.us)
            assert row.gflops == pytest.approx(row.flops / row.us / 1e3)


def test_peaks_choose_the_bandwidth_of_the_cache_and_the_rate_of_the_dtype(known_peaks):
    small, large = sc.tensor("float32", (1 << 10,)), sc.tensor("float32", (1 << 20,))
    double = sc.tensor("float64", (1 << 10,))
    assert known_peaks.seconds(sc.exp(small).owner) == pytest.approx(8 * 1024 / 1e9)
    assert known_peaks.seconds(sc.exp(large).owner) == pytest.approx(8 * 2**20 / 1e8)
    m = sc.tensor("float64", (64, 64))
    assert known_peaks.seconds(sc.dot(m, m).owner) == pytest.approx(2 * 64**3 / 5e8)
    assert known_peaks.seconds(sc.exp(double).owner) == pytest.approx(16 * 1024 / 1e9)


def test_json_has_all_rows(profiled):
    told = json.loads(json.dumps(profiled.to_dict()))
    assert len(told["steps"]) == len(profiled.rows) and told["plans"][0]["runs"] == 20
    assert told["steps"][0]["op"] == profiled.rows[0].op and told["peaks"]["flops"]["float32"] == 1e9


def test_trace_has_an_event_for_every_step_of_every_run(profiled, tmp_path):
    told = json.loads(profiled.trace(tmp_path / "t.json").read_text())
    events = [e for e in told["traceEvents"] if e["ph"] == "X"]
    steps = len(profiled.rows)
    assert len(events) == 20 * steps
    assert [e["args"]["step"] for e in events[:steps]] == [r.step for r in profiled.rows]
    ends = [e["ts"] + e["dur"] for e in events]
    assert events[0]["ts"] == 0 and all(e["ts"] >= end - 0.01 for e, end in zip(events[1:], ends))
    assert all(e["name"] and e["args"]["line"] for e in events)
    counters = [e["args"]["bytes"] for e in told["traceEvents"] if e["ph"] == "C"]
    plan = profiled.timings[0][0].plan
    assert counters == [*live_bytes(plan), 0] and 0 < max(counters) <= plan.arena_bytes


def test_flame_bars_are_as_wide_as_their_time(profiled, tmp_path):
    picture = profiled.flame(tmp_path / "f.svg")
    assert (tmp_path / "f.svg").read_text() == picture == profiled._repr_svg_()
    root = ET.fromstring(picture)
    bars = [e for e in root.iter() if e.tag.endswith("}rect") and len(e)]
    widths = {}
    for bar in bars:
        widths.setdefault(float(bar.get("y")), []).append(float(bar.get("width")))
    top, *below = [sum(w) for _, w in sorted(widths.items())]
    assert len(below) == 4 and all(top * 0.95 < w <= top + 1 for w in below)


def test_phases_and_lines():
    x, w = sc.matrix("x"), sc.shared(np.ones((3, 2), "float32"))
    cost = sc.mean(sc.dot(x, w))
    assert phase(cost.owner) == "forward" and phase(None) == "update"
    assert phase(sc.grad(cost, w).owner) == "gradient"
    assert user_line("gradient of conv2d at net a (b) at c.py:3") == "net a (b) at c.py:3"
    assert user_line("model.py:7") == "model.py:7"


def test_the_command_prints_and_writes_it_all(tmp_path, capsys):
    files = {name: tmp_path / f"p.{name}" for name in ("trace", "flame", "json")}
    options = [f"--{name}={path}" for name, path in files.items()]
    command = ["profile", "--net", "shallow", "--batch", "2", "--inference", "--device", "cpu", "--runs", "3"]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    assert "shallow, prediction(float32[2, 784]) on cpu: 3 runs" in printed and "by kernel" in printed
    told = json.loads(files["json"].read_text())
    events = json.loads(files["trace"].read_text())["traceEvents"]
    assert sum(e["ph"] == "X" for e in events) == 3 * len(told["steps"])
    ET.parse(files["flame"])
    assert main([*command, "--trace", str(tmp_path / "nowhere" / "t.json")]) == 2
    assert "does not exist" in capsys.readouterr().err


# ---- lifetimes


def test_values_alive_at_once_have_memory_of_their_own():
    x = sc.matrix("x")
    y = sc.dot(sc.tanh(sc.dot(x, x.T)), x)
    f = sc.function([x], [sc.softmax(y), y.sum()], device="cpu")
    plan = f.prepare(np.ones((8, 8), "float32")).plan
    alive = lifetimes(plan)
    assert alive and all(a.first <= a.last < len(plan.steps) for a in alive)
    spans = {a.buffer: (plan.buffers[a.buffer].offset, plan.buffers[a.buffer].type.nbytes) for a in alive}
    for a in alive:
        for b in alive:
            if a.buffer < b.buffer and a.first < b.last and b.first < a.last:
                (o, n), (q, m) = spans[a.buffer], spans[b.buffer]
                assert o + n <= q or q + m <= o
    assert max(live_bytes(plan)) <= plan.arena_bytes


def test_a_view_keeps_its_base_alive():
    x = sc.matrix("x")
    t = sc.exp(x)
    f = sc.function([x], sc.tanh(sc.dot(x, x)).sum() + t.reshape((-1,))[2:5].sum(), device="cpu")
    plan = f.prepare(np.ones((4, 4), "float32")).plan
    reader = max(i for i, s in enumerate(plan.steps) if any(plan.buffers[k].kind == "view" for k in s.inputs))
    assert any(a.last >= reader for a in lifetimes(plan))
