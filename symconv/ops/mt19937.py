"""Draws of numpy.random.RandomState as pure ops: from a state, values and the state after them.

A state is int32[628]: the 624 words of the Mersenne twister, the position among them, whether the polar
method has kept a second normal value, and the two halves of that value. Every value has the bits that
RandomState gives from the same state. The C++ kernels serve single parameters, and arrays with one for
each value; all else runs NumPy. A binomial draw of one trial is a mask: its values can have any dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symconv.errors import ArgumentError
from symconv.graph import DTYPES as GRAPH_DTYPES
from symconv.graph import Apply, Constant, Kernel, Launch, Op, TensorType, Variable, op_error
from symconv.graph.params import pack
from symconv.ops.operands import as_variable, static_dim

STATE_SIZE = 628
INVERSION = 30  # NumPy's binomial draws by inversion up to this n * min(p, 1 - p)
DTYPES = {
    "uniform": "float64", "normal": "float64", "binomial": "int64", "random_integers": "int64",
    "choice": "int64", "poisson": "int64", "permutation": "int64", "multinomial": "int64",
}  # fmt: skip
_KERNELS = {"uniform": "uniform", "normal": "normal", "binomial": "binomial", "random_integers": "integers"}


def pack_state(random: np.random.RandomState) -> np.ndarray:
    """The state of a RandomState as int32[628]."""
    _, words, position, has_gauss, gauss = random.get_state(legacy=True)
    state = np.zeros(STATE_SIZE, "uint32")
    state[:624], state[624], state[625] = words, position, has_gauss
    state[626:] = np.frombuffer(np.float64(gauss if has_gauss else 0.0).tobytes(), "uint32")
    return state.view("int32")


def unpack_state(state: np.ndarray) -> np.random.RandomState:
    """A RandomState in this state."""
    words = np.ascontiguousarray(state).view("uint32")
    gauss = float(np.frombuffer(words[626:].tobytes(), "float64")[0])
    random = np.random.RandomState()
    random.set_state(("MT19937", words[:624], int(words[624]), int(words[625]), gauss))
    return random


def _supports(node: Apply) -> str | None:
    op = node.op
    assert isinstance(op, MersenneDraw)
    parameters = node.inputs[1 : 1 + op.parameters]
    shapes = {v.type.shape for v in parameters if v.ndim}
    if shapes - {node.outputs[1].type.shape} or (shapes and op.kind == "random_integers"):
        return "parameters of another shape than the values"
    if op.kind == "binomial":
        n, p = parameters
        share = (
            float(np.minimum(p.data, 1 - p.data).max()) if isinstance(p, Constant) and p.data.size else 0.5
        )
        if not isinstance(n, Constant) or not n.data.size or int(n.data.max()) * share > INVERSION:
            return f"n * min(p, 1 - p) is not known to be at most {INVERSION}"
    return None


def _launch(node: Apply) -> Launch:
    first, second = (int(v.ndim > 0) for v in node.inputs[1:3])
    values = node.outputs[1]
    return Launch(
        pack(
            "MersenneParams",
            n=values.type.size,
            first_step=first,
            second_step=second,
            dtype=GRAPH_DTYPES.index(values.dtype),
        )
    )


def is_trial(node: Apply) -> bool:
    """True for draws that are 0 or 1: binomial with one trial, known to be one."""
    op = node.op
    if not isinstance(op, MersenneDraw) or op.kind != "binomial":
        return False
    n = node.inputs[1]
    return isinstance(n, Constant) and n.ndim == 0 and int(n.data) == 1


def _kernel(entry: str, supports: Callable[[Apply], str | None]) -> Kernel:
    return Kernel(entry, "cpu", "csrc/kernels/mt19937.cpp", entry, supports, _launch, ((0, 0),))


def _kernels() -> list[Kernel]:
    def trial(node: Apply) -> str | None:
        return _supports(node) if is_trial(node) else "draws 0 or 1"

    def wide(kind: str) -> Callable[[Apply], str | None]:
        def supports(node: Apply) -> str | None:
            if node.op.kind != kind:  # type: ignore[attr-defined]
                return f"draws {kind}"
            if node.outputs[1].dtype != DTYPES[kind]:
                return f"draws {DTYPES[kind]}"
            return _supports(node)

        return supports

    return [
        _kernel("mt19937_bernoulli", trial),
        *(_kernel(f"mt19937_{entry}", wide(kind)) for kind, entry in _KERNELS.items()),
    ]


@dataclass(frozen=True)
class MersenneDraw(Op):
    """(state after, values of shape dims) of one draw; inputs state, `parameters` of them, dims.

    kind: uniform (low, high), normal (mean, std), binomial (n, p), random_integers (low, high: both
    included), poisson (lam), choice (n, p or nothing; `replace`), permutation (n), multinomial (n, pvals).
    The last two add an axis of length n, or that of pvals. dtype: that of the values, where it is not the
    one in DTYPES.
    """

    kind: str
    parameters: int
    replace: bool = True
    dtype: str | None = None
    name = "mt19937"
    operands = ("state",)
    kernels = _kernels()

    def in_dtype(self, dtype: str) -> MersenneDraw:
        """The same draw with values of that dtype."""
        return MersenneDraw(self.kind, self.parameters, self.replace, dtype)

    def infer(self, *inputs: Variable) -> tuple[TensorType, TensorType]:
        state, parameters, dims = inputs[0], inputs[1 : 1 + self.parameters], inputs[1 + self.parameters :]
        if state.type != TensorType("int32", (STATE_SIZE,)):
            raise op_error(self, inputs, f"the state must be int32[{STATE_SIZE}], got {state.type}")
        shape = [static_dim(d) for d in dims]
        if any(d is not None and d < 0 for d in shape):
            raise op_error(self, inputs, f"negative dimension in shape {shape}")
        if self.kind == "permutation":
            shape.append(static_dim(parameters[0]))
        if self.kind == "multinomial":
            shape.append(parameters[1].type.shape[-1])
        return state.type, TensorType(self.dtype or DTYPES[self.kind], tuple(shape))

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        first = [1] if self.kind == "permutation" else []
        return [*first, *range(1 + self.parameters, n_inputs)]

    def grad(self, node: Apply, *dys: Variable | None) -> Sequence[Variable | None]:
        return [None] * len(node.inputs)

    def reference(self, state: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        random = unpack_state(state)
        parameters = [a[()] if a.ndim == 0 else a for a in rest[: self.parameters]]
        shape = tuple(int(d) for d in rest[self.parameters :])
        values = np.asarray(self._draw(random, parameters, shape), DTYPES[self.kind])
        return pack_state(random), values.astype(self.dtype or values.dtype, copy=False)

    def _draw(self, random: np.random.RandomState, given: list[np.ndarray], shape: tuple[int, ...]) -> object:
        if self.kind == "random_integers":
            low, high = given
            if np.ndim(low) == 0 and np.ndim(high) == 0:
                return random.randint(int(low), int(high) + 1, shape, "int64")
            return random.randint(low, np.asarray(high) + 1, shape, "int64")
        if self.kind == "choice":
            chances = given[1] if len(given) > 1 and given[1].size else None
            return random.choice(int(given[0]), shape, self.replace, chances)
        if self.kind == "permutation":
            rows = [random.permutation(int(given[0])) for _ in range(math.prod(shape))]
            return np.reshape(np.array(rows, "int64"), (*shape, int(given[0])))
        if self.kind == "multinomial":
            return _multinomial(random, given[0], given[1], shape)
        return getattr(random, self.kind)(*given, size=shape)

    def flops(self, node: Apply) -> int:
        return 20 * node.outputs[1].type.size


def _multinomial(
    random: np.random.RandomState, n: np.ndarray, pvals: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """One draw for each row of pvals, broadcast against n and shape, in C order."""
    if np.ndim(pvals) == 1 and np.ndim(n) == 0:
        return random.multinomial(int(n), np.asarray(pvals, "float64"), shape)
    counts = np.broadcast_to(n, shape)
    rows = np.broadcast_to(pvals, (*shape, np.shape(pvals)[-1]))
    out = np.empty(rows.shape, "int64")
    for at in np.ndindex(shape):
        out[at] = random.multinomial(int(counts[at]), np.asarray(rows[at], "float64"))
    return out


def mersenne_draw(
    kind: str, state: Variable, parameters: Sequence[object], dims: Sequence[Variable], replace: bool = True
) -> tuple[Variable, Variable]:
    """(state after, values) of a draw."""
    if kind not in DTYPES:
        raise ArgumentError(f"mersenne_draw: unknown draw {kind!r}; there are {', '.join(DTYPES)}")
    op = MersenneDraw(kind, len(parameters), replace)
    after, values = op(state, *(as_variable(p) for p in parameters), *dims)
    return after, values
