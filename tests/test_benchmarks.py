"""The benchmark runner: its oracles, its protocol, its rows; peers that are not installed are skipped."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    beyond,
    breakdown,
    loaded,
    ops,
    performance,
    reference,
    report,
    run,
    scaling,
    table,
    theano_front,
)
from benchmarks.op_oracle import disagreement, oracle  # noqa: E402
from benchmarks.opcases import CASES, OpCase  # noqa: E402
from benchmarks.workloads import (  # noqa: E402
    WORKLOADS,
    Conv,
    Data,
    Dense,
    Workload,
    initial_weights,
    workload,
)
from symconv.backends.gpu import nvrtc  # noqa: E402
from symconv.errors import DeviceError  # noqa: E402

ROW_KEYS = {
    "peer",
    "config",
    "threads",
    "workload",
    "batch",
    "metric",
    "unit",
    "median",
    "min",
    "max",
    "n",
    "note",
}
EXAMPLES = {  # a net and a form of it
    "symconv": ("W3", "map"),
    "torch": ("W3", "eager"),
    "jax": ("W3", "step_im2col"),
    "aesara": ("W3", "call"),
    "pytensor": ("W1", "call"),
}


def installed(peer: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(peer) is None, reason=f"{peer} is not installed")


PEERS = [pytest.param(p, marks=installed(p)) for p in EXAMPLES]


def timed(peer: str, median: float, unit: str = "us", threads: int = 1, config: str = "a") -> report.Row:
    return {
        "peer": peer, "config": config, "threads": threads, "workload": "W1", "batch": 10, "metric": "step",
        "unit": unit, "median": median, "min": median, "max": median, "n": 3, "note": "",
    }  # fmt: skip


def test_flops_are_those_of_the_layers():
    expected = {
        "W1": (158_800, 319_600),
        "W2": (1_154_000, 2_886_000),
        "W3": (3_266_000, 9_222_000),
        "W4": (6_436_000, 18_732_000),
    }
    assert {name: net.flops() for name, net in WORKLOADS.items()} == expected


def test_workload_names():
    assert [layer.activation for layer in workload("W3t").layers] == ["tanh", "tanh", "tanh", "softmax"]
    assert [layer.activation for layer in workload("W2t").layers] == ["tanh", "tanh", "softmax"]
    assert len(workload("D7").layers) == 9
    for name in ("W5", "D0", "", "t"):
        with pytest.raises(KeyError, match="unknown workload"):
            workload(name)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_oracle_follows_the_finite_difference_gradient(activation):
    layers = (
        Conv(3, 1, 10, activation, kernel=3),
        Conv(2, 3, 4, activation, kernel=3, pool=1),
        Dense(8, 5, activation),
        Dense(5, 10, "softmax"),
    )
    net = Workload("tiny", "", layers, eta=1e-3, lmbda=0.7)
    rng = np.random.RandomState(0)
    weights = [rng.standard_normal(w.shape) for w in initial_weights(net)]
    data = Data(rng.standard_normal((8, 100)), rng.randint(0, 10, 8))

    def cost(params: list[np.ndarray]) -> float:
        x, labels = data.batch(1, 4)
        p = reference.predict(net, params, x)
        decay = net.decay(4, 8) / 2 * sum((w**2).sum() for w in params[::2])
        return float(-np.log(p[np.arange(4), labels]).mean() + decay)

    after = reference.train(net, weights, data, 4, 1, 1, "float64")
    for i, w in enumerate(weights):
        for at in [tuple(rng.randint(0, s) for s in w.shape) for _ in range(4)]:
            shifted = []
            for step in (1e-6, -1e-6):
                moved = w.copy()
                moved[at] += step
                shifted.append(cost([*weights[:i], moved, *weights[i + 1 :]]))
            slope = (shifted[0] - shifted[1]) / 2e-6
            assert (w[at] - after[i][at]) / net.eta == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_weight_error_sees_a_wrong_weight_and_nan():
    start = [np.zeros(4), np.zeros(2)]
    right = [np.full(4, 0.1), np.full(2, 0.2)]
    near = [a * (1 + 1e-6) for a in right]
    sure, unsure = [np.zeros(4), np.zeros(2)], [np.zeros(4), np.array([0.0, 0.003])]
    assert run.weight_error(near, right, start, sure) == ""
    off = [right[0], right[1] + [0.0, 0.002]]
    assert "off by" in run.weight_error(off, right, start, sure)
    assert run.weight_error(off, right, start, unsure) == ""
    assert "off by" in run.weight_error([right[0], right[1] + [0.002, 0.0]], right, start, unsure)
    assert "finite" in run.weight_error([right[0], np.array([0.2, np.nan])], right, start, unsure)
    assert "finite" in run.weight_error([right[0], right[1][:1]], right, start, sure)
    assert run.weight_error(right[:1], right, start, sure)


@pytest.mark.parametrize("wrong_at", [None, 2])
def test_steps_are_compared_one_by_one(wrong_at, monkeypatch):
    net = Workload("tiny", "", (Dense(6, 5, "tanh"), Dense(5, 10, "softmax")), eta=0.1)
    rng = np.random.RandomState(4)
    data = Data(rng.standard_normal((12, 6)).astype("f4"), rng.randint(0, 10, 12))
    bench = object.__new__(run.NetBenchmark)
    bench.data, bench.start = data, [w.astype("f4") for w in initial_weights(net)]

    class Subject:
        """In step 0 as far off as an undecided tie may lead it."""

        def __init__(self):
            self.at, self.weights = 0, [w.astype("f8") for w in bench.start]
            self.run(1)

        def run(self, n):
            batch = (4, 0, 1) if self.at == wrong_at else (4, self.at, 1)
            self.weights = reference.train(net, self.weights, data, *batch, "f8")
            if self.at == 0:
                self.weights[0][0, 0] += 0.05
            self.at += n

        def result(self):
            return [w.astype("f4") for w in self.weights]

    oracle = reference.train_with_doubt

    def doubtful(net, weights, data, batch, first, *rest):
        weights, doubts = oracle(net, weights, data, batch, first, *rest)
        doubts[0][0, 0] += 0.1 * (first == 0)
        return weights, doubts

    monkeypatch.setattr(reference, "train_with_doubt", doubtful)
    wrong = run.NetBenchmark.wrong_step(bench, Subject(), net, 4)
    assert wrong.startswith("step 2: weights" if wrong_at else "") and bool(wrong) == bool(wrong_at)


@pytest.mark.parametrize("pool", [1, 2])
def test_doubt_bounds_what_a_tie_moves(pool):
    layers = (
        Conv(2, 1, 9, "tanh", 2, 2),
        Conv(3, 2, 4, "tanh", 3, pool),
        Dense(12 // pool**2, 10, "softmax"),
    )
    net = Workload("tiny", "", layers, eta=0.1)
    rng = np.random.RandomState(4)
    weights = [rng.standard_normal(w.shape) for w in initial_weights(net)]
    data = Data(rng.standard_normal((4, 81)), rng.randint(0, 10, 4))
    exact, doubts = reference.train_with_doubt(net, weights, data, 4, 0, 1, "float64")
    assert not any(d.any() for d in doubts)
    # a, b, a, b, ... along each row and windows that take both alike: neighbours tie, their patches differ
    weights[0][..., 1] = weights[0][..., 0]
    data.images[0].reshape(9, 9)[:, 2:] = np.tile(data.images[0].reshape(9, 9)[:, :2], 4)[:, :7]
    exact, doubts = reference.train_with_doubt(net, weights, data, 4, 0, 1, "float64")
    moved = 0.0
    for noise in range(8):
        data.images[0] *= 1 + 1e-9 * np.random.RandomState(noise).standard_normal(81)
        other = reference.train(net, weights, data, 4, 0, 1, "float64")
        for a, b, d in zip(exact, other, doubts):
            assert (np.abs(a - b) <= d + 1e-6).all()
            moved = max(moved, np.abs(a - b).max())
    assert moved > 1e-3


@pytest.mark.parametrize("case", CASES["tiny"], ids=lambda c: c.kind)
def test_disagreement_accepts_float32_and_nothing_else(case):
    wanted = oracle(case)
    assert [w.shape for w in wanted] == case.output_shapes
    got = [w.astype("float32") for w in wanted]
    assert disagreement(case, got, wanted) == ""
    for i, g in enumerate(got):
        for bad in (g + np.float32(0.01), g * np.nan, g[None]):
            assert disagreement(case, [*got[:i], bad, *got[i + 1 :]], wanted)
    assert disagreement(case, got[1:], wanted)


def test_conv_oracles_are_adjoint():
    # <conv(x, w), dy> = <x, dgrad(dy, w)> = <w, wgrad(x, dy)>, with each operator's inputs from its own case
    case = OpCase("conv_forward", (2, 4, 9, 8, 6, 3, 2), 2, 1, 2)
    x, w = case.inputs()
    dy = np.random.RandomState(5).standard_normal(case.y_shape)
    values = {"conv_forward": [x, w], "conv_dgrad": [dy, w], "conv_wgrad": [x, dy]}
    results = {}
    for kind, inputs in values.items():
        this = replace(case, kind=kind)
        object.__setattr__(this, "inputs", lambda inputs=inputs: inputs)
        results[kind] = oracle(this)[0]
    expected = (results["conv_forward"] * dy).sum()
    assert (results["conv_dgrad"] * x).sum() == pytest.approx(expected)
    assert (results["conv_wgrad"] * w).sum() == pytest.approx(expected)


@pytest.mark.parametrize("peer", PEERS)
def test_runner_checks_and_times_a_peer(peer, tmp_path):
    file = tmp_path / "out" / "results.json"
    net, form = EXAMPLES[peer]
    code = run.main(
        ["--quick", "--workloads", net, "--batches", "4", "--infer-batches", "2", "--images", "80"]
        + ["--threads", "1", "--peers", peer, "--configs", f"{peer}:{form}", "--json", str(file)]
    )
    results = json.loads(file.read_text())
    rows = [r for r in results["rows"] if r["metric"] in ("step", "inference")]
    assert [(r["metric"], r["batch"], r["unit"]) for r in rows] == [
        ("step", 4, "us"),
        ("inference", 2, "images/s"),
    ]
    for r in rows:
        assert set(r) == ROW_KEYS | {"handover_ns", "whole"}
        assert (r["peer"], r["config"], r["threads"], r["workload"], r["note"]) == (peer, form, 1, net, "")
        assert 0 < r["min"] <= r["median"] <= r["max"] and r["n"] == 3
    assert code == 0
    assert {"date", "commit", "cpu", "cores", "device", "versions", "settings"} <= set(results)
    assert peer in results["versions"][peer]


def test_memory_is_that_of_the_training_process(tmp_path):
    file = tmp_path / "results.json"
    ballast = np.ones(2**28, np.uint8)  # of the runner, which a child must not be charged with
    code = run.main(
        [
            "--workloads",
            "W1",
            "--modes",
            "memory",
            "--batches",
            "10",
            "--inputs",
            "gaussian",
            "--images",
            "20000",
        ]
        + ["--threads", "1", "--peers", "symconv", "--configs", "symconv:map", "--json", str(file)]
    )
    (row,) = json.loads(file.read_text())["rows"]
    data = 20_000 * 784 * 4 / 2**20
    assert (row["metric"], row["unit"], row["n"], row["note"]) == ("peak memory", "MiB", 1, "")
    assert data < row["median"] < 2 * data + 40  # interpreter, NumPy and symconv; no second copy of the data
    assert code == 0 and ballast.all()


@pytest.mark.parametrize(
    "python, reason", [("/nowhere/python", "cannot start"), ("/bin/false", "ended with code 1")]
)
def test_absent_peer_gives_a_row_with_the_reason(python, reason, tmp_path, capsys):
    file = tmp_path / "results.json"
    code = run.main(
        ["--quick", "--workloads", "W1", "--modes", "infer", "--infer-batches", "1", "--images", "20"]
        + ["--threads", "1", "--peers", "jax", "--python", f"jax={python}", "--json", str(file)]
    )
    (row,) = json.loads(file.read_text())["rows"]
    assert set(row) == ROW_KEYS | {"handover_ns", "whole"}
    assert row["n"] == 0 and row["median"] is None and reason in row["note"]
    assert reason in capsys.readouterr().out
    assert code == 0


@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_keeps_the_rows_of_finished_groups(stop, code, tmp_path, capfd, monkeypatch):
    file = tmp_path / "results.json"
    group, before = run.NetBenchmark.group, signal.getsignal(signal.SIGTERM)

    def second_is_interrupted(self, net, mode, batch):
        group(self, net, mode, batch)
        if batch == 2:
            signal.raise_signal(stop)

    monkeypatch.setattr(run.NetBenchmark, "group", second_is_interrupted)
    got = run.main(
        ["--quick", "--workloads", "W1", "--modes", "infer", "--infer-batches", "1,2,3", "--images", "20"]
        + ["--inputs", "gaussian", "--threads", "1", "--peers", "jax", "--python", "jax=/bin/false"]
        + ["--json", str(file)]
    )
    results = json.loads(file.read_text())
    assert got == code and signal.getsignal(signal.SIGTERM) == before
    assert [r["batch"] for r in results["rows"]] == [1] and not results["complete"]
    out, err = capfd.readouterr()
    assert "inference" in out
    assert err.splitlines() == [
        "W1: settling",
        "W1 infer batch 1",
        "W1 infer batch 2",
        f"interrupted: the rows of the finished groups are above and in {file}",
    ]


@pytest.mark.parametrize("peer", [p for p in PEERS if p.values[0] in ops.PEERS])
def test_operators_agree_with_the_oracle(peer, tmp_path):
    file = tmp_path / "ops.json"
    code = ops.main(
        ["--quick", "--rounds", "1", "--groups", "tiny", "--threads", "1"]
        + ["--peers", peer, "--configs", "torch:eager,torch:nchw,torch:channels_last", "--json", str(file)]
    )
    rows = json.loads(file.read_text())["rows"]
    assert {r["note"] for r in rows} == {""}
    kinds = {r["workload"].split()[0] for r in rows}
    assert kinds >= {c.kind for c in CASES["tiny"]} - {"copy"}
    assert code == 0
    memory_bound = [r for r in rows if r["rate_unit"] == "GB/s" and not r["workload"].startswith("copy")]
    assert memory_bound and all(("copy_rate" in r) == (peer == "torch") for r in memory_bound)


def test_shares_of_bandwidth_name_the_copy():
    row = {**timed("symconv", 10.0), "rate": 4.0}
    (line,) = ops.shares([{**row, "copy_rate": 5.0}, row, {**row, "peer": "torch", "copy_rate": 5.0}])
    assert "4.0 GB/s, 80 % of a copy's 5.0" in line


@pytest.mark.parametrize(
    "argument", [["--workloads", "W9"], ["--peers", "numpy"], ["--modes", "dream"], ["--batches", "60000"]]
)
def test_runner_refuses_bad_arguments(argument, capsys):
    with pytest.raises(SystemExit):
        run.main(argument)
    assert "error:" in capsys.readouterr().err


def test_ratio_is_with_the_fastest_peer_of_any_form():
    rows = [
        timed("symconv", 10.0),
        timed("torch", 50.0),
        timed("torch", 40.0, config="b"),
        timed("jax", 30.0, threads=2),
        {**timed("jax", 1.0), "median": None, "note": "wrong: x"},
    ]
    lines = {line["threads"]: line for line in report.compared(rows)}
    assert lines[1]["ratio"] == pytest.approx(4.0) and lines[1]["fastest"]["config"] == "b"
    assert lines[2]["ratio"] is None
    assert lines["any"]["ratio"] == pytest.approx(3.0) and lines["any"]["fastest"]["peer"] == "jax"
    assert "wrong: x" in report.text_table(rows)


def test_ratio_of_rates_is_ours_by_theirs():
    rows = [
        timed("symconv", 300.0, "images/s"),
        timed("torch", 90.0, "images/s"),
        timed("jax", 100.0, "images/s"),
    ]
    (line,) = report.compared(rows)
    assert line["ratio"] == pytest.approx(3.0)


@pytest.mark.parametrize(
    "value, unit, text",
    [(23.456, "us", "23.5 us"), (1512.3, "us", "1,510 us"), (53_512, "us", "53.5 ms"), (2.5e6, "us", "2.5 s"),
     (593_123, "images/s", "593,000 images/s"), (None, "us", "-")],
)  # fmt: skip
def test_figures_have_three_digits(value, unit, text):
    assert report.figure(value, unit) == text


def test_table_stands_between_the_markers(tmp_path):
    readme, results = tmp_path / "README.md", tmp_path / "x.json"
    report.write_json(results, [timed("symconv", 10.0), timed("torch", 40.0)], {}, report.environment("cpu"))
    text = table.section([results])
    assert "| W1 | 10 | training step | 10 us (a/1) | 40 us (a/1) | **4.0** |" in text
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    new = table.replaced(readme.read_text(), text)
    assert new == f"before\n{table.BEGIN}\n{text}{table.END}\nafter\n"
    with pytest.raises(ValueError, match="results:begin"):
        table.replaced("no markers", text)


def test_readme_says_what_the_results_say():
    if table.BEGIN not in (ROOT / "README.md").read_text():
        pytest.skip("README has no table of results")
    assert table.main(["--check"]) == 0


@pytest.mark.parametrize("net", ["dbl_conv_relu", "residual", "dense", "chain", "cuda_start"])
def test_compile_times_are_those_of_a_net_that_trains(net):
    from benchmarks import compile as compile_times

    if net == "cuda_start":
        try:
            nvrtc.library()
        except DeviceError as error:
            pytest.skip(str(error))
    row = compile_times.measure("symconv", net, compile_times.QUICK[net][0], sys.executable, 1)
    assert row.keys() >= ROW_KEYS and row["n"] == 1 and row["note"] == "" and row["median"] > 0


def test_page_of_performance_says_what_the_results_say():
    assert performance.main(["--check"]) == 0


def test_outliers_take_more_time_per_flop_than_smaller_ones():
    rows = [
        {"series": s, "n": n, "flops": flops, "us": {"median": us}}
        for s, n, flops, us in [
            ("batch", 1, 100, 10.0),
            ("batch", 2, 200, 19.0),
            ("batch", 3, 300, 36.0),
            ("layers", 1, 100, 3.0),
            ("layers", 2, 200, 33.0),
            ("layers", 3, 300, 60.0),
            ("layers", 4, 400, 150.0),
        ]
    ]
    first, second = scaling.outliers(rows)
    assert (first["series"], first["n"]) == ("batch", 3) and first["times"] == pytest.approx(0.12 / 0.095)
    assert (second["series"], second["n"]) == ("layers", 4) and second["times"] == pytest.approx(0.49 / 0.285)


@pytest.mark.parametrize(
    "program, arguments",
    [
        (breakdown, ["--workloads", "W1", "--batches", "4", "--threads", "1"]),
        (loaded, ["--workloads", "W1", "--batches", "4", "--threads", "2", "--busy", "1"]),
        (scaling, ["--batches", "1", "--depths", "1"]),
        (beyond, ["--batches", "4", "--parts", "augmentation,replicas"]),
        (theano_front, ["--nets", "W4", "--batches", "4", "--threads", "1"]),
    ],
    ids=["breakdown", "loaded", "scaling", "beyond", "theano_front"],
)
def test_programs_about_symconv_alone_write_their_rows(program, arguments, tmp_path):
    pytest.importorskip("symconv._core", reason="the C++ core is not built")
    file = tmp_path / "rows.json"
    short = [] if program is breakdown else ["--rounds", "1", "--target", "0.001"]
    program.main([*arguments, *short, "--images", "40", "--json", str(file)])
    results = json.loads(file.read_text())
    assert results["rows"] and results["commit"] and results["versions"]["symconv"]
    if program is breakdown:
        assert sum(r["share"] for r in results["rows"]) == pytest.approx(1.0)
        assert {r["op"] for r in results["rows"]} >= {"gemm"}


def test_the_pages_have_the_tables_of_what_lies_beyond_the_book():
    for path, text in beyond.pages().items():
        assert path.read_text(encoding="utf-8") == text, "python benchmarks/beyond.py --page"


def test_the_page_has_the_table_of_the_front():
    path, text = theano_front.page()
    assert path.read_text(encoding="utf-8") == text, "python benchmarks/theano_front.py --page"


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_the_front_trains_to_the_weights_of_native_symconv(name):
    images = np.random.default_rng(0).random((20, 784), np.float32)
    data = Data(images, np.arange(20, dtype=np.int32) % 10)
    assert theano_front.difference(name, 5, data) < 1e-5
    step, ps = theano_front.built("front", name, 5, data)
    start = ps[-1].get_value()
    step(0)
    assert np.abs(ps[-1].get_value() - start).max() > 1e-5  # the weights below have no gradient yet
