"""Kernels of the user's: from strings, files and libraries, on every device and executor."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from user_kernels import (
    CPU,
    CUDA,
    SCALE_CPU,
    SCALE_CUDA,
    TANH,
    Scale,
    compiled,
    cpu_launch,
    cuda_launch,
    data,
    kernels_used,
    tanh_kernel,
)

import symconv as sc
from symconv.errors import ArgumentError, CompileError, ExecutionError
from symconv.graph.params import kernel_dir

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("cxx")


# ---- devices and executors


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_a_kernel_is_chosen_and_right(device, core):
    x, s = data()
    with sc.use_kernel(Scale, SCALE_CPU, SCALE_CUDA):
        f = compiled(device)
        assert np.array_equal(f(x, s), Scale().reference(x, s))
        assert kernels_used(f) == ["scale_planes" if device == "cpu" else "scale_tile"]
        assert "kernel from user_kernels.py:" in f.explain()
        assert f(x[:0], s[:0]).shape == (0, 3, 5, 7)


def test_a_refusal_is_shown_and_the_reference_takes_over(core):
    x, s = data("float64")
    with sc.use_kernel(Scale, SCALE_CPU):
        f = compiled("cpu", "float64")
        assert np.array_equal(f(x, s), Scale().reference(x, s))
        assert re.search(r"refused by scale_planes, from user_kernels.py:\d+: dtype float64", f.explain())


def test_explain_tells_why_a_kernel_of_the_users_did_not_take_a_step(core):
    shy = tanh_kernel("shy", supports=lambda node: "not today")
    v = sc.vector("v")
    with sc.use_kernel("tanh", shy):
        f = sc.function([v], sc.tanh(v), device="cpu")
        f(np.ones(3, "f4"))
    assert kernels_used(f) == ["elementwise"]
    assert re.search(r"refused by shy, from user_kernels.py:\d+: not today", f.explain())


@pytest.mark.parametrize("executor", ["kernels", "graph", "persistent"])
def test_a_cuda_kernel_takes_part_in_every_executor(executor):
    x, s = data()
    with sc.use_kernel(Scale, SCALE_CUDA), sc.config(gpu_executor=executor):
        f = compiled("emulated", expression=lambda x, s: Scale()(Scale()(sc.tanh(x), s), s) + 1)
        want = np.tanh(x) * s[:, :, None, None] ** 2 + 1
        np.testing.assert_allclose(f(x, s), want, rtol=1e-5)
        assert f"executor {executor}" in f.explain()
        np.testing.assert_allclose(f.loop(3, x, s), np.stack([want] * 3), rtol=1e-5)


def test_two_kernels_with_the_same_names_inside_share_a_persistent_kernel():
    other = sc.cuda_kernel("scale_twice", CUDA.replace("x[i] * s", "2 * x[i] * s"), launch=cuda_launch)

    @dataclass(frozen=True)
    class Twice(Scale):
        name = "scale_twice"
        kernels = [other]

        def reference(self, x, s):
            return 2 * super().reference(x, s)

    x, s = data()
    with sc.use_kernel(Scale, SCALE_CUDA), sc.config(gpu_executor="persistent"):
        f = compiled("emulated", expression=lambda x, s: Twice()(Scale()(x, s), s))
        np.testing.assert_allclose(f(x, s), 2 * x * s[:, :, None, None] ** 2, rtol=1e-5)


def test_a_cuda_kernel_compiles_for_gpus():
    nvrtc = pytest.importorskip("symconv.backends.gpu.nvrtc")
    try:
        nvrtc.library()
    except sc.errors.DeviceError:
        pytest.skip("NVRTC is not installed")
    from symconv.plan.gpu import Source

    x, s = (sc.tensor("float32", a.shape) for a in data())
    launch = SCALE_CUDA.launch(Scale().make(x, s))
    cubin, log = nvrtc.compile_source(Source(code=launch.code), 90)
    assert cubin and nvrtc.resources(log)["scale_channels"].registers > 0
    with pytest.raises(CompileError, match=r"text of broken\(6\): error: .*\"i\" is undefined"):
        broken = sc.cuda_kernel("broken", CUDA.replace("ll i =", "ll j ="), launch=cuda_launch)
        nvrtc.compile_source(Source(code=broken.launch(Scale().make(x, s)).code), 90)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_cpu_kernel_gives_the_same_bits_on_any_threads(threads, core):
    x, s = data()
    with sc.config(num_threads=threads), sc.use_kernel(Scale, SCALE_CPU):
        assert np.array_equal(compiled("cpu")(x, s), Scale().reference(x, s))


def test_a_cpu_kernel_runs_in_loops_and_maps_without_python(core):
    x, s = data()
    with sc.use_kernel(Scale, SCALE_CPU):
        f = compiled("cpu")
        rows = f.map(np.stack([x, 2 * x]), np.stack([s, s]))
        assert np.array_equal(rows[1], 2 * Scale().reference(x, s))
        assert "0 reference steps" in f.explain()


# ---- texts


def test_a_file_with_its_own_header_and_the_lines_of_its_mistakes(tmp_path, core):
    (tmp_path / "half.h").write_text("#pragma once\nstatic inline float half_of(float x) { return x / 2; }\n")
    path = tmp_path / "scale.cpp"
    path.write_text(f'#include "half.h"\n{CPU}'.replace("x[j] * s[i]", "half_of(x[j] * s[i])"))
    kernel = sc.cpu_kernel("half", file=path, launch=cpu_launch)
    assert kernel.source == str(path) and kernel.origin == "scale.cpp:1"
    x, s = data()
    with sc.use_kernel(Scale, kernel):
        assert np.array_equal(compiled("cpu")(x, s), Scale().reference(x, s) / 2)
    path.write_text(path.read_text().replace("half_of(x[j]", "half_off(x[j]"))
    wrong = sc.cpu_kernel("half", file=path, launch=cpu_launch)
    line = next(i for i, t in enumerate(path.read_text().splitlines(), 1) if "half_off" in t)
    with (
        sc.use_kernel(Scale, wrong),
        pytest.raises(CompileError, match=f"(?s)half.*scale.cpp:{line}:.*half_off"),
    ):
        compiled("cpu")(x, s)


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_a_mistake_in_a_string_is_reported_at_its_line_here(device, core):
    code = """
    struct P { ll n; };
    void f(const P& p, const Args& args, ll begin, ll end) { undeclared_cpu(); }
    CPU_KERNEL(k, P, f)
    """
    make = sc.cpu_kernel
    if device == "emulated":
        make = sc.cuda_kernel
        code = """
    struct P { ll n; };
    DEVICE void f(const P& p, const Args& args, int tile, Shared) { undeclared_emulated(); }
    KERNEL(k, P, f)
    """
    word = f"undeclared_{device}()"
    line = next(i for i, t in enumerate(Path(__file__).read_text().splitlines(), 1) if f" {word};" in t)
    with (
        sc.use_kernel(Scale, make("broken", code, launch=lambda n: sc.launch(1, n=1))),
        pytest.raises(CompileError, match=rf"test_user_kernels.py:{line}:"),
    ):
        compiled(device)(*data())


def test_texts_that_cannot_be_kernels():
    launch = lambda n: sc.launch(1)  # noqa: E731
    for arguments, message in [
        (dict(), "give the text as `code`, or a path as `file`"),
        (dict(code="int x;"), r"the text has no KERNEL\(entry, Params, function\)"),
        (dict(code=CPU), "CPU_KERNEL.* is not for device 'cuda'"),
        (dict(code=CUDA, entry="other"), "no KERNEL.other, .*; the text has scale_channels"),
        (dict(code="KERNEL(a, Missing, f)"), "struct Missing .* neither in the text nor in"),
        (dict(code="struct P { char c; };\nKERNEL(a, P, f)"), "cannot read 'char c'"),
        (dict(file="nowhere.cu"), "cannot read .*tests/nowhere.cu"),
        (dict(code=CUDA, variants=[{"TILE": "4"}]), "a name and a whole number"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            sc.cuda_kernel("k", launch=launch, **arguments)
    with pytest.raises(ArgumentError, match="launch is a function"):
        sc.cuda_kernel("k", CUDA, launch=3)


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (lambda n: sc.launch(1, inner=2), "no value for count"),
        (lambda n: sc.launch(1, count=1.5, inner=2), "ScaleParams.count holds whole numbers"),
        (lambda n: sc.launch(1, count=n.out, inner=2), "is symbolic and holds no numbers"),
        (lambda n: sc.launch(-1, count=1, inner=2), "tiles is a whole number of 0 or more"),
        (lambda n: sc.launch(1 << 40, count=1, inner=2), "at most 2.31"),
        (lambda n: 3, "returned int\n  hint: return sc.launch"),
        (lambda n: 1 // 0, "failed on .*ZeroDivisionError"),
    ],
)
def test_launches_that_do_not_fit(launch, message):
    kernel = sc.cuda_kernel("k", CUDA, launch=launch)
    with (
        sc.use_kernel(Scale, kernel),
        pytest.raises(CompileError, match=f"(?s)test_user_kernels.py.*{message}"),
    ):
        compiled("emulated")(*data())


@pytest.mark.parametrize("answer", [True, False, "", 3])
def test_supports_gives_none_or_words(answer):
    kernel = sc.cuda_kernel("k", CUDA, supports=lambda n: answer, launch=cuda_launch)
    with sc.use_kernel(Scale, kernel), pytest.raises(CompileError, match=r"supports\(\) of k .*returned"):
        compiled("emulated")(*data())


def test_an_exception_of_a_cpu_kernel_names_kernel_step_and_line(core):
    code = CPU.replace("auto y", 'if (p.inner == 35) throw std::runtime_error("inner is 35");\n  auto y')
    kernel = sc.cpu_kernel("thrower", "#include <stdexcept>\n" + code, launch=cpu_launch)
    with sc.use_kernel(Scale, kernel):
        f = compiled("cpu")
        with pytest.raises(ExecutionError, match=r"thrower: scale from user_kernels.py:\d+.*inner is 35"):
            f(*data())


# ---- libraries


def build_library(tmp_path, cxx, text):
    source, path = tmp_path / "lib.c", tmp_path / "libscale.so"
    source.write_text(text)
    subprocess.run(
        [cxx, "-x", "c++", "-shared", "-fPIC", f"-I{kernel_dir()}", str(source), "-o", path], check=True
    )
    return path


LIBRARY = """
#include <stdio.h>
#include "call.h"
struct P { long long inner; };
extern "C" {
extern const int scale_abi;
const int scale_abi = SYMCONV_CALL_ABI;
int scale(const SymconvCall* call) {
  const P* p = (const P*)call->params;
  const float *x = (const float*)call->arrays[0].data, *s = (const float*)call->arrays[1].data;
  float* y = (float*)call->arrays[2].data;
  if (p->inner == 1) return snprintf(call->message, call->message_bytes, "inner is %lld", p->inner);
  for (long long i = call->begin; i < call->end; i++)
    for (long long j = i * p->inner; j < (i + 1) * p->inner; j++) y[j] = x[j] * s[i];
  return 0;
}
int no_kernel(const SymconvCall*) { return 0; }
}
"""


def test_a_library_is_bound_by_the_name_of_its_entry(tmp_path, cxx, core):
    path = build_library(tmp_path, cxx, LIBRARY)

    def kernel(entry):
        return sc.cpu_kernel(
            "bound", library=path, entry=entry, params="struct P { long long inner; };", launch=cpu_launch
        )

    x, s = data()
    with sc.use_kernel(Scale, kernel("scale")):
        f = compiled("cpu")
        assert np.array_equal(f(x, s), Scale().reference(x, s)) and kernels_used(f) == ["bound"]
        with pytest.raises(ExecutionError, match="bound: scale from .*inner is 1"):
            f(x[..., :1, :1], s)
    with sc.use_kernel(Scale, kernel("nothing")), pytest.raises(CompileError, match="defines no 'nothing'"):
        compiled("cpu")(x, s)
    with sc.use_kernel(Scale, kernel("no_kernel")), pytest.raises(CompileError, match="no_kernel_abi = 1"):
        compiled("cpu")(x, s)
    with pytest.raises(ArgumentError, match="there is no library"):
        sc.cpu_kernel("k", library=tmp_path / "none.so", entry="e", launch=cpu_launch)
    (tmp_path / "text.so").write_text("no library")
    kernel = sc.cpu_kernel("k", library=tmp_path / "text.so", entry="e", launch=lambda n: sc.launch(1))
    with sc.use_kernel(Scale, kernel), pytest.raises(CompileError, match="cannot be opened"):
        compiled("cpu")(x, s)


def test_the_core_trusts_no_number_from_python(core):
    from symconv import _core
    from symconv.graph.params import pack

    y = np.zeros(4, "f4")
    good = dict(number=0, items=1, grain=1, workspace=0, n_in=0, n_out=1, bytes=[16])
    for change, message in [
        (dict(number=10**6), "not the number of a bound entry"),
        (dict(number=-1), "not the number of a bound entry"),
        (dict(n_out=2), "got 0 inputs and 1 outputs"),
        (dict(bytes=[20]), "array 0 has 16 bytes, the params say 20"),
        (dict(items=-1), "-1 items"),
        (dict(grain=0), "0 at least"),
    ]:
        x, s = data()
        with sc.use_kernel(Scale, SCALE_CPU):
            compiled("cpu")(x, s)  # so that number 0 is bound
        with pytest.raises(ValueError, match=message):
            _core.call_kernel("foreign", pack("ForeignParams", **{**good, **change}), [], [y])


def test_processes_and_threads_that_compile_at_once_agree(tmp_path, core):
    program = tmp_path / "program.py"
    program.write_text(
        "import threading, numpy as np, symconv as sc\n"
        f"CODE = '''{TANH}'''\n"
        "results = []\n"
        "def work():\n"
        "    k = sc.cpu_kernel('t', CODE, launch=lambda n: sc.launch(n.out.type.size, n=1))\n"
        "    with sc.use_kernel('tanh', k):\n"
        "        v = sc.vector('v')\n"
        "        results.append(sc.function([v], sc.tanh(v))(np.ones(3, 'f4')).tolist())\n"
        "threads = [threading.Thread(target=work) for _ in range(2)]\n"
        "[t.start() for t in threads], [t.join() for t in threads]\n"
        "print(results)\n"
    )
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "SYMCONV_CACHE_DIR": str(tmp_path / "cache")}
    running = [
        subprocess.Popen([sys.executable, program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [p.communicate(timeout=120) for p in running]
    want = [[float(np.tanh(np.float32(1)))] * 3] * 2
    for out, err in outputs:
        np.testing.assert_allclose(eval(out), want, rtol=1e-6, err_msg=err.decode())
    names = sorted(p.name for p in (tmp_path / "cache" / "kernels").iterdir())
    assert len(names) == 1 and names[0].endswith(".so")
