"""Operations as Theano's users write them: make_node, perform, grad, infer_shape, __props__.

Such an op runs as a reference step of the plan, on every device, and explain() shows it. The shape of its
outputs is what infer_shape says, or what perform gives: then the shape is a guard, for which perform runs
before the plan, whose step takes the values over.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ExecutionError, GradientError, GraphError, ShapeError, UnsupportedError
from symconv.graph import Apply as NativeApply
from symconv.graph import Op as NativeOp
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.graph import constant as native_constant
from symconv.ops.create import zeros_like
from symconv.ops.operands import as_dim, cast, static_dim
from symconv.ops.shape import dims_of
from symconv.theano import variable
from symconv.theano.configuration import config
from symconv.theano.errors import NoGradientError
from symconv.theano.null_gradient import null_gradient, reason
from symconv.theano.test_values import attach
from symconv.theano.test_values import get_test_value as get_test_value
from symconv.theano.variable import Variable, as_tensor_variable, native_of, wrap


class Op:
    """The base class of a user's op.

    Two ops are equal if their classes and the attributes named in __props__ are; without __props__ an op
    equals itself only. itypes and otypes make a make_node of their own.
    """

    itypes: Sequence[Any]
    otypes: Sequence[Any]
    default_output: int | None = None

    def _props(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__props__)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        if not hasattr(self, "__props__"):
            return self is other
        return type(self) is type(other) and self._props() == other._props()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self._props())) if hasattr(self, "__props__") else id(self)

    def __str__(self) -> str:
        if getattr(self, "__props__", None):
            shown = ", ".join(f"{k}={v!r}" for k, v in zip(self.__props__, self._props()))  # type: ignore[attr-defined]
            return f"{type(self).__name__}{{{shown}}}"
        return type(self).__name__

    def make_node(self, *inputs: Any) -> Apply:
        """The node for these inputs."""
        if not hasattr(self, "itypes") or not hasattr(self, "otypes"):
            raise GraphError(f"{self}: an Op defines make_node, or itypes and otypes")
        if len(inputs) != len(self.itypes):
            raise GraphError(f"{self} takes {len(self.itypes)} inputs, got {len(inputs)}")
        given = [as_tensor_variable(v) for v in inputs]
        for k, (v, wanted) in enumerate(zip(given, self.itypes)):
            if v.dtype != wanted.dtype or v.ndim != wanted.ndim:
                raise DTypeError(f"{self}: input {k} must be {wanted}, got {v.type} from {v.native.origin}")
        return Apply(self, given, [t() for t in self.otypes])

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """The output of the node, or a list of them; return_list=True makes it a list always."""
        name = kwargs.pop("name", None)
        listed = kwargs.pop("return_list", False)
        outputs = self.make_node(*inputs, **kwargs).outputs
        if name is not None:
            outputs[0].name = name
        if self.default_output is not None:
            chosen = outputs[self.default_output]
            return [chosen] if listed else chosen
        return outputs[0] if len(outputs) == 1 and not listed else outputs

    def perform(self, node: Any, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        """Put the values of the outputs into output_storage[k][0]."""
        raise UnsupportedError(
            f"{self} defines no perform; C code of Theano's ops is not compiled\n"
            "  hint: write perform with NumPy, or a kernel by sc.cpu_kernel (docs/adding_a_kernel.md)"
        )


PureOp = Op


class _AnyNode(type):
    """isinstance(x.owner, Apply) holds for every node."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, variable.Apply)


class Apply(variable.Apply, metaclass=_AnyNode):
    """The node that a make_node returns: op, inputs, and new variables for the outputs.

    An output of a class of the program's own, derived from TensorVariable, becomes the node's output itself.
    """

    def __init__(self, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        ins = [as_tensor_variable(v) for v in inputs]
        for v in outputs:
            if not isinstance(v, Variable) or v.owner is not None:
                raise GraphError(f"Apply: outputs of {op} must be new variables, such as x.type(), got {v!r}")
        types = tuple(v.native.type for v in outputs)
        natives = [v.native for v in ins]
        if hasattr(op, "as_native"):
            super().__init__(op.as_native().make(*natives))
        else:
            native_op = UserOp(op, len(ins), types, _Template(op, ins, outputs))
            super().__init__(native_op.make(*natives, *native_op.dims(natives)))
        for v, native in zip(outputs, self.native.outputs):
            if type(v) is not variable.TensorVariable:
                _become(v, native)
        for v, made in zip(outputs, self.outputs):
            if v.name is not None and made.name is None:
                made.name = v.name


def _become(v: Any, native: Native) -> None:
    """Let v, made as an input, be the variable that stands for `native`."""
    name, v.native = v.name, native
    native.front, native.name = v, name  # type: ignore[attr-defined]
    if config.compute_test_value != "off":
        attach(v)


class _Template:
    """What perform, infer_shape and the like get as their node: the op and variables of the same types."""

    def __init__(self, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.op = op
        self.inputs = [_unbound(v) for v in inputs]
        self.outputs = [_unbound(v) for v in outputs]

    nin = property(lambda self: len(self.inputs))
    nout = property(lambda self: len(self.outputs))

    def keep(self, arrays: Sequence[np.ndarray], results: list[np.ndarray]) -> None:
        """Keep what perform gave, when it was asked for shapes, for the step that needs the values."""
        self._kept = [np.array(a) for a in arrays], results

    def taken(self, arrays: Sequence[np.ndarray], again: bool = False) -> list[np.ndarray] | None:
        """What was kept for these inputs, and is not any more, unless it will be asked for again."""
        given, results = self.__dict__.get("_kept", (None, None))
        if not again:
            self.__dict__.pop("_kept", None)
        same = given is not None and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in zip(given, arrays)
        )
        return results if same else None

    def on(self, inputs: Sequence[Any]) -> _Template:
        """The same with these inputs: a shape may depend on the values of some."""
        made = copy(self)
        made.inputs = list(inputs)
        return made


def _unbound(v: Any) -> Any:
    return wrap(Native(v.native.type, name=v.name))


@dataclass(frozen=True)
class _OfUser(NativeOp):
    """What a native op needs to know of a user's on `user_inputs` inputs with outputs of these types."""

    front: Op
    user_inputs: int
    types: tuple[NativeType, ...]
    template: _Template = field(compare=False, repr=False)

    @property
    def foldable(self) -> bool:  # type: ignore[override]
        """What the user's do_constant_folding(node) says; without one, True."""
        asked = getattr(self.front, "do_constant_folding", None)
        return asked is None or bool(asked(self.template))

    @property
    def open_dims(self) -> int:
        """How many dimensions the types leave open."""
        return sum(d is None for t in self.types for d in t.shape)


@dataclass(frozen=True)
class UserOp(_OfUser):
    """A user's op; behind its inputs come the dimensions that the outputs' types leave open."""

    name = "user_op"

    def label(self) -> str:
        return str(self.front)

    def attributes(self) -> dict[str, Any]:
        return {"op": str(self.front)}

    def dims(self, natives: Sequence[Native]) -> list[Native]:
        """The open dimensions as variables: by infer_shape, else by a node that asks perform."""
        if not self.open_dims:
            return []
        shapes = self._inferred(natives)
        if shapes is None:
            made = UserShape(self.front, self.user_inputs, self.types, self.template)(*natives)
            return list(made) if isinstance(made, tuple) else [made]
        open_ = []
        for t, shape in zip(self.types, shapes):
            if len(shape) != len(t.shape):
                raise ShapeError(f"{self.front}.infer_shape gave {len(shape)} dimensions for {t}")
            open_ += [as_dim(_plain(d)) for d, known in zip(shape, t.shape) if known is None]
        return open_

    def _inferred(self, natives: Sequence[Native]) -> list[tuple[Any, ...]] | None:
        infer_shape = getattr(self.front, "infer_shape", None)
        if infer_shape is None:
            return None
        try:
            node = self.template.on([wrap(v) for v in natives])
            found = infer_shape(node, [tuple(wrap(d) for d in dims_of(v)) for v in natives])
        except NotImplementedError:
            return None
        if len(found) != len(self.types):
            raise ShapeError(
                f"{self.front}.infer_shape gave {len(found)} shapes for {len(self.types)} outputs"
            )
        return [tuple(s) for s in found]

    def infer(self, *inputs: Native) -> tuple[NativeType, ...]:
        dims = iter(inputs[self.user_inputs :])
        return tuple(
            NativeType(t.dtype, tuple(static_dim(next(dims)) if d is None else d for d in t.shape))
            for t in self.types
        )

    def shape_operands(self, n_inputs: int) -> range:
        return range(self.user_inputs, n_inputs)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        given = arrays[: self.user_inputs]
        results = self.template.taken(given)
        if results is None:
            results = performed(self.front, self.template, given, self.types)
        dims = iter(int(d) for d in arrays[self.user_inputs :])
        for k, (t, value) in enumerate(zip(self.types, results)):
            wanted = tuple(next(dims) if d is None else d for d in t.shape)
            if value.shape != wanted:
                raise ExecutionError(
                    f"{self.front}.perform gave shape {list(value.shape)} for output {k}, its infer_shape "
                    f"and type say {list(wanted)}"
                )
        return tuple(results)

    def grad(self, node: NativeApply, *dys: Native | None) -> list[Native | None]:
        inputs = [wrap(v) for v in node.inputs[: self.user_inputs]]
        outputs = [wrap(v) for v in node.outputs]
        given = [wrap(zeros_like(v) if dy is None else dy) for v, dy in zip(node.outputs, dys)]
        if hasattr(self.front, "L_op"):
            found = self.front.L_op(inputs, outputs, given)
        elif hasattr(self.front, "grad"):
            found = self.front.grad(inputs, given)
        else:
            raise NoGradientError(
                f"{self.front} from {node.origin} defines no grad\n"
                "  hint: define grad(self, inputs, output_gradients), or keep the op out of the path"
            )
        if len(found) != self.user_inputs:
            raise GradientError(
                f"{self.front}.grad gave {len(found)} gradients for {self.user_inputs} inputs"
            )
        gradients: list[Native | None] = []
        for x, d in zip(node.inputs, found):
            why = reason(d.native) if isinstance(d, Variable) else None
            if why is not None:
                gradients.append(null_gradient(x, why) if x.type.is_inexact else None)
                continue
            known = isinstance(d, (Variable, int, float, np.ndarray, np.generic)) and x.type.is_inexact
            gradients.append(cast(native_of(d), x.dtype) if known else None)
        return gradients + [None] * (len(node.inputs) - self.user_inputs)

    def flops(self, node: NativeApply) -> int:
        return sum(t.type.size for t in node.outputs)


@dataclass(frozen=True)
class UserShape(_OfUser):
    """The open dimensions of a user's op without infer_shape, by running its perform."""

    name = "user_shape"

    def label(self) -> str:
        return f"shape of {self.front}"

    def infer(self, *inputs: Native) -> tuple[NativeType, ...]:
        return (NativeType("int64", ()),) * self.open_dims

    def grad(self, node: NativeApply, *dys: Native | None) -> list[Native | None]:
        return [None] * len(node.inputs)

    def reference(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        results = self.template.taken(arrays, again=True)
        if results is None:
            results = performed(self.front, self.template, arrays, self.types)
            self.template.keep(arrays, results)
        return tuple(
            np.asarray(n, "int64")
            for t, value in zip(self.types, results)
            for d, n in zip(t.shape, value.shape)
            if d is None
        )


def performed(
    op: Op, node: Any, arrays: Sequence[np.ndarray], types: Sequence[NativeType]
) -> list[np.ndarray]:
    """What perform gives, checked against the types of the outputs. The op may write into its inputs."""
    storage: list[list[Any]] = [[None] for _ in types]
    op.perform(node, [np.array(a) for a in arrays], storage)
    results = []
    for k, (t, cell) in enumerate(zip(types, storage)):
        if cell[0] is None:
            raise ExecutionError(f"{op}.perform left output {k} empty; it must set output_storage[{k}][0]")
        value = np.asarray(cell[0])
        if str(value.dtype) != t.dtype or value.ndim != len(t.shape):
            raise ExecutionError(
                f"{op}.perform gave {value.dtype}{list(value.shape)} for output {k}, make_node promised {t}\n"
                f"  hint: np.asarray(value, dtype={t.dtype!r}), or another type in make_node"
            )
        results.append(value)
    return results


def _plain(d: Any) -> Any:
    if isinstance(d, Variable):
        return d.native
    return native_constant(int(d), "int64")
