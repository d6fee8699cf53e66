"""theano.sandbox.rng_mrg: MRG_RandomStreams on the native MRG31k3p op (symconv/ops/mrg31k3p.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symconv.errors import ArgumentError, UnsupportedError
from symconv.graph import Apply, Op, TensorType, op_error
from symconv.graph import Constant as NativeConstant
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.ops import elementwise as ew
from symconv.ops.join import concatenate
from symconv.ops.mrg31k3p import M1, M2, MrgUniform, draw, skip, substreams
from symconv.ops.operands import as_variable, cast, static_dim
from symconv.ops.shape import reshape
from symconv.theano import dtypes
from symconv.theano.configuration import config
from symconv.theano.null_gradient import UndefinedGrad
from symconv.theano.shapes import as_dims
from symconv.theano.variable import native_of, wrap

MOST_STREAMS = 60 * 256
TRUNCATED_STD = 0.87962566103423978  # the deviation of a standard normal variable that lies within 2 of 0


def guess_n_streams(size: Any, warn: bool = False) -> int:
    """How many streams a draw of `size` takes: a sixth of its elements where they are known."""
    dims = [static_dim(d) for d in as_dims(size, "guess_n_streams")] if size is not None else [None]
    if any(d is None for d in dims):
        return MOST_STREAMS
    n = math.prod(dims)  # type: ignore[arg-type]
    return min(n // 6 if n > 6 else max(n, 1), MOST_STREAMS)


class MRG_RandomStreams:  # noqa: N801 - Theano's name
    """A source of draws from MRG31k3p. Each draw has streams of its own; v.rstate and v.update as in
    RandomStreams. seed: an int, or the six numbers of a state. target, which told Theano where a draw was to
    run, has no effect."""

    def __init__(self, seed: Any = 12345, use_cuda: bool | None = None) -> None:
        self.state_updates: list[tuple[Any, Any]] = []
        self.set_rstate(seed)

    def set_rstate(self, seed: Any) -> None:
        """Start from a seed. Raises ArgumentError for one that MRG31k3p does not take.

        A negative one, which Theano took, too, counts modulo the generator's second modulus.
        """
        if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
            if not -M2 < seed < M2 or seed == 0:
                raise ArgumentError(
                    f"MRG_RandomStreams: the seed must lie between 1 and {M2 - 1}, or be the negative of "
                    f"such a number, got {seed}"
                )
            state = [int(seed) % M2] * 6
        elif np.shape(seed) == (6,):
            state = [int(v) for v in seed]
            for part, m in ((state[:3], M1), (state[3:], M2)):
                if not all(0 <= v < m for v in part) or not any(part):
                    raise ArgumentError(f"MRG_RandomStreams: {part} must lie in [0, {m}) and not be all 0")
        else:
            raise ArgumentError(f"MRG_RandomStreams: the seed must be an int or 6 ints, got {seed!r}")
        self.default_instance_seed = seed
        self.rstate = np.array(state, "int32")

    def seed(self, seed: Any = None) -> None:
        """Give every draw made so far new streams, from `seed` or that of the constructor."""
        self.set_rstate(self.default_instance_seed if seed is None else seed)
        for state, _ in self.state_updates:
            state.set_value(self.get_substream_rstates(len(state.get_value(borrow=True))))

    def inc_rstate(self) -> None:
        """Go to the next group of streams, 2^134 values on."""
        self.rstate = np.array(skip(self.rstate, 134), "int32")

    def get_substream_rstates(self, n_streams: int, dtype: Any = None, inc_rstate: bool = True) -> np.ndarray:
        """int32[n_streams, 6]."""
        if isinstance(n_streams, bool) or not isinstance(n_streams, (int, np.integer)) or n_streams < 1:
            raise ArgumentError(
                f"MRG_RandomStreams: the number of streams must be positive, got {n_streams!r}"
            )
        states = substreams(self.rstate, int(n_streams))
        if inc_rstate:
            self.inc_rstate()
        return states

    def n_streams(self, size: Any) -> int:
        return guess_n_streams(size)

    def updates(self) -> list[tuple[Any, Any]]:
        return list(self.state_updates)

    def pretty_return(self, state: Any, after: Any, value: Any) -> Any:
        value.rng = value.rstate = state
        value.update = (state, after)
        state.default_update = after
        self.state_updates.append(value.update)
        return value

    def _draw(self, dims: Sequence[Native], dtype: str, nstreams: int | None) -> Native:
        if nstreams is None:
            nstreams = guess_n_streams([wrap(d) for d in dims])
        state = self._new_state(nstreams)
        after, values = MrgUniform(dtype)(state, *dims)
        self.pretty_return(wrap(state), wrap(after), wrap(values))
        return values  # type: ignore[no-any-return]

    def _new_state(self, nstreams: int) -> Native:
        return NativeShared(self.get_substream_rstates(nstreams), NativeType("int32", (nstreams, 6)))

    def _like(self, value: Native, draw: Native) -> Any:
        result, source = wrap(value), wrap(draw)
        result.rng, result.rstate, result.update = source.rng, source.rstate, source.update
        return result

    def uniform(
        self, size: Any, low: Any = 0.0, high: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """Values between low and high, floatX by default."""
        low, high = _parameter(low), _parameter(high)
        dtype = dtype or dtypes.upcast(config.floatX, low.dtype, high.dtype)
        u = self._draw(_known_size(size, "uniform", ndim), dtype, nstreams)
        plain = all(isinstance(v, NativeConstant) and v.ndim == 0 for v in (low, high))
        if plain and (float(low.data), float(high.data)) == (0.0, 1.0):  # type: ignore[attr-defined]
            return wrap(u)
        low, high = cast(low, dtype), cast(high, dtype)
        return self._like(ew.add(ew.mul(u, ew.sub(high, low)), low), u)

    def binomial(
        self, size: Any = None, n: int = 1, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64",
        nstreams: int | None = None, prob: Any = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """1 with probability p, else 0."""
        if n != 1:
            raise UnsupportedError(
                f"MRG_RandomStreams.binomial: only n = 1 is supported, got {n}\n"
                "  hint: sum n draws, or RandomStreams(seed).binomial(size, n, p)"
            )
        chance = _parameter(p if prob is None else prob)
        if size is None:
            size = wrap(chance).shape
        kind = "float32" if dtype == "float32" and chance.dtype == "float32" else config.floatX
        u = self._draw(_known_size(size, "binomial", ndim), kind, nstreams)
        return self._like(cast(ew.lt(u, cast(chance, kind)), dtype), u)

    def normal(
        self, size: Any, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, truncate: bool = False, target: Any = None,
    ) -> Any:  # fmt: skip
        """Normally distributed values, by the method of Box and Muller.

        truncate: no value is further than 2 std from avg; their deviation then is 0.88 std.
        """
        avg, std = _parameter(avg), _parameter(std)
        dtype = dtype or dtypes.upcast(config.floatX, avg.dtype, std.dtype)
        dims = _known_size(size, "normal", ndim)
        n: Any = as_variable(1, "int64")
        for d in dims:
            n = ew.mul(n, d)
        even = ew.add(n, ew.mod(n, 2))
        if nstreams is None:  # for truncated values Theano takes the most, whatever the size
            nstreams = MOST_STREAMS if truncate else guess_n_streams([wrap(d) for d in dims])
        u = self._draw([even], dtype, nstreams)
        if truncate:
            again = self._new_state(nstreams)
            after, z = TruncatedNormal(dtype)(again, u)
            self.pretty_return(wrap(again), wrap(after), wrap(z))
        else:
            half = ew.floor_div(even, 2)
            radius = ew.sqrt(ew.mul(-2.0, ew.log(u[:half])))
            angle = ew.mul(2.0 * math.pi, u[half:])
            z = concatenate([ew.mul(radius, ew.cos(angle)), ew.mul(radius, ew.sin(angle))])
        z = reshape(z[:n], tuple(dims))
        return self._like(ew.add(ew.mul(z, cast(std, dtype)), cast(avg, dtype)), u)

    def truncated_normal(
        self, size: Any, avg: Any = 0.0, std: Any = 1.0, ndim: int | None = None, dtype: str | None = None,
        nstreams: int | None = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """normal(truncate=True) that has the deviation `std`: no value is further than 2.27 std from avg."""
        wider = ew.true_div(native_of(std), TRUNCATED_STD)
        return self.normal(size, avg, wrap(wider), ndim, dtype, nstreams, True)

    def multinomial(
        self, size: Any = None, n: Any = 1, pvals: Any = None, ndim: int | None = None, dtype: str = "int64",
        nstreams: int | None = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """How often each outcome of the rows of pvals [m, k], or of a vector [k], comes in n draws."""
        rows, one = self._rows("multinomial", pvals, size, ndim)
        trials = cast(native_of(n), "int64")
        u = self._draw([ew.mul(rows.shape[0], trials)], rows.dtype, nstreams)
        counts = MultinomialCounts(dtype)(rows, u, trials)
        return self._like(counts[0] if one else counts, u)

    def choice(
        self, size: Any = 1, a: Any = None, replace: bool = True, p: Any = None, ndim: int | None = None,
        dtype: str = "int64", nstreams: int | None = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """int64[m, size]: `size` different outcomes for each row of p [m, k]; [size] for a vector p.

        Only for replace=False, and with a, the number of outcomes, left to p.
        """
        if replace or a is not None:
            raise UnsupportedError(
                "MRG_RandomStreams.choice: only replace=False with rows p [m, k] and a=None is supported\n"
                "  hint: RandomStreams(seed).choice draws with replacement"
            )
        rows, one = self._rows("choice", p, None, ndim)
        count = cast(native_of(size), "int64")
        u = self._draw([ew.mul(rows.shape[0], count)], rows.dtype, nstreams)
        drawn = DifferentOutcomes(dtype)(rows, u, count)
        return self._like(drawn[0] if one else drawn, u)

    def multinomial_wo_replacement(
        self, size: Any = None, n: Any = 1, pvals: Any = None, replace: bool = False, ndim: int | None = None,
        dtype: str = "int64", nstreams: int | None = None, target: Any = None,
    ) -> Any:  # fmt: skip
        """int64[m, n]: n different outcomes for each row of pvals; an older name of choice."""
        if size is not None:
            raise ArgumentError(f"MRG_RandomStreams.multinomial_wo_replacement takes no size, got {size!r}")
        return self.choice(n, None, replace, pvals, ndim, dtype, nstreams)

    @staticmethod
    def _rows(what: str, pvals: Any, size: Any, ndim: int | None) -> tuple[Native, bool]:
        """The probabilities as floating-point rows [m, k], and whether a vector was given."""
        if pvals is None:
            raise ArgumentError(f"MRG_RandomStreams.{what} needs the probabilities of the outcomes")
        if size is not None or ndim not in (None, 1):
            raise ArgumentError(
                f"MRG_RandomStreams.{what} takes neither size nor ndim, got size={size!r}, ndim={ndim!r}\n"
                "  hint: one draw for each row of the probabilities"
            )
        rows = _parameter(pvals)
        if rows.ndim not in (1, 2):
            raise ArgumentError(
                f"MRG_RandomStreams.{what}: the probabilities must be rows [m, k] or a vector [k], "
                f"got {rows.type}"
            )
        rows = rows if rows.type.is_float else cast(rows, config.floatX)
        return (reshape(rows, (1, rows.shape[0])), True) if rows.ndim == 1 else (rows, False)


def _parameter(value: Any) -> Native:
    """A parameter of a draw, by which Theano 1.0 refuses gradients."""
    v = native_of(value)
    if isinstance(v, NativeConstant) or not v.type.is_float:
        return v
    out: Native = UndefinedGrad()(v)
    return out


def _known_size(size: Any, what: str, ndim: int | None) -> list[Native]:
    dims = as_dims(size, what, ndim)
    for d in dims:
        known = static_dim(d)
        if known is not None and known <= 0:
            raise ArgumentError(f"MRG_RandomStreams.{what}: sizes must be positive, got {known}")
    return dims


@dataclass(frozen=True)
class TruncatedNormal(Op):
    """(state after, z): normal values in [-2, 2] from the uniform numbers u [2 h], by Box and Muller.

    r cos t and r sin t, with r = sqrt(-2 log u[i]) and t = 2 pi u[h + i], give z [2 h]: all cosines, then
    all sines. Where one lies outside, its r is drawn again as sqrt(-2 log v), at most 2, with v in
    (exp(-2), 1) from the state; in each half these follow the others. Inputs: the state, u.
    """

    dtype: str
    name = "mrg_truncated_normal"
    operands = ("state", "u")

    def infer(self, state: Native, u: Native) -> tuple[TensorType, TensorType]:
        if u.ndim != 1 or u.dtype != self.dtype:
            raise op_error(self, (state, u), f"u must be a vector of {self.dtype}")
        return state.type, u.type

    def grad(self, node: Apply, *dys: Native | None) -> list[None]:
        return [None, None]

    def reference(self, state: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kind, half = u.dtype.type, len(u) // 2
        radius, angle = np.sqrt(kind(-2) * np.log(u[:half])), kind(2 * math.pi) * u[half:]
        sides = [(radius * side, side) for side in (np.cos(angle), np.sin(angle))]
        outside = [np.abs(z) > 2 for z, _ in sides]
        first = np.count_nonzero(outside[0])
        after, v = draw(state, first + np.count_nonzero(outside[1]), self.dtype)
        least = kind(math.exp(-2))
        radius = np.sqrt(kind(-2) * np.log(v * (kind(1) - least) + least))
        parts: list[np.ndarray] = []
        for (z, side), out, r in zip(sides, outside, (radius[:first], radius[first:])):
            parts += [z[~out], r * side[out]]
        return after, np.concatenate(parts)


@dataclass(frozen=True)
class _Outcomes(Op):
    """Draws from p [m, k] by the uniform numbers u [m n]."""

    dtype: str
    operands = ("p", "u", "n")

    def check(self, p: Native, u: Native, n: Native) -> None:
        if p.ndim != 2 or u.ndim != 1 or n.ndim != 0:
            raise op_error(self, (p, u, n), "p must be a matrix, u a vector, n a scalar")

    def grad(self, node: Apply, *dys: Native | None) -> list[None]:
        return [None, None, None]


@dataclass(frozen=True)
class MultinomialCounts(_Outcomes):
    """z[i, k] = how many of u[i], u[i + m], ... fall into outcome k of row i; inputs p [m, k], u [m n], n."""

    name = "multinomial_counts"

    def infer(self, p: Native, u: Native, n: Native) -> TensorType:
        self.check(p, u, n)
        return TensorType(self.dtype, p.type.shape)

    def reference(self, p: np.ndarray, u: np.ndarray, n: np.ndarray) -> np.ndarray:
        out = np.zeros(p.shape, self.dtype)
        edges = np.cumsum(p, axis=1, dtype=p.dtype)
        for sample in u.reshape(int(n), len(p)):
            hit = edges > sample[:, None]
            rows = np.flatnonzero(hit.any(1))
            out[rows, hit.argmax(1)[rows]] += 1
        return out


@dataclass(frozen=True)
class DifferentOutcomes(_Outcomes):
    """z[i, j] = outcome j of row i, drawn by u[i + j m] from those not yet drawn; inputs p, u [m n], n."""

    name = "different_outcomes"

    def infer(self, p: Native, u: Native, n: Native) -> TensorType:
        self.check(p, u, n)
        known = static_dim(n)
        if known is not None and p.type.shape[1] is not None and known > p.type.shape[1]:
            raise op_error(self, (p, u, n), f"{known} different outcomes of {p.type.shape[1]}")
        return TensorType(self.dtype, (p.type.shape[0], known))

    def shape_operands(self, n_inputs: int) -> Sequence[int]:
        return [2]

    def reference(self, p: np.ndarray, u: np.ndarray, n: np.ndarray) -> np.ndarray:
        left = p / p.sum(axis=1, keepdims=True)
        out = np.zeros((len(p), int(n)), self.dtype)
        for j, sample in enumerate(u.reshape(int(n), len(p))):
            hit = np.cumsum(left, axis=1, dtype=p.dtype) > sample[:, None]
            k = np.where(hit.any(1), hit.argmax(1), p.shape[1] - 1)
            out[:, j] = k
            left[np.arange(len(p)), k] = 0
            with np.errstate(all="ignore"):
                left = np.nan_to_num(left / left.sum(axis=1, keepdims=True)).astype(p.dtype)
        return out


MRG_RandomStreams2 = MRG_RandomStreams
