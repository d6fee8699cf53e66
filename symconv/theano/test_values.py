"""Test values: each expression is computed as it is written; a wrong shape raises at the line at fault.

With config.compute_test_value other than 'off', every new variable gets x.tag.test_value from those of what
it depends on, by the NumPy reference. An input has the test value that the program sets on its tag; where one
is missing, 'raise' and 'pdb' raise, 'warn' warns, and 'ignore' leaves what depends on it without. Inside the
step of a scan nothing is computed.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from symconv.backends.reference import run_reference
from symconv.errors import ExecutionError, GraphError
from symconv.graph import Apply, Constant, SharedVariable, TensorType, Variable, constant
from symconv.graph.origin import origin, user_line
from symconv.graph.traversal import toposort
from symconv.theano.configuration import config

_values: weakref.WeakKeyDictionary[Variable, np.ndarray] = weakref.WeakKeyDictionary()
_attached: weakref.WeakKeyDictionary[Variable, Any] = (
    weakref.WeakKeyDictionary()
)  # what attach has put on tags
# the arrays that a value was computed from: a program may give an input another test value
_sources: weakref.WeakKeyDictionary[Variable, list[Any]] = weakref.WeakKeyDictionary()
_state = threading.local()


class MissingTestValue(GraphError, AttributeError):
    """An input without tag.test_value, under config.compute_test_value = 'raise'."""


@contextmanager
def at_rest() -> Iterator[None]:
    """Nothing is computed inside."""
    before, _state.rests = getattr(_state, "rests", False), True
    try:
        yield
    finally:
        _state.rests = before


def attach(front: Any) -> None:
    """Compute the test value of a new variable, as the setting says. Raises what its computation raises."""
    policy = config.compute_test_value
    if isinstance(front.native, Constant) and policy != "off":
        front.tag.test_value = front.native.data
    if policy == "off" or getattr(_state, "rests", False) or front.native.owner is None:
        return
    try:
        missing = _compute(front.native)
    except ExecutionError as caught:  # as the call of a function would raise it
        from symconv.theano.modes import in_kind  # which imports the compiler

        raise in_kind(caught) from caught.__cause__
    if missing is None:
        front.tag.test_value = _attached[front.native] = _value(front.native)
    elif policy != "ignore":
        text = (
            f"compute_test_value: {missing!r} from {missing.origin}, on which {front!r} at {user_line()} "
            "depends, has no test value\n  hint: x.tag.test_value = numpy.zeros(shape, dtype)"
        )
        if policy != "warn":
            raise MissingTestValue(text)
        warnings.warn(text, stacklevel=4)


def refresh(front: Any) -> None:
    """The same as attach for an expression that was built before, if a test value below it is another now."""
    native = front.native
    if isinstance(native, Constant):
        front.tag.test_value = native.data
    if native.owner is None or getattr(_state, "rests", False):
        return
    for node in toposort([native]):
        known = _sources.get(node.outputs[0])
        now = [_value(v) for v in node.inputs]
        if known is not None and any(a is not b for a, b in zip(known, now)):
            for out in node.outputs:
                _values.pop(out, None)
    if native not in _values:
        attach(front)


def hand_on(old: Any, new: Any) -> None:
    """Let a clone have the test value of what it was cloned from, whatever is known of its own inputs."""
    known = _values.get(old.native)
    if known is not None and new.native.owner is not None and new.native not in _values:
        _values[new.native] = _attached[new.native] = new.tag.test_value = known


def get_test_value(v: Any) -> Any:
    """The test value of a variable. Raises MissingTestValue."""
    from symconv.theano.variable import as_tensor_variable

    native = as_tensor_variable(v).native
    missing = _compute(native)
    if missing is not None:
        raise MissingTestValue(f"{missing!r} from {missing.origin} has no test value")
    return _value(native)


def _value(v: Variable) -> np.ndarray | None:
    """What is known without computing."""
    if isinstance(v, Constant):
        return v.data
    if isinstance(v, SharedVariable):
        return v.get_value(borrow=True)
    if v in _values:
        return _values[v]
    front: Any = getattr(v, "front", None)
    given = None if front is None else getattr(front.tag, "test_value", None)
    if v.owner is not None and given is _attached.get(v):
        return None  # one that was computed, and is out of date; not the program's own
    return None if given is None else np.asarray(front.type.filter(given, allow_downcast=None))


def _compute(root: Variable) -> Variable | None:
    """Compute what is missing below `root`; the first input without a test value, or None."""
    stack = [root]
    while stack:
        v = stack[-1]
        if _value(v) is not None:
            stack.pop()
            continue
        if v.owner is None:
            return v
        open_ = [i for i in v.owner.inputs if _value(i) is None]
        if open_:
            stack.extend(open_)
            continue
        _run(v.owner)
        stack.pop()
    return None


def _run(node: Apply) -> None:
    given = [_value(v) for v in node.inputs]
    arrays = [np.asarray(a) for a in given]
    sizes = set(node.op.shape_operands(len(arrays)))
    typed: list[Variable] = []
    for k, (v, a) in enumerate(zip(node.inputs, arrays)):
        if k in sizes or isinstance(v, Constant):
            typed.append(constant(a))
            continue
        with origin(v.origin):
            typed.append(Variable(TensorType(v.dtype, a.shape), name=v.name))
    with origin(node.origin):
        node.op.infer(*typed)  # whose errors name the operands with their shapes
    for out, value in zip(node.outputs, run_reference(node, arrays)):
        _values[out] = np.asarray(value)
        _sources[out] = given
