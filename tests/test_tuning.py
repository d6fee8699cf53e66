"""Measured choices of kernels: taken when asked for, kept in a file that is merged, shared and never lost."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import symconv as sc
from symconv.backends import tune as backend
from symconv.cli import main
from symconv.errors import ArgumentError, ConfigError, DataError
from symconv.plan import tuning
from symconv.workbench.bench import from_json, text_of

pytestmark = pytest.mark.usefixtures("core", "cxx")

CODE = """
struct P { ll n; };
void f(const P& p, const Args& args, ll begin, ll end) {
  for (ll i = begin; i < end; i++) args.get<float>(1)[i] = args.get<const float>(0)[i] + STEP;
}
CPU_KERNEL(step, P, f)
"""


def kernel(name, steps):
    return sc.cpu_kernel(
        name,
        CODE,
        variants=[{"STEP": s} for s in steps],
        launch=lambda n, STEP: sc.launch(n.out.type.size, n=STEP),
    )


# Each adds another number, so that the result tells which ran.
ONE, TEN = kernel("one", [1, 2, 3]), kernel("ten", [10])


@dataclass(frozen=True)
class Stepped(sc.Op):
    name = "stepped"
    kernels = [ONE, TEN]

    def infer(self, x):
        return x.type

    def reference(self, x):
        return x


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A tuning file, and timings that we choose: {kernel: microseconds}."""
    path = tmp_path / "tuning.json"
    times = {"one": 5.0, "one[STEP=2]": 4.0, "one[STEP=3]": 4.9, "ten": 9.0}
    measured = []

    def time_kernels(node, device, kernels, *_):
        measured.append(node.op.name)
        return [backend.Timing(k, (times[k.name],)) for k in kernels]

    monkeypatch.setattr(backend, "time_kernels", time_kernels)
    with sc.config(tuning_file=path):
        yield path, times, measured


def step(autotune=None):
    x = sc.vector("x")
    f = sc.function([x], Stepped()(x), autotune=autotune)
    return float(f(np.zeros(4, "f4"))[0])


def test_off_is_the_first_and_reads_no_file(file):
    path, _, measured = file
    path.write_text("not JSON")
    assert step() == 1 and not measured


def test_on_measures_once_and_takes_the_fastest_variant(file):
    path, _, measured = file
    assert step("on") == 2 and measured == ["stepped"]
    assert step("on") == 2 and len(measured) == 1
    assert step("cached") == 2 and step() == 1
    ((machine, nodes),) = json.loads(path.read_text())["machines"].items()
    assert machine.startswith("cpu | ") and f"symconv {sc.__version__}" in machine and "threads" in machine
    assert nodes == {
        "stepped(float32[4]) -> float32[4]": {
            "kernel": "one[STEP=2]", "us": {"one": 5.0, "one[STEP=2]": 4.0, "one[STEP=3]": 4.9, "ten": 9.0}
        }
    }  # fmt: skip


def test_a_small_gain_changes_nothing(file):
    _, times, _ = file
    times["one[STEP=2]"] = 4.9
    assert step("on") == 1


def test_cached_measures_nothing_and_shapes_are_apart(file):
    _, _, measured = file
    assert step("cached") == 1 and not measured
    step("on")
    x = sc.vector("x")
    assert sc.function([x], Stepped()(x), autotune="cached")(np.zeros(5, "f4"))[0] == 1


def test_another_number_of_threads_is_another_machine(file):
    _, _, measured = file
    with sc.config(num_threads=1):
        step("on")
    with sc.config(num_threads=2):
        assert step("cached") == 1
        step("on")
    assert len(measured) == 2


def test_a_kernel_that_is_gone_or_refuses_now_is_not_used(file):
    path, _, _ = file
    step("on")
    path.write_text(path.read_text().replace("one[STEP=2]", "gone"))
    assert step("cached") == 1


def test_tune_measures_and_the_function_uses_it(file):
    x = sc.vector("x")
    f = sc.function([x], Stepped()(x))
    data = np.zeros(4, "f4")
    assert f(data)[0] == 1
    text = sc.tune(f, data)
    assert text.splitlines()[0].startswith("stepped(float32[4])") and "0.80 of the first  one[STEP=2]" in text
    assert f(data)[0] == 2
    assert sc.tune(f, data).startswith("nothing to measure")
    assert "one[STEP=2]" in sc.tune(f, data, again=True)
    with pytest.raises(ArgumentError, match="device 'emulated' is not timed"):
        sc.tune(sc.function([x], sc.tanh(x), device="emulated"), data)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 2, "machines": {}}', '{"format": 1}', '{"format": 1, "machines": {"m": 3}}',
     '{"format": 1, "machines": {"m": {"n": {"kernel": "k"}}}}',
     '{"format": 1, "machines": {"m": {"n": {"kernel": "k", "us": {"k": "fast"}}}}}',
     '{"format": 1, "machines": {"m": {"n": {"kernel": "k", "us": {"j": 1}}}}}', "[" * 100000],
)  # fmt: skip
def test_a_damaged_file_is_reported_and_not_lost(text, file):
    path, _, _ = file
    path.write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        tuning.read(path)
    with pytest.warns(UserWarning, match="(?s)tuning.json is damaged.*nothing of it is used"):
        assert step("cached") == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step("cached") == 1  # once is enough
    assert path.read_text() == text
    with pytest.warns(UserWarning, match="moved to .*tuning.json.damaged1"):
        assert step("on") == 2
    assert Path(f"{path}.damaged1").read_text() == text and tuning.read(path)


def test_files_are_merged_and_the_faster_record_stays(file, tmp_path, capsys):
    path, _, _ = file
    a = {"m": {"x": {"kernel": "k", "us": {"k": 5.0}}, "y": {"kernel": "k", "us": {"k": 1.0}}}}
    b = {"m": {"x": {"kernel": "j", "us": {"j": 4.0}}}, "n": {"x": {"kernel": "k", "us": {"k": 1.0}}}}
    assert tuning.merged(a, b) == tuning.merged(b, a) == {**b, "m": {"x": b["m"]["x"], "y": a["m"]["y"]}}
    tuning.add(a)
    other = tmp_path / "other.json"
    tuning.add(b, other)
    assert main(["tune", "--merge", str(other), "--show"]) == 0
    assert "2 records merged" in capsys.readouterr().out
    assert tuning.read(path) == tuning.merged(a, b)
    assert main(["tune", "--merge", str(tmp_path / "none.json")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_processes_that_add_at_once_lose_nothing(file):
    path, _, _ = file
    code = (
        "import sys; from pathlib import Path; from symconv.plan import tuning\n"
        "for i in range(10):\n"
        "    tuning.add({'m': {f'{sys.argv[2]}{i}': {'kernel': 'k', 'us': {'k': 1.0}}}}, Path(sys.argv[1]))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [p.wait(60) for p in running] == [0, 0]
    assert len(tuning.read(path)["m"]) == 20


def test_kernels_are_really_timed(tmp_path, core):
    node = Stepped().make(sc.tensor("float32", (64,)))
    timings = backend.time_kernels(node, "cpu", [ONE, TEN, None], rounds=2, seconds=0.0002)
    assert [t.name for t in timings] == ["one", "ten", "reference"]
    assert all(len(t.us) == 2 and min(t.us) > 0 for t in timings)


def test_bad_values_are_refused():
    x = sc.vector("x")
    with pytest.raises(ConfigError, match="off, cached, on"):
        sc.function([x], x * 2, autotune="always")


def test_bench_gives_kernels_their_roofline_and_times_no_cuda_kernel_without_a_gpu(tmp_path, capsys):
    assert main(["kernel", "new", "my_scale", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "my_scale.py"
    path.write_text(path.read_text().replace("(1024, 4096)", "(64, 64)"))
    capsys.readouterr()
    path.write_text(path.read_text().replace("(64, 64)),))", "(64, 64)),), instead=lambda x: x * 2)"))
    told = tmp_path / "bench.json"
    assert main(["kernel", "bench", str(path), "--rounds", "2", "--json", str(told)]) == 0
    out = capsys.readouterr().out
    record = json.loads(told.read_text())
    assert f"symconv {sc.__version__}" in record["machine"] and record["peaks"]
    rows = from_json(record["rows"])
    (row,) = [r for r in rows if r.device == "cpu"]
    assert [e.role for e in row.entries] == ["own", "present", "written out"]
    assert all(len(e.us) == 2 and min(e.us) > 0 for e in row.entries)
    assert all(line in out for line in text_of([row], ())) and "times written out's speed" in out
    assert (
        "the least that the roofline allows: 32,768 bytes, 4,096 FLOPs" in out and "measured now: cpu" in out
    )
    assert "my_scale_cpu: " in out and "% of the roofline" in out and "reference  (what runs with" in out
    if "cuda kernel my_scale_cuda of my_scale: not timed, there is no GPU here" not in out:
        pytest.importorskip("cupy")
