"""Every exception class: a SymconvError, also the natural built-in, with cause and cure in its docstring."""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest

from symconv import errors

BUILTIN = {
    "SymconvError": Exception,
    "ShapeError": ValueError,
    "IndexRangeError": IndexError,
    "DTypeError": TypeError,
    "ArgumentError": ValueError,
    "GraphError": ValueError,
    "ProtocolError": NotImplementedError,
    "SymbolicError": TypeError,
    "GradientError": ValueError,
    "UnsupportedError": NotImplementedError,
    "DisconnectedInputError": errors.GradientError,
    "CompileError": RuntimeError,
    "ExecutionError": RuntimeError,
    "KernelFault": errors.ExecutionError,
    "MemoryLimitError": MemoryError,
    "DeviceError": RuntimeError,
    "DataError": ValueError,
    "WeightsError": ValueError,
    "ConfigError": ValueError,
    "UnknownSettingError": AttributeError,
    "NonFiniteError": FloatingPointError,
    "DebugModeError": AssertionError,
    "KernelMismatchError": errors.DebugModeError,
    "MemoryClaimError": errors.DebugModeError,
    "RewriteMismatchError": errors.DebugModeError,
    "GradientMismatchError": AssertionError,
    "OutputError": OSError,
    "MissingExtraError": ImportError,
}
CLASSES = {n: c for n, c in vars(errors).items() if inspect.isclass(c) and c.__module__ == errors.__name__}


def test_errors_table_is_complete():
    assert set(CLASSES) == set(BUILTIN)


@pytest.mark.parametrize("name", BUILTIN)
def test_error_is_symconv_error_and_builtin(name):
    cls = CLASSES[name]
    with pytest.raises(errors.SymconvError, match="the text"):
        raise cls("the text")
    with pytest.raises(BUILTIN[name], match="the text"):
        raise cls("the text")
    assert cls("the text").message == "the text"
    assert str(cls("the text")) == f"the text\n  see docs/errors.md#{name.lower()}"


@pytest.mark.parametrize("name", BUILTIN)
def test_error_docstring_gives_cause_and_cure(name):
    doc = inspect.getdoc(CLASSES[name])
    assert doc.startswith("Cause: ") and "Cure: " in doc


@pytest.mark.parametrize("name", BUILTIN)
def test_error_survives_pickling(name):
    # Exceptions cross process borders in parallel tests and data-parallel training.
    error = CLASSES[name]("the text")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is CLASSES[name] and str(again) == str(error) and again.args == ("the text",)


def test_an_error_inside_another_leaves_one_anchor():
    inner = errors.ShapeError("x is [2]")
    outer = errors.ExecutionError(f"step 3: {inner}\n  more")
    assert str(outer) == "step 3: x is [2]\n  more\n  see docs/errors.md#executionerror"


def test_a_class_of_the_user_points_to_the_class_it_refines():
    class TooDeep(errors.GraphError):
        pass

    assert str(TooDeep("so")) == "so\n  see docs/errors.md#grapherror"


def test_every_anchor_is_a_heading_of_the_page():
    page = (Path(__file__).resolve().parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")
    anchors = {f"docs/errors.md#{h.lower()}" for h in re.findall(r"^## (\w+)$", page, re.MULTILINE)}
    assert {cls.anchor() for cls in CLASSES.values()} == anchors


# Exceptions that are no SymconvError, by module: what the language or a library asks for by name, and what a
# reference raises for run_reference to translate.
ELSEWHERE = {
    "book/speedrun.py": {"KeyboardInterrupt"},  # Ctrl-C, which the process that it started saw
    "cli/bench.py": {"argparse.ArgumentTypeError"},
    "cli/demo.py": {"argparse.ArgumentTypeError"},
    "cli/options.py": {"argparse.ArgumentTypeError"},
    "cli/search.py": {"argparse.ArgumentTypeError"},
    "config.py": {"ValueError", "TypeError", "AttributeError"},  # parsers of settings; __getattr__
    "demo/server.py": {"ConnectionAbortedError"},  # the connection ends: there is nobody to tell
    "files.py": {"PermissionError"},  # caught where it is raised
    "graph/params.py": {"KeyError", "FileNotFoundError"},  # a broken installation, a struct misspelt
    "graph/types.py": {"ValueError"},  # broadcast_shapes, whose callers know the operands
    "nn/checkpoint.py": {"ValueError"},  # caught where it is raised
    "nn/hyper.py": {"KeyboardInterrupt"},  # Ctrl-C, which the trainings note in their histories
    "nn/safetensors.py": {"ValueError"},  # caught by nn/checkpoint.py, which knows the file
    "ops/create.py": {"ValueError"},
    "ops/gather.py": {"IndexError"},
    "ops/slicing.py": {"IndexError"},
    "ops/stepped.py": {"ValueError"},
    "testing.py": {"AssertionError"},
    "workbench/check.py": {"AssertionError"},
}


def raised(tree: ast.AST) -> set[str]:
    """Names of the built-in or library exceptions that a module raises by name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            call = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(call)
            builtin = getattr(builtins, name, None)
            if (inspect.isclass(builtin) and issubclass(builtin, BaseException)) or name.startswith(
                "argparse."
            ):
                names.add(name)
    return names


def test_every_exception_raised_by_name_is_documented():
    package = Path(errors.__file__).parent
    found = {
        path.relative_to(package).as_posix(): names
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] != "theano"  # the front raises what Theano raises
        and (names := raised(ast.parse(path.read_text(encoding="utf-8"))))
    }
    undocumented = {
        path: more for path, names in found.items() if (more := names - ELSEWHERE.get(path, set()))
    }
    assert not undocumented, "raise a class of symconv.errors, or say in ELSEWHERE why not"
