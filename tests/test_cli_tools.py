"""symconv explain, config, bench, kernels and bisect from the command line."""

from __future__ import annotations

import json

import pytest
from cli_helpers import error_of, start
from nn_helpers import DEVICES

import symconv as sc
from symconv.cli import main

# -- explain, config, version ----------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_explain_shows_the_layers_and_the_plan(device, capsys):
    assert main(["explain", "--net", "dbl_conv_relu", "--batch", "4", "--device", device]) == 0
    text = capsys.readouterr().out
    assert "FullyConnectedLayer(n_in=640" in text and "85,670 parameters" in text
    if device == "cpu":
        assert "[4, 40, 4, 4]" in text and "plan for cpu" in text
        assert "conv_pool" in text.split("REWRITES BY PASS")[1].split("GRAPH AS REWRITTEN")[0]
    for part in ("GRAPH AS WRITTEN", "REWRITES BY PASS", "GRAPH AS REWRITTEN", "PLAN"):
        assert part in text
    assert "net dbl_conv_relu (conv2)" in text
    assert main(["explain", "--net", "shallow", "--inference", "--show", "graph", "--device", device]) == 0
    text = capsys.readouterr().out
    assert "GRAPH AS WRITTEN" in text and "softmax" in text and "PLAN" not in text


def test_config_prints_every_setting(capsys):
    assert main(["config"]) == 0
    text = capsys.readouterr().out
    assert "SYMCONV_DEVICE" in text and "floatX = " in text


def test_version_and_help(capsys):
    for argv, word in (
        (["--version"], f"symconv {sc.__version__}"),
        (["--help"], "predict"),
        ([], "COMMAND"),
    ):
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == (0 if argv else 2)
        out, err = capsys.readouterr()
        assert word in out + err


def test_a_reader_that_leaves_is_no_error():
    process = start("config")
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "Error" not in process.stderr.read()


def test_bench_prints_and_writes_rows(tmp_path, capsys):
    out = tmp_path / "rows.json"
    short = ["--rounds", "2", "--seconds", "0.001", "--device", "reference"]
    assert (
        main(["bench", "--net", "shallow", "--batches", "2", "--infer", "1,3", *short, "--json", str(out)])
        == 0
    )
    rows = json.loads(out.read_text())
    assert [(r["metric"], r["batch"], r["n"]) for r in rows] == [
        ("training step", 2, 2), ("prediction", 1, 2), ("prediction", 3, 2)
    ]  # fmt: skip
    assert all(0 < r["min"] <= r["median"] <= r["max"] for r in rows)
    assert "training step" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["bench", "--batches", "0"])


def test_kernels_lists_and_chooses(capsys):
    assert main(["kernels"]) == 0
    listing = capsys.readouterr().out
    assert "csrc/kernels/softmax.cpp" in listing and "kernels/softmax.cu" in listing
    words = [
        "conv_pool",
        "float32[10,20,12,12]",
        "float32[40,20,5,5]",
        "float32[40]",
        "--set",
        "window=(2,2)",
    ]
    assert main(["kernels", *words, "--device", "cuda"]) == 0
    assert "direct_conv_pool" in capsys.readouterr().out
    for wrong, message in (
        (["nonsense"], "no op 'nonsense'"),
        (["dot", "float32[3", "float32[3]"], "is no type"),
        (["dot", "float32[2,3]", "float32[4,5]"], "dot"),
        (["conv_pool", "float32[1]", "--set", "nothing"], "NAME=VALUE"),
    ):
        assert main(["kernels", *wrong]) == 2
        assert message in capsys.readouterr().err


FAULTY = """
import symconv as sc
from symconv.graph import Op

class Twice(Op):
    name = "twice"
    def infer(self, x): return x.type
    def reference(self, x): return 2 * x
    def simplify(self, x): return [x] if SIMPLIFY else None

def good():
    x = sc.vector("x")
    return sc.function([x], Twice()(x) + 1), [1.0, 2.0]
"""


def test_bisect_names_what_changes_a_result_of_a_users_function(tmp_path, capsys):
    for simplify, code, words in ((False, 0, "same results"), (True, 1, "twice from model.py:")):
        path = tmp_path / "model.py"
        path.write_text(FAULTY.replace("SIMPLIFY", str(simplify)).replace("[1.0, 2.0]", "([1.0, 2.0],)"))
        assert main(["bisect", f"{path}:good", "--device", "reference"]) == code
        assert words in capsys.readouterr().out


def test_bisect_of_a_network(core, capsys):
    assert main(["bisect", "--net", "shallow", "--batch", "3", "--device", "cpu"]) == 0
    assert "a training step of shallow on cpu: every stage gives the same" in capsys.readouterr().out


def test_bisect_explains_bad_targets(tmp_path, capsys):
    path = tmp_path / "model.py"
    path.write_text("def other(): return 3")
    assert "there is no file 'nowhere.py'" in error_of(capsys, 2, "bisect", "nowhere.py:f")
    assert "defines no function 'f'" in error_of(capsys, 2, "bisect", f"{path}:f")
    assert "(compiled function, its arguments)" in error_of(capsys, 2, "bisect", f"{path}:other")
