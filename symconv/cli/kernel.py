"""symconv kernel: check a kernel, time it, begin one, list all."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symconv.cli import kernels
from symconv.cli.options import whole
from symconv.errors import SymconvError
from symconv.files import atomic_path

if TYPE_CHECKING:
    from symconv.rewrite.pattern import Rule
    from symconv.workbench.load import KernelFile

GOOD, FOUND, USAGE = 0, 1, 2
SUMMARY = r"^checked \d+ kernels?, \d+ with findings$"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "kernel",
        help="check, time or begin a kernel of your own; list all kernels",
        description="What one needs to write a kernel: docs/adding_a_kernel.md.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check",
        help="run the case table on the kernels of a file",
        description="FILE makes kernels and has a list CASES. Every row runs in the emulator in three orders "
        "of the threads, in compiled functions, natively, and on a GPU where there is one. Exit code 1 if "
        "anything is wrong. It all happens in a process of its own: no kernel can take this one down.",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="a Python file")
    check.add_argument("--cases", type=Path, action="append", default=[], metavar="FILE", help="more CASES")
    check.add_argument("--kernel", metavar="NAME", help="only this one")
    check.add_argument("--timeout", type=whole(1), default=300, metavar="S", help="(default: %(default)s)")
    check.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    check.add_argument("--in-child", action="store_true", help=argparse.SUPPRESS)
    check.set_defaults(run=run_check)
    bench = actions.add_parser(
        "bench",
        help="time the kernels of a file beside those that would run otherwise",
        description="The rows of BENCH in FILE (of CASES without it), the kernels of each row in turns, "
        "and the roofline, which is measured in the same run.",
    )
    bench.add_argument("file", type=Path, metavar="FILE", help="a Python file")
    bench.add_argument("--cases", type=Path, action="append", default=[], metavar="FILE", help="more CASES")
    bench.add_argument("--rounds", type=whole(1), default=9, help="timings of each (default: %(default)s)")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    bench.set_defaults(run=run_bench)
    new = actions.add_parser(
        "new",
        help="write the skeleton of an op with a CUDA and a CPU kernel",
        description="Writes NAME.py, NAME.cu and NAME.cpp, which pass `symconv kernel check NAME.py`.",
    )
    new.add_argument("name", metavar="NAME")
    new.add_argument("--folder", type=Path, default=Path("."), metavar="DIR", help="(default: here)")
    new.set_defaults(run=run_new)
    listing = actions.add_parser(
        "list", help="what `symconv kernels` prints", description=kernels.DESCRIPTION
    )
    kernels.add_arguments(listing)
    return parser


def run_new(arguments: argparse.Namespace) -> int:
    from symconv.workbench.skeleton import write_skeleton

    paths = write_skeleton(arguments.name, arguments.folder)
    print(f"wrote {', '.join(map(str, paths))}")
    print(f"next: symconv kernel check {paths[0]}")
    return GOOD


def run_bench(arguments: argparse.Namespace) -> int:
    from symconv.plan import tuning
    from symconv.plan.select import machine_detail
    from symconv.workbench.bench import Measured, measure_file, text_of, to_json
    from symconv.workbench.load import load_kernels

    file = load_kernels(arguments.file, arguments.cases)
    rows, roofs, head = [], [], None
    for found in measure_file(file, arguments.rounds):
        if isinstance(found, Measured):
            rows.append(found)
            lines = list(text_of([found], ()))
            print("\n".join(lines[found.head == head :]), flush=True)
            head = found.head
        else:
            roofs.append(str(found))
            print(f"measured now: {found}", flush=True)
    if arguments.json is not None:
        machine = tuning.machine("cpu", machine_detail("cpu"))
        record = {"machine": machine, "peaks": roofs, "rows": to_json(rows)}
        with atomic_path(arguments.json) as path:
            path.write_text(json.dumps(record, indent=1) + "\n")
    return GOOD


def run_check(arguments: argparse.Namespace) -> int:
    return check_here(arguments) if arguments.in_process else check_in_child(arguments)


def check_in_child(arguments: argparse.Namespace) -> int:
    """The check in a process of its own: one that dies or does not end is a finding."""
    command = [sys.executable, "-m", "symconv", "kernel", "check", str(arguments.file)]
    command += ["--in-process", "--in-child"]
    command += [f"--cases={path}" for path in arguments.cases]
    command += [f"--kernel={arguments.kernel}"] if arguments.kernel else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            out, err = child.communicate(timeout=arguments.timeout)
            code, died = child.returncode, ""
        except subprocess.TimeoutExpired:
            out, err = _stopped(child)
            code, died = FOUND, f"it did not end within {arguments.timeout} s"
    print(out, end="")
    if code < 0:
        died = f"it died of {signal.Signals(-code).name}"
    elif not died and (code > USAGE or (code != USAGE and not re.search(SUMMARY, out, re.MULTILINE))):
        died = f"it ended the process, with exit code {code}"
    if died:
        begun = [line for line in out.splitlines() if line.startswith("checking ")]
        doing = begun[-1].removeprefix("checking ") if begun else "loading the file"
        print(f"{_last_place(err, str(arguments.file.resolve()))}crash [{doing}]: {died}")
        return FOUND
    print(err, end="", file=sys.stderr)
    return code


def _stopped(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What a process had printed, and where it stood, before it was killed."""
    for number in (signal.SIGUSR2, signal.SIGUSR1):  # the kernel's stack, then Python's
        child.send_signal(number)
        time.sleep(0.3)  # one at a time: both at once go to different threads
    try:
        return child.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()


def _last_place(err: str, file: str) -> str:
    """'scale.cu:12: ' where a child that hung or died stood, as far as its last words tell."""
    from symconv.backends.gpu.emulator_build import places_in

    native = places_in(err)
    frames = re.findall(r'^  File "([^"]+)", line (\d+)', err, re.MULTILINE)
    own = [f"{os.path.basename(path)}:{line}" for path, line in frames if os.path.abspath(path) == file]
    return next((f"{place}: " for place in [*native, *own]), "")


def check_here(arguments: argparse.Namespace) -> int:
    from symconv.workbench.check import examine, has_gpu
    from symconv.workbench.load import load_kernels

    if arguments.in_child:
        _tell_the_end()
    file = load_kernels(arguments.file, arguments.cases)
    chosen = [(op, k) for op, k in file.kernels if arguments.kernel in (None, k.name)]
    if not chosen:
        names = ", ".join(k.name for _, k in file.kernels)
        raise SymconvError(f"{file.path} makes no kernel {arguments.kernel!r}; it makes {names}")
    failed = checked = 0
    for op, kernel in chosen:
        cases = [c for c in file.cases if _concerns(c, op)]
        if not cases:
            print(
                f"{kernel.device} kernel {kernel.name} ({kernel.place}): no row of CASES has the op {op.name}"
            )
            failed += 1
            checked += 1
            continue
        for each in (kernel, *(kernel.variants if isinstance(kernel.variants, tuple) else ())):
            report = examine(each, cases, progress=lambda text: print(f"checking {text}", flush=True))
            print(report, flush=True)
            failed += not report.passed
            checked += 1
    if arguments.kernel is None:
        failed += sum(not _rule_holds(rule, file) for rule in file.rules)
    if any(k.device == "cuda" for _, k in chosen) and not has_gpu():
        print("no GPU here: CUDA kernels ran in the emulator only")
    print(f"checked {checked} kernel{'s' * (checked != 1)}, {failed} with findings")
    return FOUND if failed else GOOD


def _tell_the_end() -> None:
    """When this process hangs or dies, it says at what line: `_last_place` reads it."""
    import faulthandler

    from symconv.backends.gpu.emulator_build import report_signals

    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, all_threads=False)
    with suppress(SymconvError, OSError):
        report_signals()


def _rule_holds(rule: Rule, file: KernelFile) -> bool:
    """check_rule on the rows whose inputs fit the pattern; on which of them it is applied on which device."""
    from symconv.function import function
    from symconv.rewrite.registered import use_rule
    from symconv.testing import check_rule, left_alone

    ranks = [v.ndim for v in rule.placeholders]
    cases = [c for c in file.cases if [len(s.shape) for s in c.inputs] == ranks]
    head = f"rule {rule.name} ({rule.place}): {len(cases)} cases"
    if not cases:
        print(f"{head}: no row of CASES has its parameters' numbers of axes")
        return False
    reasons = []
    try:
        check_rule(rule, cases)
        for device in dict.fromkeys("cpu" if k.device == "cpu" else "emulated" for _, k in file.kernels):
            for case in cases:
                inputs = case.variables()
                with use_rule(rule):
                    f = function(inputs, rule.pattern(*inputs), device=device)
                    why = left_alone(rule, f.prepare(*case.draw()))
                reasons += [f"  left alone on {device} in {case.name}: {why}"] * (why is not None)
    except (AssertionError, SymconvError) as error:
        print(f"{head}, failed\n  {error}")
        return False
    print("\n".join([f"{head}, passed", *reasons]))
    return True


def _concerns(case: Any, op: Any) -> bool:
    from symconv.workbench.check import nodes_of

    return any(type(node.op) is op for node in nodes_of(case))
