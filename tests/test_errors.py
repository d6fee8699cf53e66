"""Every exception class: a SymconvError, also the natural built-in, with cause and cure in its docstring."""

from __future__ import annotations

import inspect
import pickle

import pytest

from symconv import errors

BUILTIN = {
    "SymconvError": Exception,
    "ShapeError": ValueError,
    "IndexRangeError": IndexError,
    "DTypeError": TypeError,
    "ArgumentError": ValueError,
    "GraphError": ValueError,
    "GradientError": ValueError,
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
    "OutputError": OSError,
    "MissingExtraError": ImportError,
}
CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls)}


def test_errors_table_is_complete():
    assert set(CLASSES) == set(BUILTIN)


@pytest.mark.parametrize("name", BUILTIN)
def test_error_is_symconv_error_and_builtin(name):
    cls = CLASSES[name]
    with pytest.raises(errors.SymconvError, match="the text"):
        raise cls("the text")
    with pytest.raises(BUILTIN[name], match="the text"):
        raise cls("the text")
    assert str(cls("the text")) == "the text"


@pytest.mark.parametrize("name", BUILTIN)
def test_error_docstring_gives_cause_and_cure(name):
    doc = inspect.getdoc(CLASSES[name])
    assert doc.startswith("Cause: ") and "Cure: " in doc


@pytest.mark.parametrize("name", BUILTIN)
def test_error_survives_pickling(name):
    # Exceptions cross process borders in parallel tests and data-parallel training.
    again = pickle.loads(pickle.dumps(CLASSES[name]("the text")))
    assert type(again) is CLASSES[name] and str(again) == "the text"
