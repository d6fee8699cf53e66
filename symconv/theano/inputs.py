"""In, Out and Param: what theano.function is told of its inputs and outputs beside the variables."""

from __future__ import annotations

import copy
from typing import Any

from symconv.errors import DTypeError, GraphError
from symconv.theano.random_state import RandomStateType
from symconv.theano.sharedvar import TensorSharedVariable, shared
from symconv.theano.variable import Constant, Variable


class MissingInputError(GraphError):
    """Cause: the outputs need a variable that is no input and has no value. Cure: add it to inputs or to
    givens.
    """


class UnusedInputError(GraphError):
    """Cause: an input that neither outputs nor updates use. Cure: remove it, or on_unused_input='ignore'."""


class InputError(GraphError, TypeError):
    """Cause: arguments that do not fit a function's inputs, or an input that cannot be one. Cure: the text
    tells.

    A TypeError, as in Theano and as of any call in Python.
    """


class GivenInputError(GraphError, RuntimeError):
    """Cause: a variable that is an input and is replaced by givens. Cure: keep one of the two.

    A RuntimeError, as in Theano.
    """


class In:
    """An input with a name, a default value, and its own rules of conversion.

    With `update` the input keeps a state: it starts as `value` (a number, an array, or a shared variable,
    which is then the state itself), and every call replaces it by the value of `update`. An argument that is
    given for it replaces the state before the call. f[name] reads the state, f[name] = v sets it. Without a
    value every call must give the argument, and the state can be read after the first.
    """

    def __init__(
        self,
        variable: Any,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: Any = None,
        borrow: bool | None = None,
        shared: bool = False,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise InputError(f"In: name must be a string, got {name!r}")
        if isinstance(update, Variable) and (update.dtype, update.ndim) != (variable.dtype, variable.ndim):
            raise DTypeError(
                f"In: an update must have the same type as its input: {variable!r} is {variable.type}, "
                f"{update!r} from {update.native.origin} is {update.type}"
            )
        self.variable = variable
        self.name = name or getattr(variable, "name", None)
        self._value = value.source if isinstance(value, InputContainer) else value
        self.update = update
        self.strict = strict
        self.allow_downcast = allow_downcast
        self.mutable, self.borrow = mutable, borrow
        self.state: TensorSharedVariable | None = None
        self.required = False  # no call without this argument, though it has a state

    @property
    def value(self) -> Any:
        """The default; that of another function's input where it was given as f.container[x]."""
        return self._value.value if isinstance(self._value, In) else self._value

    @value.setter
    def value(self, new: Any) -> None:
        if isinstance(self._value, In):
            self._value.value = new
        else:
            self._value = new

    def held(self, borrow: bool = False) -> Any:
        """What a call without an argument takes: the value of the state, or the default."""
        value = self.value if self.state is None else self.state
        return value.get_value(borrow=borrow) if isinstance(value, TensorSharedVariable) else value

    def __repr__(self) -> str:
        return f"In({self.variable!r})"

    def with_state(self) -> In:
        """This input, with a state of its own if it has an update."""
        if self.update is None:
            return self
        own = In(self.variable, self.name, self.value, self.update, strict=self.strict)
        own.allow_downcast = self.allow_downcast
        kept = isinstance(self.value, TensorSharedVariable)
        own.required = self.value is None
        start = self.variable.type.value_zeros((1,) * self.variable.ndim) if own.required else self.value
        own.state = self.value if kept else self._fresh(start)
        return own

    def copied(self) -> In:
        """The same input with a state, or a default, of its own."""
        own = copy.copy(self)
        own.__dict__.pop("_storage", None)
        if self.state is not None:
            own.state = self._fresh(self.state.get_value())
        return own

    def _fresh(self, value: Any) -> Any:
        kind = self.variable.type
        if isinstance(kind, RandomStateType):
            return kind.shared(value, self.name)
        array = kind.filter(value, self.strict, self.allow_downcast)
        made = shared(array, self.name, broadcastable=kind.broadcastable)
        made.strict, made.allow_downcast = self.strict, self.allow_downcast
        return made


class InputContainer:
    """f.container[x]: where a function keeps the state or the default of an input; to be shared with
    others.
    """

    def __init__(self, owner: In) -> None:
        self._owner = owner

    @property
    def source(self) -> Any:
        """What another input takes as its value to share this one: the state, or the input itself."""
        return self._owner if self._owner.state is None else self._owner.state

    @property
    def data(self) -> Any:
        return self._owner.held(borrow=True)

    @data.setter
    def data(self, new: Any) -> None:
        if self._owner.state is not None:
            self._owner.state.set_value(new)
        else:
            self._owner.value = new

    value = data

    @property
    def storage(self) -> list[Any]:
        """[data]: the same list for all who share it."""
        cell: list[Any] = self.source.__dict__.setdefault("_storage", [None])
        cell[0] = self.data
        return cell


class Param(In):
    """The older name of In, with the default value as its second argument."""

    def __init__(
        self, variable: Any, default: Any = None, name: str | None = None, mutable: bool = False,
        strict: bool = False, allow_downcast: bool | None = None, implicit: Any = None, borrow: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(variable, name, default, None, mutable, strict, allow_downcast)


class Out:
    """An output; `borrow` has no effect, results are the caller's own."""

    def __init__(self, variable: Any, borrow: bool = False) -> None:
        self.variable = variable
        self.borrow = borrow


SymbolicInput, SymbolicOutput = In, Out


def as_input(given: Any) -> In:
    """An element of function's `inputs` as an In. Raises GraphError for what cannot be an input."""
    made = _of_tuple(given) if isinstance(given, (list, tuple)) else given
    made = made if isinstance(made, In) else In(made)
    v = made.variable
    if isinstance(v, TensorSharedVariable):
        raise InputError(
            f"function: the shared variable {v!r} cannot be an explicit input\n"
            "  hint: leave it out, functions use shared variables without being given them; or use givens"
        )
    if not isinstance(v, Variable):
        raise InputError(f"function: {v!r} is no variable and cannot be an input")
    if isinstance(v, Constant):
        raise InputError(f"function: the constant {v!r} cannot be an input")
    return made.with_state()


def _of_tuple(given: Any) -> In:
    """In for the older forms: (r, value), (name, r), (name, r, value), with (r, update) in the place of r.

    Raises InputError.
    """
    name, rest = (given[0], list(given[1:])) if given and isinstance(given[0], str) else (None, list(given))
    pair = rest[0] if rest and isinstance(rest[0], (list, tuple)) and len(rest[0]) == 2 else (*rest[:1], None)
    complete = len(pair) == 2 and len(rest) in (1 if name else 2, 2)
    if not complete or not isinstance(pair[0], Variable):
        raise InputError(
            f"function: the input {given!r} is a list\n  hint: In(variable, value=..., name=...)"
        )
    return In(pair[0], name, rest[1] if len(rest) == 2 else None, pair[1])


__all__ = [
    "In",
    "InputContainer",
    "InputError",
    "MissingInputError",
    "Out",
    "Param",
    "SymbolicInput",
    "SymbolicOutput",
    "UnusedInputError",
]
