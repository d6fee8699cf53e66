"""Theano's variables: each stands for one native variable and holds nothing but its name and its tags.

`x.native` is the native variable, `wrap(native)` the Theano variable that stands for it: always the same
one, so that identity means the same on both sides. Dtype, dimensions and the broadcastable flags are read
from the native type: a dimension known to be 1 is broadcastable, every other is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.graph import Apply as NativeApply
from symconv.graph import Constant as NativeConstant
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.graph.origin import user_line
from symconv.theano import dtypes
from symconv.theano.configuration import config
from symconv.theano.errors import NoNumberError, OutputIndexError

_numbers = itertools.count()


class TensorType:
    """A dtype and, for each dimension, whether it is broadcastable (known to be 1). Calling it makes
    an input."""

    def __init__(self, dtype: str, broadcastable: Sequence[bool], name: str | None = None) -> None:
        self.dtype = dtypes.checked(dtype, "TensorType")
        self.broadcastable = tuple(bool(b) for b in broadcastable)
        self.name = name

    @property
    def ndim(self) -> int:
        return len(self.broadcastable)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    @property
    def native(self) -> NativeType:
        return NativeType(self.dtype, tuple(1 if b else None for b in self.broadcastable))

    def __call__(self, name: str | None = None, dtype: str | None = None) -> TensorVariable:
        kind = self if dtype is None else TensorType(dtype, self.broadcastable)
        return wrap(Native(kind.native, name=name))

    make_variable = __call__

    def make_constant(self, value: Any, name: str | None = None) -> TensorConstant:
        return wrap(native_constant(self.filter(value), name=name))

    Constant = make_constant

    def clone(self, dtype: str | None = None, broadcastable: Sequence[bool] | None = None) -> TensorType:
        return TensorType(dtype or self.dtype, self.broadcastable if broadcastable is None else broadcastable)

    def filter(self, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        """`data` as an array of this type. Raises DTypeError, a TypeError: rank and dtype make up the type.

        A value is converted where nothing is lost by its dtype; allow_downcast=True converts always, None
        only Python floats (and lists of values that fit exactly).
        """
        array = _filter_dtype(self, data, strict, allow_downcast)
        if array.ndim != self.ndim:
            raise DTypeError(
                f"wrong number of dimensions: expected {self.ndim} for {self}, got {array.ndim} "
                f"with shape {list(array.shape)}\n"
                "  hint: reshape the value, or declare another type: "
                f"T.tensor({self.dtype!r}, {(False,) * array.ndim})"
            )
        for axis, (b, n) in enumerate(zip(self.broadcastable, array.shape)):
            if b and n != 1:
                raise DTypeError(
                    f"dimension {axis} of {self} is broadcastable and must be 1, got shape "
                    f"{list(array.shape)}"
                )
        return array

    def is_valid_value(self, data: Any) -> bool:
        try:
            self.filter(data, strict=True)
        except (DTypeError, ShapeError):
            return False
        return True

    def filter_variable(self, other: Any, allow_convert: bool = True) -> TensorOperators:
        v = other if isinstance(other, Variable) else self.make_constant(other)
        if v.type != self:
            raise DTypeError(f"cannot convert {v.type} of {v!r} into {self}")
        return v  # type: ignore[return-value]

    def value_zeros(self, shape: Sequence[int]) -> np.ndarray:
        return np.zeros(shape, self.dtype)

    @staticmethod
    def values_eq(a: Any, b: Any, force_same_dtype: bool = True) -> bool:
        """Whether the arrays are equal, NaN with NaN, and of one dtype."""
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or (force_same_dtype and a.dtype != b.dtype):
            return False
        return bool(((a == b) | ((a != a) & (b != b))).all())

    @staticmethod
    def values_eq_approx(
        a: Any, b: Any, allow_remove_inf: bool = False, allow_remove_nan: bool = False,
        rtol: float = 1e-5, atol: float = 1e-8,
    ) -> bool:  # fmt: skip
        """Whether the arrays are close; allowed: that b has numbers where a has infinities, or NaN."""
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return False
        removed = (allow_remove_inf & np.isinf(a)) | (allow_remove_nan & np.isnan(a))
        return bool((removed | np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)).all())

    def in_same_class(self, other: Any) -> bool:
        return isinstance(other, TensorType) and self == other

    def is_super(self, other: Any) -> bool:
        """True if a value of type `other` may stand for one of this type."""
        return (
            isinstance(other, TensorType)
            and (other.dtype, other.ndim) == (self.dtype, self.ndim)
            and all(o or not s for s, o in zip(self.broadcastable, other.broadcastable))
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorType):
            return NotImplemented
        return (self.dtype, self.broadcastable) == (other.dtype, other.broadcastable)

    def __hash__(self) -> int:
        return hash((self.dtype, self.broadcastable))

    def __repr__(self) -> str:
        names = {(): "scalar", (False,): "vector", (False, False): "matrix", (True, False): "row",
                 (False, True): "col"}  # fmt: skip
        if not any(self.broadcastable):
            shown = names.get(self.broadcastable, f"{self.ndim}D")
        else:
            shown = names.get(self.broadcastable, str(self.broadcastable))
        return f"TensorType({self.dtype}, {shown})"


def _filter_dtype(kind: TensorType, data: Any, strict: bool, allow: bool | None) -> np.ndarray:
    if isinstance(data, Variable):
        raise DTypeError(
            f"expected an array of {kind}, got the symbolic {data!r}\n"
            "  hint: pass numbers here; variables go into givens or into the graph"
        )
    target = np.dtype(kind.dtype)
    if isinstance(data, np.ndarray) and data.dtype == target:
        return data
    given = np.asarray(data)
    if strict or given.dtype.kind in "USO":
        wrong = NoNumberError if given.dtype.kind in "USO" else DTypeError
        advice = (
            "\n  hint: None stands for no number: pass one, or make the argument optional by In(x, value=...)"
        )
        raise wrong(
            f"expected an array of {kind}, got {type(data).__name__} of dtype {given.dtype}"
            f"{advice if data is None else ''}"
        )
    if given.dtype.kind == "c" and target.kind != "c":
        raise DTypeError(
            f"expected an array of {kind}, got complex numbers; .real or abs() says what is meant"
        )
    if allow is True or given.dtype == target:
        return given.astype(target)
    typed = isinstance(data, (np.ndarray, np.generic))
    if (
        typed
        and str(given.dtype) in dtypes.DTYPES
        and dtypes.upcast(str(given.dtype), kind.dtype) == kind.dtype
    ):
        return given.astype(target)
    if allow is None and type(data) is float and kind.dtype == config.floatX and kind.ndim == 0:
        return given.astype(target)
    if not isinstance(data, np.ndarray):  # numbers and lists: whatever converts without loss
        converted = given.astype(target)
        if np.array_equal(converted, given):
            return converted
    raise DTypeError(
        f"a value of dtype {given.dtype} cannot be taken for {kind} without loss\n"
        f"  hint: convert it with .astype({kind.dtype!r}), or pass allow_input_downcast=True (function) or "
        "allow_downcast=True (shared)"
    )


class scratchpad:  # noqa: N801 - Theano's name
    """x.tag: any attributes that a program wants to hang on a variable."""


class Variable:
    """What all variables share; TensorOperators lists the kinds of tensors."""

    native: Native

    def __init__(
        self, type: Native | TensorType, owner: Any = None, index: Any = None, name: Any = None
    ) -> None:
        """An input of a type, as programs that derive a class make it; or the variable for a native one."""
        if owner is not None:
            raise DTypeError(
                "a variable with an owner is made by Apply(op, inputs, outputs), or by calling the op"
            )
        native = Native(type.native, name=name) if isinstance(type, TensorType) else type
        if isinstance(type, TensorType):
            native.front = self  # type: ignore[attr-defined]
        self.native = native
        self.tag = scratchpad()
        self.auto_name = f"auto_{next(_numbers)}"

    @property
    def name(self) -> str | None:
        return self.native.name

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise DTypeError(f"a variable's name must be a string, got {name!r}")
        self.native.name = name

    @property
    def type(self) -> TensorType:
        t = self.native.type
        return TensorType(t.dtype, [d == 1 for d in t.shape])

    @property
    def dtype(self) -> str:
        return self.native.dtype

    @property
    def ndim(self) -> int:
        return self.native.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return tuple(d == 1 for d in self.native.type.shape)

    @property
    def owner(self) -> Apply | None:
        node = self.native.owner
        return None if node is None else Apply.of(node)

    @property
    def index(self) -> int | None:
        return None if self.native.owner is None else self.native.index

    def clone(self) -> Variable:
        """A new input of this type."""
        return wrap(Native(self.native.type, name=self.name))

    def get_parents(self) -> list[Apply]:
        return [] if self.owner is None else [self.owner]

    def eval(self, inputs_to_values: Any = None) -> np.ndarray:
        """The value, with {input: value} for what it depends on; compiled once per set of inputs."""
        from symconv.theano.functions import function

        given = dict(inputs_to_values or {})
        cache = self.__dict__.setdefault("_evaluators", {})
        key = tuple(given)
        if key not in cache:
            cache[key] = function(list(given), self, on_unused_input="ignore")
        result: np.ndarray = cache[key](*given.values())
        return result

    def __str__(self) -> str:
        return str(self.native)

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return restored, (self.native,), self._kept()

    def _kept(self) -> dict[str, Any]:
        """What is pickled beside the native variable: all that somebody has set on this one."""
        return {k: v for k, v in vars(self).items() if k not in ("native", "_evaluators")}

    def __copy__(self) -> Variable:
        return self


class Apply:
    """x.owner: an op and its inputs; one object for each native node."""

    def __init__(self, node: NativeApply) -> None:
        self.native = node

    @staticmethod
    def of(node: NativeApply) -> Apply:
        return Apply(node)

    @property
    def op(self) -> Any:
        """The op: of a custom Op the user's own object, else the native one."""
        return getattr(self.native.op, "front", self.native.op)

    @property
    def inputs(self) -> list[Any]:
        return [wrap(v) for v in self.native.inputs[: getattr(self.native.op, "user_inputs", None)]]

    @property
    def outputs(self) -> list[Any]:
        return [wrap(v) for v in self.native.outputs]

    @property
    def out(self) -> Any:
        return wrap(self.native.outputs[0])

    def default_output(self) -> Any:
        """The output that stands for the node: its only one, or number op.default_output. Raises
        OutputIndexError."""
        chosen, outputs = getattr(self.op, "default_output", None), self.outputs
        if chosen is None and len(outputs) == 1:
            return outputs[0]
        if type(chosen) is not int or not 0 <= chosen < len(outputs):
            raise OutputIndexError(
                f"{self.op} from {self.native.origin}: {len(outputs)} outputs, default_output={chosen!r}\n"
                "  hint: choose one of node.outputs, or give the op the number of one as default_output"
            )
        return outputs[chosen]

    def get_parents(self) -> list[Any]:
        """The inputs, as those of a variable are its node: programs walk up a graph by it."""
        return self.inputs

    @property
    def nin(self) -> int:
        return len(self.inputs)

    @property
    def nout(self) -> int:
        return len(self.native.outputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and other.native is self.native

    def __hash__(self) -> int:
        return hash(self.native)

    def __repr__(self) -> str:
        return repr(self.native)


class TensorOperators(Variable):
    """A tensor: a TensorVariable, a TensorConstant or a TensorSharedVariable, none of which is one of the
    others: programs tell a parameter from an expression by isinstance(x, TensorVariable).

    Its operators and methods are attached by symconv.theano.operators.
    """

    __array_priority__ = 1000
    _undecided = False  # True for the result of a comparison

    def __bool__(self) -> bool:
        if self._undecided:
            raise TypeError(
                f"the truth of the comparison {self!r} from {self.native.origin} is not known while "
                f"the graph is built\n"
                "  hint: T.switch(condition, a, b) chooses element by element, ifelse() between two "
                "scalars' branches"
            )
        return True


class TensorVariable(TensorOperators):
    """A tensor that an op makes, or an input."""


class TensorConstant(TensorOperators):
    """A value fixed at construction: TensorConstant(type, data, name), or that of a native constant."""

    def __init__(self, type: Native | TensorType, data: Any = None, name: str | None = None) -> None:
        given = native_constant(type.filter(data), name=name) if isinstance(type, TensorType) else type
        super().__init__(given)
        if isinstance(type, TensorType):
            given.front = self  # type: ignore[attr-defined]

    @property
    def data(self) -> np.ndarray:
        data: np.ndarray = self.native.data  # type: ignore[attr-defined]
        return data

    value = data

    def signature(self) -> tuple[TensorType, tuple[int, ...], bytes]:
        """Equal, and hashed alike, for constants of one type and value, NaN being equal to NaN."""
        return self.type, self.data.shape, (self.data + np.zeros((), self.dtype)).tobytes()  # -0.0 is 0.0

    def equals(self, other: Any) -> bool:
        """Whether `other` is, or becomes, a constant of this type and value."""
        v = as_tensor_variable(other)
        return isinstance(v, TensorConstant) and v.signature() == self.signature()


Constant = TensorConstant


def wrap(native: Native) -> Any:
    """The Theano variable that stands for `native`."""
    found = getattr(native, "front", None)
    if found is None:
        if isinstance(native, NativeShared):
            from symconv.theano.sharedvar import TensorSharedVariable

            found = TensorSharedVariable(native)
        else:
            found = (TensorConstant if isinstance(native, NativeConstant) else TensorVariable)(native)
        native.front = found
        if config.compute_test_value != "off":
            from symconv.theano.test_values import attach  # which evaluates graphs

            attach(found)
    elif config.compute_test_value != "off":
        from symconv.theano.test_values import refresh

        refresh(found)
    return found


def restored(native: Native) -> Any:
    """wrap(native) of what is read from a pickle: the tags, test values among them, come later."""
    if config.compute_test_value == "off":
        return wrap(native)
    from symconv.theano.test_values import at_rest

    with at_rest():
        return wrap(native)


def is_variable(x: Any) -> bool:
    return isinstance(x, Variable)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Any:
    """x as a tensor variable: itself, or a constant by Theano's rules for literals (see dtypes.literal).

    A list that holds variables is stacked. With ndim, dimensions of length 1 are added on the left,
    or taken away there.
    """
    if hasattr(x, "_as_TensorVariable"):
        x = x._as_TensorVariable()
    if isinstance(x, NativeApply | Apply):
        x = (x if isinstance(x, Apply) else Apply.of(x)).default_output()
    if isinstance(x, Native):
        x = wrap(x)
    if isinstance(x, Variable):
        if not isinstance(x, TensorOperators):
            misused = getattr(x, "misused", None)
            raise misused("a tensor is needed") if misused else DTypeError(f"{x!r} is no tensor")
    elif isinstance(x, bool):
        raise DTypeError(
            f"{x} cannot become a tensor, at {user_line()}\n  hint: == between variables compares "
            f"identity in "
            "Theano; T.eq(a, b) compares values. For a constant use np.array(True)"
        )
    elif isinstance(x, (list, tuple)) and _holds_variable(x):
        from symconv.theano.tensor.basic import stack

        x = stack([as_tensor_variable(v) for v in x])
    else:
        x = constant(x)
    if ndim is not None and x.ndim != ndim:
        if x.ndim > ndim and all(x.broadcastable[: x.ndim - ndim]):
            return x.dimshuffle(*range(x.ndim - ndim, x.ndim))
        if x.ndim > ndim:
            raise ShapeError(f"{x!r} has {x.ndim} dimensions, at most {ndim} were expected")
        x = x.dimshuffle(*["x"] * (ndim - x.ndim), *range(x.ndim))
    if name is not None and x.name is None:
        x.name = name
    return x


def _holds_variable(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_variable(v) for v in value)
    return isinstance(value, (Variable, Native))


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: str | None = None) -> Any:
    """A constant with the dtype that Theano gives to the literal, or `dtype`."""
    if isinstance(x, Variable):
        raise DTypeError(f"constant: {x!r} is symbolic, a constant needs a number or an array")
    try:
        array = np.asarray(x, dtypes.checked(dtype, "constant")) if dtype else dtypes.literal(x)
    except (ValueError, TypeError) as error:
        if isinstance(error, DTypeError):
            raise
        raise DTypeError(f"cannot use a {type(x).__name__} as a tensor: {error}") from None
    dtypes.checked(array.dtype, f"a constant made of {type(x).__name__}")
    if ndim is not None:
        if array.ndim > ndim:
            raise ShapeError(f"constant: {array.ndim} dimensions, at most {ndim} were expected")
        array = array.reshape((1,) * (ndim - array.ndim) + array.shape)
    return wrap(native_constant(array, name=name))


def native_of(x: Any) -> Native:
    """The native variable of x, which becomes a tensor by Theano's rules first."""
    native: Native = as_tensor_variable(x).native
    return native
