"""The graph: immutable Variables and Apply nodes, and the Op protocol that every operation follows."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from symconv.errors import DTypeError, ProtocolError, ShapeError, SymbolicError, SymconvError
from symconv.graph.kernel import Kernel, View
from symconv.graph.origin import user_line
from symconv.graph.types import TensorType, dtype_name

_INTERN_SIZE = 64  # constants up to this many elements are shared
_lock = threading.Lock()
_applies: weakref.WeakValueDictionary[Any, Apply] = weakref.WeakValueDictionary()
_constants: weakref.WeakValueDictionary[Any, Constant] = weakref.WeakValueDictionary()


class Variable:
    """A value in the graph: an input, a constant, a shared variable, or output `index` of `owner`.

    Equality and hash are identity; `a + b`, `x[1:]` and the like are attached by symconv.ops.
    """

    # front: what stands for this variable in another API (symconv.theano), once somebody asked for it
    __slots__ = ("__weakref__", "front", "index", "name", "origin", "owner", "type")
    __array_priority__ = 1000  # ndarray + Variable must call Variable.__radd__

    def __init__(
        self, type: TensorType, owner: Apply | None = None, index: int = 0, name: str | None = None
    ) -> None:
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.origin = owner.origin if owner is not None else user_line()

    if TYPE_CHECKING:  # attached by symconv.ops.operators and symconv.function
        front: Any
        shape: tuple[int | Variable, ...]
        T: Variable

        def __add__(self, other: Any) -> Variable: ...
        def __radd__(self, other: Any) -> Variable: ...
        def __sub__(self, other: Any) -> Variable: ...
        def __rsub__(self, other: Any) -> Variable: ...
        def __mul__(self, other: Any) -> Variable: ...
        def __rmul__(self, other: Any) -> Variable: ...
        def __truediv__(self, other: Any) -> Variable: ...
        def __rtruediv__(self, other: Any) -> Variable: ...
        def __floordiv__(self, other: Any) -> Variable: ...
        def __rfloordiv__(self, other: Any) -> Variable: ...
        def __mod__(self, other: Any) -> Variable: ...
        def __rmod__(self, other: Any) -> Variable: ...
        def __pow__(self, other: Any) -> Variable: ...
        def __rpow__(self, other: Any) -> Variable: ...
        def __matmul__(self, other: Any) -> Variable: ...
        def __rmatmul__(self, other: Any) -> Variable: ...
        def __neg__(self) -> Variable: ...
        def __abs__(self) -> Variable: ...
        def __lt__(self, other: Any) -> Variable: ...
        def __le__(self, other: Any) -> Variable: ...
        def __gt__(self, other: Any) -> Variable: ...
        def __ge__(self, other: Any) -> Variable: ...
        def __getitem__(self, index: Any) -> Variable: ...
        def eval(self, givens: Any = None) -> np.ndarray: ...
        def __getattr__(self, name: str) -> Any: ...

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    def __bool__(self) -> bool:
        raise SymbolicError(
            f"the truth of the symbolic {self.type} from {self.origin} is not known while the graph is "
            "built; use sc.where, sc.switch, sc.eq or the logical ops, or .eval() the variable first"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        from symconv.graph.pickling import reduced  # walks the graph

        return reduced(self)

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.owner is not None:
            return f"{self.owner.op.label()}.{self.index}"
        return f"<{self.type}>"

    def __repr__(self) -> str:
        return f"{self} {self.type}" if self.name or self.owner is not None else str(self)


class Constant(Variable):
    """A value fixed at construction; `.data` is a read-only array."""

    __slots__ = ("data",)

    def __init__(self, data: np.ndarray, name: str | None = None) -> None:
        super().__init__(TensorType(dtype_name(data.dtype), data.shape), None, 0, name)
        data.flags.writeable = False
        self.data = data

    def __str__(self) -> str:
        if self.data.size <= 4:
            return self.name or str(self.data.tolist())
        return self.name or f"constant {self.type}"


def constant(value: Any, dtype: str | None = None, name: str | None = None) -> Constant:
    """A constant tensor with NumPy's dtype of `value` (or `dtype`); small ones are shared."""
    data = np.array(value, dtype=dtype, order="C")  # a copy: the caller may change theirs
    if data.dtype == object or data.dtype.kind in "USO":
        raise DTypeError(f"cannot make a constant of dtype {data.dtype} from {type(value).__name__}")
    if data.size > _INTERN_SIZE or name is not None:
        return Constant(data, name)
    key = (data.dtype, data.shape, data.tobytes())
    with _lock:
        found = _constants.get(key)
        if found is None:
            found = _constants[key] = Constant(data)
        return found


class Mirror(Protocol):
    """The value of a shared variable in the memory of a device."""

    def fetch(self, into: np.ndarray) -> None:
        """Bring home the device's value if it is newer than the host's."""
        ...

    def forget(self) -> None:
        """The host's value has changed: the device's is out of date."""
        ...


class SharedVariable(Variable):
    """A variable with a value of its own that compiled functions read and update.

    The dtype never changes; dimensions that the type knows never change; `shape=(None, ...)` at
    creation allows values of other sizes later. Functions on a GPU keep the value there (`mirror`) and
    bring it home when it is asked for.
    """

    __slots__ = ("_value", "default_update", "mirror")

    def __init__(self, value: np.ndarray, type: TensorType, name: str | None = None) -> None:
        super().__init__(type, None, 0, name)
        self.default_update: Variable | None = None
        self.mirror: Mirror | None = None
        self._value = value

    def get_value(self, borrow: bool = False) -> np.ndarray:
        """The current value: a copy, or with borrow=True the very array that functions on the CPU update.

        Who writes into a borrowed array must say so by set_value, or functions on a GPU will not see it.
        """
        if self.mirror is not None:
            self.mirror.fetch(self._value)
        return self._value if borrow else self._value.copy()

    def __setstate__(self, default_update: Variable) -> None:
        self.default_update = default_update

    def get_storage(self) -> np.ndarray:
        """The array with the current value, for one who is about to write into it."""
        value = self.get_value(borrow=True)
        if self.mirror is not None:
            self.mirror.forget()
        return value

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value. Raises DTypeError or ShapeError, and then changes nothing."""
        array = np.asarray(value)
        if array.dtype != self.dtype:
            if not np.can_cast(array.dtype, self.dtype, "same_kind"):
                raise DTypeError(f"shared {self}: value is {array.dtype}, the variable is {self.dtype}")
            array = array.astype(self.dtype)
        if not self.type.accepts(TensorType(self.dtype, array.shape)):
            raise ShapeError(
                f"shared {self}: value has shape {list(array.shape)}, the variable is {self.type} from "
                f"{self.origin}\n  hint: sc.shared(value, shape=(None, ...)) allows other sizes"
            )
        if self.mirror is not None:
            self.mirror.forget()
        if array.shape == self._value.shape and not borrow:
            self._value[...] = array  # keeps the address that compiled plans hold
            return
        if not (borrow and array.flags.c_contiguous and array.flags.writeable):
            array = np.array(array, order="C")
        self._value = array


@cache
def _field_names(op: type[Op]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(op))


class Apply:
    """One application of an op: immutable, and built once for the same op and inputs."""

    __slots__ = ("__weakref__", "inputs", "op", "origin", "outputs")

    def __init__(self, op: Op, inputs: tuple[Variable, ...], types: tuple[TensorType, ...]) -> None:
        self.op = op
        self.inputs = inputs
        self.origin = user_line()
        self.outputs = tuple([Variable(t, self, i) for i, t in enumerate(types)])

    @property
    def out(self) -> Variable:
        return self.outputs[0]

    def __repr__(self) -> str:
        ins = ", ".join(str(i) for i in self.inputs)
        return f"{self.op.label()}({ins}) -> {', '.join(str(o.type) for o in self.outputs)}"


@dataclass(frozen=True)
class Op:
    """An operation; the fields of the frozen dataclass are its attributes.

    Subclasses give `infer` (the only shape rule), `grad` (symbolic, built of public ops),
    `reference` (plain NumPy, the oracle) and, in `kernels`, the ordered kernel descriptors.
    """

    name: ClassVar[str] = ""
    operands: ClassVar[tuple[str, ...]] = ()  # names of the inputs, for messages
    kernels: ClassVar[list[Kernel]] = []
    no_kernel: ClassVar[str] = ""  # why there is none, for explain()
    foldable: ClassVar[bool] = True  # with constants as inputs it may be computed once and for all
    for_gradient: ClassVar[bool] = False  # an identity that is there until gradients have been taken

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kernels" not in cls.__dict__:
            cls.kernels = []
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    # infer, reference and simplify take as many arguments as the op has inputs: subclasses name them

    def infer(self, *inputs: Any, **_: Any) -> TensorType | tuple[TensorType, ...]:
        """Types of the outputs; raises ShapeError or DTypeError by `op_error`."""
        raise _lacks(self, "infer")

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        """Gradients of the inputs from those of the outputs; None where no gradient flows."""
        raise _lacks(self, "grad")

    def reference(self, *arrays: Any, **_: Any) -> np.ndarray | tuple[np.ndarray, ...]:
        """The outputs by plain NumPy; the oracle that every kernel is held against."""
        raise _lacks(self, "reference")

    def simplify(self, *inputs: Any, **_: Any) -> Sequence[Variable] | None:
        """Equal but simpler outputs given these inputs (x.reshape(x.shape) is x), or None."""
        return None

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        """Indices of the 0-d int64 inputs that fix the output's shape: constants in every plan."""
        return ()

    def view(self, node: Apply) -> View | None:
        """How output 0 lies inside input 0's memory, if it does."""
        return None

    def flops(self, node: Apply) -> int:
        """Floating-point operations of the node; one per output element unless an op says more."""
        return sum(o.type.size for o in node.outputs)

    def bytes(self, node: Apply) -> int:
        """Bytes that must be read and written at least once."""
        return sum(v.type.nbytes for v in (*node.inputs, *node.outputs))

    def inner(self) -> Sequence[Variable]:
        """Outputs of the graph that the op holds, if it holds one: for printing."""
        return ()

    def attributes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _field_names(type(self))}  # type: ignore[arg-type]

    def label(self) -> str:
        """The op's name with its attributes, for printing."""
        shown = ", ".join(f"{k}={v}" for k, v in self.attributes().items())
        return f"{self.name}{{{shown}}}" if shown else self.name

    def make(self, *inputs: Variable) -> Apply:
        """The Apply node for these inputs: an existing one if the expression was built before."""
        # The node keeps its inputs alive. Were they in the key, the table would, and nothing would be freed.
        key = (self, *map(id, inputs))
        with _lock:
            found = _applies.get(key)
        if found is not None:
            return found
        types = self.infer(*inputs)
        types = types if isinstance(types, tuple) else (types,)
        if not all([isinstance(t, TensorType) for t in types]):
            raise ProtocolError(
                f"{self.name}: infer() gave {types[0] if len(types) == 1 else types!r}\n  at {user_line()}\n"
                "  hint: return a TensorType, as in sc.TensorType(x.dtype, x.type.shape), or a tuple of them"
            )
        node = Apply(self, inputs, types)
        with _lock:
            return _applies.setdefault(key, node)

    def __call__(self, *inputs: Variable) -> Any:
        """Output variable of the node, or a tuple where the op has several."""
        outputs = self.make(*inputs).outputs
        return outputs[0] if len(outputs) == 1 else outputs


def _lacks(op: Op, method: str) -> ProtocolError:
    name = op.name or type(op).__name__
    return ProtocolError(f"{name} defines no {method}(); docs/adding_an_op.md tells how\n  at {user_line()}")


def describe(op: Op, inputs: Sequence[Variable]) -> str:
    """One line per operand: name, type, where it was made; the value of a small constant.

    Equal constants are one variable, so that only the first of them would have the right line.
    """
    names = list(op.operands) + [f"input {i}" for i in range(len(op.operands), len(inputs))]
    rows = [(n, str(v.type), _whence(v)) for n, v in zip(names, inputs)]
    width = [max((len(r[k]) for r in rows), default=0) for k in (0, 1)]
    lines = [f"  {n:<{width[0]}} {t:<{width[1]}}   {o}" for n, t, o in rows]
    shown = "  ".join(f"{k}={v}" for k, v in op.attributes().items())
    return "\n".join(lines) + (f"\n  {shown}" if shown else "")


def _whence(v: Variable) -> str:
    if isinstance(v, Constant) and v.data.size <= 8:
        return f"= {v.data.tolist()}"
    return f"from {v.origin}"


def op_error(
    op: Op, inputs: Sequence[Variable], message: str, hint: str = "", kind: type[SymconvError] = ShapeError
) -> SymconvError:
    """The error to raise for bad operands: what is wrong, every operand, where, and a hint."""
    text = f"{op.name}: {message}\n{describe(op, inputs)}\n  at {user_line()}"
    return kind(text + (f"\n  hint: {hint}" if hint else ""))
