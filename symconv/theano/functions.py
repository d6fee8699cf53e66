"""theano.function: Theano's arguments and checks over the native compiler."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symconv.errors import DTypeError, ShapeError
from symconv.function import function as native_function
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import Variable as Native
from symconv.graph.traversal import leaves, rebuild
from symconv.ops.mt19937 import unpack_state
from symconv.theano.arguments import (
    check_leaves,
    check_names,
    check_unused,
    checked_updates,
    default_updates,
    flatten,
    pairs_of,
    replacements,
)
from symconv.theano.cloning import remade
from symconv.theano.configuration import config
from symconv.theano.inputs import (
    In,
    InputContainer,
    InputError,
    Out,
    Param,
    SymbolicInput,
    SymbolicOutput,
    UnusedInputError,
    as_input,
)
from symconv.theano.modes import Mode, get_mode
from symconv.theano.null_gradient import check as check_gradients
from symconv.theano.overwriting import overwrites, write_over
from symconv.theano.random_state import RandomStateType, is_state
from symconv.theano.tensor.monotone import as_written
from symconv.theano.twin import joined
from symconv.theano.variable import TensorType, Variable, native_of

_INT64 = np.dtype("int64")


def function(
    inputs: Sequence[Any] = (),
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
    output_keys: Any = None,
) -> Function:
    """Compile `outputs` and `updates` into a callable of `inputs`.

    outputs: a variable (the call returns an array), a list (a list), a dict (a dict), None ([]). updates:
    pairs or a dictionary {shared: new value}; the types must be equal. givens: replacements made first;
    keys that the graph does not use are ignored; without rebuild_strict a replacement is cast to the dtype of
    what it replaces, and may have another rank. profile: True, or a ProfileStats, for f.profile.summary().
    accept_inplace: operations of T.inplace write over the arguments that are their first operands, as with
    In(x, mutable=True). Raises GraphError, DTypeError, ShapeError.
    """
    if isinstance(inputs, (Variable, In)) or not isinstance(inputs, (list, tuple)):
        raise InputError(
            f"function: inputs must be a list or tuple, got {type(inputs).__name__}\n  hint: function([x], y)"
        )
    ins = [as_input(i) for i in inputs]
    single, keys, flat = flatten(outputs)
    pairs = pairs_of(updates, "updates")
    replace = replacements(pairs_of(givens, "givens"), ins, rebuild_strict)
    for k, i in enumerate(ins):
        if any(i.variable is j.variable for j in ins[:k]):
            raise UnusedInputError(
                f"function: the input {i.variable!r} is given twice\n  hint: an input stands for one argument"
            )
    changed = checked_updates([*pairs, *((i.state, i.update) for i in ins if i.state is not None)])
    replace |= {i.variable.native: i.state.native for i in ins if i.state is not None}
    natives = [native_of(v) for v in flat]
    roots = as_written(
        [*natives, *(new for _, new in changed)], [*replace, *(i.variable.native for i in ins)]
    )
    natives, changed = roots[: len(natives)], [(s, v) for (s, _), v in zip(changed, roots[len(natives) :])]
    if isinstance(no_default_updates, (list, tuple)):
        kept = {v.native for v in no_default_updates}
        drop_all = False
    else:
        if not isinstance(no_default_updates, (bool, int, np.bool_)):
            raise InputError(
                f"function: no_default_updates must be a bool or a list of shared variables, got "
                f"{no_default_updates!r}"
            )
        kept, drop_all = set(), bool(no_default_updates)
    if not drop_all:
        given = [i.variable.native for i in ins]
        changed += default_updates(roots, changed, kept, replace, given)
    roots = (rebuild if rebuild_strict else remade)([*natives, *(new for _, new in changed)], replace)
    check_gradients(roots)
    news = roots[len(natives) :]
    natives, changed = joined(roots[: len(natives)], [(s, new) for (s, _), new in zip(changed, news)])
    given = [i for i in ins if i.state is None]
    roots = [*natives, *(new for _, new in changed)]
    check_unused([i.variable.native for i in given], roots, on_unused_input or config.on_unused_input)
    check_leaves(roots, [i.variable.native for i in given], name)
    over = overwrites(
        natives, {i.variable.native: k for k, i in enumerate(given) if accept_inplace or i.mutable}
    )
    made = Function(
        ins, [*natives, *over.values()], single, keys, changed, name, get_mode(mode), allow_input_downcast,
        tuple(over),
    )  # fmt: skip
    made.watch(profile)
    return made


class Containers:
    """The containers of a function's inputs, by variable, name or place."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def __getitem__(self, key: Any) -> InputContainer:
        return InputContainer(self._function._input(key))

    def __contains__(self, key: Any) -> bool:
        return key in self._function


class Function:
    """A compiled function."""

    def __init__(
        self,
        ins: list[In],
        outputs: list[Native],
        single: bool,
        keys: list[str] | None,
        updates: list[tuple[NativeShared, Native]],
        name: str | None,
        mode: Mode,
        downcast: bool | None,
        over: tuple[int, ...] = (),
    ) -> None:
        """over: the arguments that the last outputs, one for each, are written over."""
        self._over = over
        self.name = name
        self.mode = mode
        self._made_of = outputs, updates
        self._ins = ins
        self._given = [i for i in ins if i.state is None]  # what the native function takes
        self._single = single
        self._keys = keys
        self._downcast = downcast
        self._types = [i.variable.type for i in ins]
        # (dtype, rank) of arrays that need no conversion; what is no tensor, or has a fixed 1, is checked
        checked = [True in t.broadcastable or type(t) is not TensorType for t in self._types]
        self._plain = [(t.numpy_dtype, -1 if c else t.ndim) for t, c in zip(self._types, checked)]
        self._states = [k for k, v in enumerate(outputs[: len(outputs) - len(over)]) if is_state(v)]
        self.trust_input = False
        self.profile: Any = None  # a ProfileStats, once somebody asks for one
        stand_ins, outputs, news = self._inputs_of(outputs, [new for _, new in updates])
        self.native = native_function(
            stand_ins, outputs, [(s, new) for (s, _), new in zip(updates, news)], name=name,
            on_unused_input="ignore", no_default_updates=True, mode=mode.native,
        )  # fmt: skip

    def _inputs_of(
        self, outputs: list[Native], news: list[Native]
    ) -> tuple[list[Native], list[Native], list[Native]]:
        """Inputs may be any variable of the graph: one in its middle is replaced by a fresh leaf."""
        used = set(leaves([*outputs, *news], stop=[i.variable.native for i in self._given]))
        self._unused = {
            k for k, i in enumerate(self._ins) if i.state is None and i.variable.native not in used
        }
        stand_ins, replace = [], {}
        for i in self._given:
            v = i.variable.native
            if v.owner is not None:
                fresh = replace[v] = Native(v.type, name=v.name)
                stand_ins.append(fresh)
            else:
                stand_ins.append(v)
        if replace:
            roots = rebuild([*outputs, *news], replace)
            outputs, news = roots[: len(outputs)], roots[len(outputs) :]
        return stand_ins, outputs, news

    def __call__(self, *args: Any, output_subset: Sequence[Any] | None = None, **kwargs: Any) -> Any:
        own = [*args, *kwargs.values()] if self._over else ()
        plain = self.trust_input and not kwargs and len(self._given) == len(self._ins)
        values = args if plain else self._bind(args, kwargs)
        outputs = self.mode.run(self.native, values)
        if self._over:
            kept = len(outputs) - len(self._over)
            write_over(values, self._over, outputs[kept:], own)
            outputs = outputs[:kept]
        for k in self._states:
            outputs[k] = unpack_state(outputs[k])  # type: ignore[call-overload]
        if self._single and output_subset is None:
            return outputs[0]
        chosen = range(len(outputs)) if output_subset is None else output_subset
        if self._keys is not None:
            return {self._keys[i]: outputs[i] for i in chosen}
        return outputs if output_subset is None else [outputs[i] for i in chosen]

    def _bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[np.ndarray]:
        if not kwargs and len(args) == len(self._given) == len(self._ins):
            return [self._filtered(k, v) for k, v in enumerate(args)]
        if len(args) > len(self._ins):
            raise InputError(f"{self!r} takes {len(self._ins)} arguments, got {len(args)}")
        check_names(repr(self), self._ins, kwargs, len(args))
        values: list[Any] = list(args)
        for i in self._ins[len(args) :]:
            if i.name is not None and i.name in kwargs:
                values.append(kwargs.pop(i.name))
            elif i.state is not None and not i.required:
                values.append(None)  # it stays as it is
            elif i.value is not None:
                values.append(i.held())
            else:
                raise InputError(f"{self!r}: no value for the argument {i.name or i.variable!r}")
        arrays = [
            None if v is None and i.state else self._filtered(k, v)
            for k, (i, v) in enumerate(zip(self._ins, values))
        ]
        for i, array in zip(self._ins, arrays):
            if i.state is not None and array is not None:
                i.state.native.set_value(array)
        return [a for i, a in zip(self._ins, arrays) if i.state is None]  # type: ignore[misc]

    def _input(self, key: Any) -> In:
        """The input that is, has the name, or stands at the place `key`."""
        if isinstance(key, int) and -len(self._ins) <= key < len(self._ins):
            return self._ins[key]
        for i in self._ins:
            if i.variable is key or (isinstance(key, str) and i.name == key):
                return i
        raise KeyError(f"{self!r} has no input {key!r}")

    def __getitem__(self, key: Any) -> Any:
        """The state of an input with an update, or another's default; key: the variable or its name."""
        i = self._input(key)
        if i.state is None and i.value is None:
            raise KeyError(f"{self!r}: the input {key!r} keeps no value")
        return i.held()

    def __setitem__(self, key: Any, value: Any) -> None:
        i = self._input(key)
        if i.state is not None:
            i.state.set_value(value)
        else:
            i.value = value

    def __contains__(self, key: Any) -> bool:
        return any(i.variable is key or (isinstance(key, str) and i.name == key) for i in self._ins)

    @property
    def value(self) -> Function:
        """f.value[name] is f[name]."""
        return self

    @property
    def container(self) -> Containers:
        """f.container[name]: what keeps f[name]; In(x, value=f.container[name]) shares it."""
        return Containers(self)

    def __copy__(self) -> Function:
        return self.copy()

    def _filtered(self, k: int, value: Any) -> np.ndarray:
        dtype, ndim = self._plain[k]
        if type(value) is np.ndarray and value.dtype == dtype and value.ndim == ndim:
            return value
        if type(value) is int and ndim == 0 and dtype == _INT64 and -(2**63) <= value < 2**63:
            if not self._ins[k].strict:
                return np.asarray(value, dtype)  # the number of a mini-batch, in most programs
        kind, given = self._types[k], self._ins[k]
        if value is None and k in self._unused and not isinstance(kind, RandomStateType):
            return kind.value_zeros((1,) * kind.ndim)  # nobody looks at it
        allow = self._downcast if given.allow_downcast is None else given.allow_downcast
        try:
            array: np.ndarray = kind.filter(value, given.strict, allow)
        except (DTypeError, ShapeError) as error:
            v = given.variable
            raise type(error)(
                f"argument {k} ({given.name or v!r}, from {v.native.origin}) of {self!r}: {error}"
            ) from None
        return array

    def __repr__(self) -> str:
        names = ", ".join(str(i.name or i.variable) for i in self._ins)
        return f"<theano function {self.name or ''}({names})>"

    def __reduce__(self) -> Any:
        """The graph, with the values of its shared variables; plans are made again."""
        outputs, updates = self._made_of
        arguments = (
            self._ins,
            outputs,
            self._single,
            self._keys,
            updates,
            self.name,
            self.mode,
            self._downcast,
        )
        return Function, (*arguments, self._over), {"trust_input": self.trust_input}

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        """As of pickling; copies of variables that `memo` holds already are used."""
        for v in [*(i.variable for i in self._ins), *self.get_shared()]:
            if id(v) in memo:
                memo[id(v.native)] = memo[id(v)].native
        make, arguments, state = self.__reduce__()
        made: Function = make(*copy.deepcopy(arguments, memo))
        vars(made).update(state)
        return made

    def explain(self, **kwargs: Any) -> str:
        """The plans made so far: kernels, memory, rewrites (see symconv.Function.explain)."""
        return self.native.explain(**kwargs)

    def watch(self, profile: Any) -> None:
        """Time the calls as function(profile=...) says."""
        if profile is not False and (profile or config.profile):
            from symconv.theano.compile.profiling import stats_of

            self.profile = stats_of(profile, self.name)
            if self.profile is not None:
                self.profile.add(self.native)

    def get_shared(self) -> list[Any]:
        """The shared variables that the function reads or updates."""
        from symconv.theano.variable import wrap

        roots = [*self.native.outputs, *(v for _, v in self.native.updates)]
        found = [v for v in leaves(roots) if isinstance(v, NativeShared)]
        found += [s for s, _ in self.native.updates if s not in found]
        return [wrap(v) for v in found]

    @property
    def fn(self) -> Any:
        """f.fn(n_calls=k): k calls of a function that needs no arguments."""
        from symconv.theano.maker import Runner

        return Runner(self)

    @property
    def maker(self) -> Any:
        """maker.fgraph: the expression as it was written (symconv rewrites it at the first call)."""
        from symconv.theano.maker import Maker

        return Maker(self)

    def copy(
        self, share_memory: bool = False, swap: Mapping[Any, Any] | None = None, delete_updates: bool = False,
        name: str | None = None, profile: Any = None,
    ) -> Function:  # fmt: skip
        """The same function, with shared variables exchanged for others, or without its updates.

        As in Theano it gives a list also where the first one gives a single array.
        """
        exchange = {a.native: b.native for a, b in (swap or {}).items()}
        ins = self._ins if share_memory else [i.copied() for i in self._ins]
        exchange |= {a.state.native: b.state.native for a, b in zip(self._ins, ins) if a.state and b.state}
        updates = [] if delete_updates else self.native.updates
        roots = rebuild([*self.native.outputs, *(v for _, v in updates)], exchange)
        n = len(self.native.outputs)
        new = [(exchange.get(s, s), v) for (s, _), v in zip(updates, roots[n:])]
        made = Function(
            ins, roots[:n], False, self._keys, new, name or self.name, self.mode,  # type: ignore[arg-type]
            self._downcast, self._over,
        )  # fmt: skip
        made.watch(profile)
        return made

    def free(self) -> None:
        """Forget the plans."""
        self.native.forget_plans()


__all__ = [
    "Function",
    "In",
    "Out",
    "Param",
    "SymbolicInput",
    "SymbolicOutput",
    "function",
]
