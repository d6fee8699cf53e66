"""check_kernel and `symconv kernel`: planted mistakes are reported with file and line; nothing crashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import symconv as sc
from symconv.cli import main
from symconv.errors import ArgumentError, KernelFault, OutputError
from symconv.testing import OpCase, Spec, check_kernel
from symconv.workbench.check import examine

pytestmark = pytest.mark.usefixtures("cxx", "core")

# y = 2 x, by way of shared memory: a block turns its 256 elements round and back again
CUDA = """\
struct DoubleParams {
  long long n, host;
  int rows;
};

DEVICE void double_tile(const DoubleParams& p, const Args& args, int tile, Shared shared) {
  auto x = args.get<const float>(0);
  auto y = args.get<float>(1);
  SharedArray<float> s = shared.array<float>(0, THREADS);
  int t = threadIdx.x, columns = p.n / p.rows;
  ll i = tile * 256LL + t, j = tile * 256LL + 255 - t;
  float local[2] = {1.0f, 1.0f};
  s[t] = j < p.n ? float(x[j]) : 0.0f;
  __syncthreads();
  float v = s[THREADS - 1 - t];
  if (i < p.n) y[i] = v * (local[0] + local[1]);
}
KERNEL(double_it, DoubleParams, double_tile)
"""
CPU = """\
#include <stdexcept>
struct DoubleParams {
  long long n;
};

void double_range(const DoubleParams& p, const Args& args, ll begin, ll end) {
  auto x = args.get<const float>(0);
  auto y = args.get<float>(1);
  for (ll i = begin; i < end; i++) {
    y[i] = 2 * x[i];
  }
}
CPU_KERNEL(double_it, DoubleParams, double_range)
"""
HOST = np.ones(400, "f4")


def launch(node):
    n = node.out.type.size
    return sc.launch(sc.blocks(n), shared=1024, n=n, host=HOST.ctypes.data, rows=node.out.type.dims[0])


@dataclass(frozen=True)
class Double(sc.Op):
    name = "double_it"
    operands = ("x",)

    def infer(self, x):
        return x.type

    def grad(self, node, dy):
        return [Double()(dy)]

    def reference(self, x):
        return 2 * x


@dataclass(frozen=True)
class Forgetful(sc.Op):
    name = "forgetful"
    operands = ("x",)

    def infer(self, x):
        return x.type

    def reference(self, x):
        return 2 * x


@dataclass(frozen=True)
class WrongSlope(Forgetful):
    name = "wrong_slope"

    def grad(self, node, dy):
        return [3 * dy]


def case(op=Double, grad=False, **options):
    # 391 elements: two blocks, the second not full
    return OpCase("rows", lambda x: op()(x), (Spec((17, 23)),), exact=True, grad=grad, **options)


def written(tmp_path, text, suffix):
    path = tmp_path / f"double{suffix}"
    path.write_text(text)
    return path


def line_with(text, words):
    return next(i for i, line in enumerate(text.splitlines(), 1) if words in line)


def findings(tmp_path, text, device="cuda", op=Double, **options):
    make = sc.cuda_kernel if device == "cuda" else sc.cpu_kernel
    path = written(tmp_path, text, ".cu" if device == "cuda" else ".cpp")
    start = launch if device == "cuda" else lambda n: sc.launch(n.out.type.size, n=n.out.type.size)
    kernel = make("double", file=path, launch=start)
    with sc.use_kernel(op, kernel):
        return examine(kernel, [case(op, **options)]).findings


STORE = "  if (i < p.n) y[i] ="
PLANTED = {  # what is replaced, by what, kind, words of the reported line, words of the message
    "missing_syncthreads": ("  __syncthreads();\n", "", "uninitialised", "float v = s[", "a barrier or a st"),
    "off_by_one_store": (STORE, STORE.replace("<", "<="), "bounds", "i <= p.n", "index 391 of global"),
    "store_before": (STORE, STORE.replace("y[i]", "y[i - 1]"), "bounds", "y[i - 1]", "index -1 of global"),
    "wrong_stride": (
        "float(x[j])", "float(x[j % columns * p.rows + j / columns])", "value", "y[i] =",
        "elements differ; worst at .* written here by block",
    ),
    "transposed_store": (
        "y[i] =", "y[i % columns * p.rows + i / columns] =", "value", "i % columns", "written here by block"
    ),
    "unwritten_tail": (
        STORE, STORE.replace("p.n", "p.n - 3"), "unwritten", "p.n - 3",
        r"3 of 391 .* the first at \[16, 20\], so they are NaN",
    ),
    "nan_in_a_tail": ("v * (local", "(i < p.n - 3 ? v : v / 0 - v / 0) * (local", "nan", "v / 0", "nan"),
    "two_writers": (
        STORE, "  if (i < p.n) y[i & ~1LL] = 0;\n  __syncthreads();\n" + STORE, "race", "~1LL",
        r"written by block 0, thread \d \(line 16\) and by block 0, thread \d",
    ),
    "host_pointer": ("float(x[j])", "((const float*)p.host)[j]", "bounds", "p.host", "a host pointer"),
    "wild_pointer": ("y[i] =", "*(float*)(i * 1234567 + 99999999) =", "bounds", "99999999", "no memory of"),
    "null_pointer": ("float(x[j])", "*(const float*)(p.n - p.n)", "bounds", "p.n - p.n", "null pointer"),
    "division_by_zero": ("p.n / p.rows", "p.n / (p.rows - 17)", "fault", "p.rows - 17", "division by zero"),
    "local_array": ("local[0] +", "local[t] +", "bounds", "local[t]", "index .* of a local array"),
    "divergent_barrier": (
        "  __syncthreads();", "  __syncthreads();\n  if (t < 200) __syncthreads();", "barrier", "t < 200",
        "divergent barrier",
    ),
    "unset_shared": ("  s[t] =", "  if (t > 3) s[t] =", "uninitialised", "float v = s[", "nothing was writ"),
    "wrong_dtype": (
        "args.get<const float>(0)", "args.get<const double>(0)", "type", "double>(0)",
        "array 0 holds float32, get<> takes it for floats of 8 bytes",
    ),
    "integers_for_floats": ("args.get<float>(1)", "args.get<int>(1)", "type", "get<int>(1)", "whole numbers"),
    "array_too_many": ("args.get<float>(1)", "args.get<float>(2)", "bounds", "(2)", "array 2: the ker"),
    "output_read": (STORE, STORE.replace("y[i] =", "y[i] +="), "uninitialised", "y[i] +=", "is read here"),
    "wrong_tile": ("i = tile * 256LL", "i = tile / 2 * 256LL", "unwritten", "y[i] =", "135 of 391"),
    "no_tail_check": ("  if (i < p.n) y[i]", "  y[i]", "bounds", "  y[i]", "index 511 of global memory"),
    "input_written": (
        "auto x = args.get<const float>(0);", "auto x = args.get<float>(0); x[0] = 7;", "input", "struct",
        "input 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_reported_with_its_line(name, tmp_path):
    old, new, kind, words, message = PLANTED[name]
    assert CUDA.count(old) == 1
    text = CUDA.replace(old, new)
    found = findings(tmp_path, text)
    assert found and found[0].kind == kind and re.search(message, found[0].message), found
    assert found[0].where == f"double.cu:{line_with(text, words)}", found


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("i < end; i++) {", "i <= end; i++) {", "bounds", "y[i] = 2"),
        ("y[i] = 2", "y[i / 2 * 2] = 2", "unwritten", "i / 2"),
        ("y[i] = 2", "y[i + 1] = 2", "bounds", "y[i + 1]"),
        ("2 * x[i]", "2 * *(const float*)(i + 64)", "bounds", "i + 64"),
        ("y[i] = 2 * x[i]", "if (i != 3) y[i] = 2 * x[i]", "unwritten", "i != 3"),
        ("2 * x[i]", "3 * x[i]", "value", "3 * x[i]"),
        ("args.get<float>(1)", "args.raw<float>(1) + 1", "bounds", "y[i] = 2"),
        ("args.get<const float>(0)", "args.get<const double>(0)", "type", "const double"),
        ("y[i] = 2", "y[i] += 2", "uninitialised", "+= 2"),
        ("y[i] = 2", 'if (i == 5) throw std::runtime_error("no"); y[i] = 2', "fault", "CPU_KERNEL"),
    ],
)
def test_a_planted_mistake_of_a_cpu_kernel_is_reported_with_its_line(old, new, kind, words, tmp_path):
    text = CPU.replace(old, new)
    assert text != CPU
    found = findings(tmp_path, text, "cpu")
    assert found and found[0].kind == kind, found
    assert found[0].where == f"double.cpp:{line_with(text, words)}"


def test_good_kernels_pass_with_their_gradients(tmp_path):
    assert findings(tmp_path, CUDA, grad=True) == []
    text = CPU.replace("2 * x[i]", "2 * std::beta(1.0f, 1.0f) * x[i]")  # all of <cmath> is there
    assert findings(tmp_path, text, "cpu", grad=True) == []


@pytest.mark.parametrize(("op", "message"), [(Forgetful, "defines no grad"), (WrongSlope, "by differences")])
def test_a_forgotten_or_wrong_gradient_is_reported_at_the_op(op, message, tmp_path):
    (found,) = findings(tmp_path, CPU, "cpu", op=op, grad=True)
    line = line_with(Path(__file__).read_text(), "class Forgetful" if op is Forgetful else "return [3 * dy]")
    assert found.kind == "gradient" and message in found.message
    assert found.where in (f"test_kernel_check.py:{line - 1}", f"test_kernel_check.py:{line}")


def test_a_text_that_does_not_compile_is_a_finding_at_its_line(tmp_path):
    (found,) = findings(tmp_path, CUDA.replace("float v =", "float v ="[:-1]))
    assert found.kind == "compile" and found.where.startswith("double.cu:")


def test_a_kernel_must_be_the_one_that_is_chosen(tmp_path):
    path = written(tmp_path, CPU, ".cpp")
    kernels = [
        sc.cpu_kernel(name, file=path, launch=lambda n: sc.launch(n.out.type.size, n=1))
        for name in ("first", "second")
    ]
    with sc.use_kernel(Double, *kernels):
        (found,) = examine("second", [case()], Double).findings
        assert found.kind == "not chosen" and "first comes before it and accepts too" in found.message
        with pytest.raises(AssertionError, match="not chosen .rows.: first comes before it"):
            check_kernel(kernels[1], [case()])
        assert check_kernel("first", [case()], Double).ran == ["rows"]
        with pytest.raises(ArgumentError, match="no kernel 'third' in double_it"):
            check_kernel("third", [case()])
    refusing = sc.cpu_kernel("shy", file=path, supports=lambda n: "not today", launch=launch)
    with sc.use_kernel(Double, refusing):
        (found,) = examine(refusing, [case()]).findings
        assert found.kind == "refused" and "no case reached it; rows: not today" in found.message


def test_a_variant_is_checked_as_itself(tmp_path):
    path = written(tmp_path, CPU.replace("2 * x[i]", "FACTOR * x[i]"), ".cpp")
    kernel = sc.cpu_kernel(
        "double", file=path, variants=[{"FACTOR": 2}, {"FACTOR": 3}],
        launch=lambda n, FACTOR: sc.launch(n.out.type.size, n=FACTOR),
    )  # fmt: skip
    with sc.use_kernel(Double, kernel):
        assert examine(kernel, [case()]).passed
        report = examine(kernel.variants[0], [case()])
    assert report.kernel == "double[FACTOR=3]" and report.findings[0].kind == "value"


def test_a_faulty_kernel_leaves_the_process_and_the_device_alive(tmp_path):
    path = written(tmp_path, CUDA.replace("y[i] =", "*(float*)(i * 1234567 + 99999999) ="), ".cu")
    v = sc.vector("v")
    with sc.use_kernel(Double, sc.cuda_kernel("wild", file=path, launch=launch)):
        f = sc.function([v], Double()(v), device="emulated")
        for _ in range(2):
            with pytest.raises(KernelFault, match=r"double.cu:16: store of 4 bytes at 0x.*a host pointer"):
                f(np.ones(300, "f4"))
    assert sc.function([v], v * 2, device="emulated")(np.ones(3, "f4")).tolist() == [2, 2, 2]


# ---- the command


def test_a_new_kernel_passes_its_check_at_once(tmp_path, capsys):
    assert main(["kernel", "new", "my_scale", "--folder", str(tmp_path)]) == 0
    assert "next: symconv kernel check" in capsys.readouterr().out
    assert main(["kernel", "check", str(tmp_path / "my_scale.py")]) == 0
    out = capsys.readouterr().out
    assert "cuda kernel my_scale_cuda of my_scale (my_scale.cu:1): 5 cases, passed" in out
    assert "cpu kernel my_scale_cpu of my_scale (my_scale.cpp:1): 5 cases, passed" in out


def test_new_refuses_bad_names_and_never_overwrites(tmp_path, capsys):
    for name in ("2fast", "class", "My_Op", "a-b"):
        assert main(["kernel", "new", name, "--folder", str(tmp_path)]) == 2
        assert "cannot name an op" in capsys.readouterr().err
    (tmp_path / "taken.cu").write_text("mine")
    from symconv.workbench.skeleton import write_skeleton

    with pytest.raises(OutputError, match="taken.cu is there already"):
        write_skeleton("taken", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.cu"]


FILE = '''
import os, signal, time
from dataclasses import dataclass
import symconv as sc
from symconv.testing import OpCase, Spec
CODE = """{code}"""
def launch(node):
    {action}
    return sc.launch(node.out.type.size, n=node.out.type.size)
@dataclass(frozen=True)
class Twice(sc.Op):
    name = "twice"
    kernels = [sc.cpu_kernel("twice", CODE, launch=launch)]
    def infer(self, x): return x.type
    def reference(self, x): return 2 * x
CASES = [OpCase("row", lambda x: Twice()(x), (Spec((5,)),), grad=False)]
'''


@pytest.mark.parametrize(
    ("action", "timeout", "message"),
    [
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            "60",
            "{}: crash [cpu kernel twice, case row]: it died of SIGSEGV",
        ),
        ("time.sleep(60)", "6", "{}: crash [cpu kernel twice, case row]: it did not end within 6 s"),
        ("os._exit(0)", "60", "crash [cpu kernel twice, case row]: it ended the process, with exit code 0"),
    ],
)
def test_a_process_that_dies_or_hangs_is_a_finding(action, timeout, message, tmp_path, capsys):
    path = tmp_path / "twice.py"
    path.write_text(FILE.format(code=CPU, action=action))
    assert main(["kernel", "check", str(path), "--timeout", timeout]) == 1
    place = f"twice.py:{line_with(path.read_text(), action)}"
    assert message.format(place) in capsys.readouterr().out


def test_a_kernel_that_ends_the_process_is_found_at_its_line(tmp_path, capsys):
    path = tmp_path / "twice.py"
    code = "#include <cstdlib>\n" + CPU.replace("y[i] = 2", "if (i == 3) abort(); y[i] = 2")
    path.write_text(FILE.format(code=code, action="pass"))
    assert main(["kernel", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"twice.py:{line_with(path.read_text(), 'abort')}: crash" in out and "died of SIGABRT" in out


def test_findings_give_exit_code_one_and_the_line_of_the_string(tmp_path, capsys):
    path = tmp_path / "twice.py"
    path.write_text(FILE.format(code=CPU.replace("2 * x[i]", "3 * x[i]"), action="pass"))
    assert main(["kernel", "check", str(path), "--in-process"]) == 1
    line = line_with(path.read_text(), "3 * x[i]")
    assert f"  twice.py:{line}: value [row]: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "makes no kernel"),
        ("1 / 0", "file.py:1: ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        (FILE.format(code=CPU, action="pass").replace("CASES =", "OTHER ="), "CASES is missing"),
        (FILE.format(code=CPU, action="pass") + "CASES = [3]", "3 in CASES is no OpCase"),
    ],
)
def test_files_that_cannot_be_checked(text, message, tmp_path, capsys):
    path = tmp_path / "file.py"
    path.write_text(text)
    assert main(["kernel", "check", str(path), "--in-process"]) == 2
    assert message in capsys.readouterr().err


def test_a_kernel_of_an_op_of_symconvs_gets_its_case_table(tmp_path, capsys):
    path = tmp_path / "double.py"
    path.write_text(
        f'import symconv as sc\nCODE = """{CPU}"""\n'
        "launch = lambda node: sc.launch(node.out.type.size, n=node.out.type.size)\n"
        "sc.register_kernel('softplus', sc.cpu_kernel('double_it', CODE, launch=launch))\n"
    )
    assert main(["kernel", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "case softplus_float32" in out and f"double.py:{line_with(path.read_text(), '2 * x[i]')}" in out


def test_a_kernels_own_file_and_no_file_are_refused(tmp_path, capsys):
    assert main(["kernel", "check", str(tmp_path / "k.cu"), "--in-process"]) == 2
    assert "checked through its op" in capsys.readouterr().err
    assert main(["kernel", "check", str(tmp_path / "none.py"), "--in-process"]) == 2
    assert "is no Python file" in capsys.readouterr().err


def test_the_list_has_both_spellings(capsys):
    assert main(["kernel", "list", "--device", "cpu"]) == 0
    first = capsys.readouterr().out
    assert main(["kernels", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == first and "strided_copy" in first or "contiguous_copy" in first
