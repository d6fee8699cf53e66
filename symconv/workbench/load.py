"""A file of the user's that makes kernels: which kernels of which ops, and its case tables."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from symconv.errors import ArgumentError, SymconvError
from symconv.graph import Kernel, Op
from symconv.graph.origin import origin
from symconv.graph.registry import all_ops, state
from symconv.rewrite.pattern import Rule
from symconv.testing import OpCase
from symconv.workbench.check import nodes_of


@dataclass(frozen=True)
class KernelFile:
    """kernels: (op, kernel) pairs that the file made; `bench`: the rows to time, those of `cases` without.

    rules: the rewrite rules among the file's names.
    """

    path: Path
    kernels: tuple[tuple[type[Op], Kernel], ...]
    cases: tuple[OpCase, ...]
    bench: tuple[OpCase, ...]
    rules: tuple[Rule, ...] = ()


def load_kernels(path: Path, extra_cases: Sequence[Path] = ()) -> KernelFile:
    """Runs the file. Kernels for symconv's own ops get the rows of these ops' case tables besides.

    Raises ArgumentError where the file cannot be run, or makes no kernel, or there are no rows for it.
    """
    if path.suffix in (".cu", ".cpp", ".cuh", ".h"):
        raise ArgumentError(
            f"{path}: a kernel is checked through its op\n  hint: give the Python file that calls "
            f"sc.cuda_kernel or sc.cpu_kernel with file={path.name!r}"
        )
    before, known = {(r.op, r.kernel) for part in state() for r in part}, set(all_ops())
    module = _run(path)
    made = [op for op in all_ops() if op not in known and op.__module__ == module.__name__]
    kernels = [(op, k) for op in made for k in op.kernels if k.origin]
    kernels += [(r.op, r.kernel) for part in state() for r in part if (r.op, r.kernel) not in before]
    if not kernels:
        raise ArgumentError(
            f"{path} makes no kernel\n  hint: list it in an op's `kernels`, or call sc.register_kernel"
        )
    cases: list[OpCase] = list(getattr(module, "CASES", ()))
    for extra in extra_cases:
        cases += list(getattr(_run(extra), "CASES", ()))
    bench = tuple(getattr(module, "BENCH", cases))
    for op in dict.fromkeys(op for op, _ in kernels if op.__module__.startswith("symconv.")):
        cases += own_cases(op)
    wrong = next((c for c in cases if not isinstance(c, OpCase)), None)
    if not cases or wrong is not None:
        raise ArgumentError(
            f"{path}: {'CASES is missing' if not cases else f'{wrong!r} in CASES is no OpCase'}\n"
            "  hint: CASES = [sc.testing.OpCase(...), ...], or --cases FILE"
        )
    rules = {v: None for v in vars(module).values() if isinstance(v, Rule)}
    return KernelFile(path, tuple(kernels), tuple(cases), bench, tuple(rules))


def own_cases(op: type[Op]) -> list[OpCase]:
    """The rows that have a node of `op` in the case tables of a checkout; there are none in a wheel."""
    found: list[OpCase] = []
    for path in sorted((Path(__file__).resolve().parents[2] / "tests" / "cases").glob("[a-z]*.py")):
        found += [c for c in _run(path).CASES if any(type(node.op) is op for node in nodes_of(c))]
    return found


def _run(path: Path) -> ModuleType:
    name = f"symconv_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ArgumentError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with origin(None):  # rules and nodes have the file's lines, not the command's name
            spec.loader.exec_module(module)
    except SymconvError:
        raise
    except BaseException as error:
        lines = traceback.format_exception_only(type(error), error)
        at = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f"{path.name}:{at[-1].lineno}" if at else path.name
        raise ArgumentError(f"{where}: {''.join(lines).strip()}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module
