"""Random states as variables: their values are numpy.random.RandomState objects.

In a graph a state is the vector int32[628] of symconv.ops.mt19937. random_state_type() makes an input that
takes RandomStates; a state among a function's outputs is handed out as a new RandomState. The caller's is not
changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symconv.errors import DTypeError, UnsupportedError
from symconv.graph import SharedVariable as NativeShared
from symconv.graph import TensorType as NativeType
from symconv.graph import Variable as Native
from symconv.ops.mt19937 import STATE_SIZE, MersenneDraw, pack_state, unpack_state
from symconv.theano.sharedvar import TensorSharedVariable
from symconv.theano.stand_in import StandInType
from symconv.theano.twin import Twin
from symconv.theano.variable import TensorType, TensorVariable


class RandomStateType(StandInType):
    """The type of random states. Calling it makes an input."""

    vector = NativeType("int32", (STATE_SIZE,))

    def wrap(self, native: Native) -> Any:
        return state_variable(native)

    def filter(self, data: Any, strict: bool = False, allow_downcast: bool | None = None) -> np.ndarray:
        """The vector that stands for a RandomState in a graph. Raises DTypeError."""
        if not isinstance(data, np.random.RandomState):
            raise DTypeError(f"a random state takes a numpy.random.RandomState, got {type(data).__name__}")
        return pack_state(data)

    @staticmethod
    def values_eq(a: Any, b: Any, force_same_dtype: bool = True) -> bool:
        """Whether two RandomStates will draw the same."""
        return bool(np.array_equal(pack_state(a), pack_state(b)))

    @staticmethod
    def values_eq_approx(a: Any, b: Any, *_: Any, **__: Any) -> bool:
        """values_eq."""
        return RandomStateType.values_eq(a, b)

    def shared(self, value: Any, name: str | None) -> RandomStateSharedVariable:
        """A shared variable that holds a RandomState: a state of this type that lasts."""
        return random_state_shared(value, name)

    def __repr__(self) -> str:
        return "RandomStateType"


random_state_type = RandomStateType()


class RandomStateVariable(TensorVariable):
    """A symbolic random state."""

    @property
    def type(self) -> TensorType:
        return random_state_type

    def __reduce__(self) -> Any:
        return state_variable, (self.native,), self._kept()


def state_variable(native: Native) -> Any:
    """The Theano variable that stands for a native state."""
    if not isinstance(getattr(native, "front", None), (RandomStateVariable, RandomStateSharedVariable)):
        native.front = RandomStateVariable(native)
    return native.front  # type: ignore[attr-defined]


def is_state(native: Native) -> bool:
    """Whether a native variable is a random state, also where a rebuilt graph has forgotten its front."""
    node = native.owner
    if node is None:
        front = getattr(native, "front", None)
        return isinstance(front, (RandomStateVariable, RandomStateSharedVariable))
    drawn = isinstance(node.op, MersenneDraw) or getattr(getattr(node.op, "front", None), "draws", False)
    return bool(drawn) and native is node.outputs[0]


class LentState(np.random.RandomState):
    """The state of a shared variable as a RandomState that a program holds: drawing from it, or seeding it,
    changes what functions draw next, and their draws are seen by it.

    The state is the variable's vector, whose mirror this is; every method brings both together first.
    """

    def __init__(self, native: NativeShared) -> None:
        super().__init__(0)
        self._native = native
        self._seen = packed = native.get_value(borrow=True).copy()  # when both were last the same
        super().set_state(unpack_state(packed).get_state())
        native.mirror = self

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name not in ("fetch", "forget"):
            self._meet()
        return super().__getattribute__(name)

    def fetch(self, into: np.ndarray) -> None:
        """What was drawn from the RandomState, or its new seed, goes into the vector."""
        now = self._packed()
        if not np.array_equal(now, self._seen):
            into[...] = self._seen = now

    def forget(self) -> None:
        """The vector gets a new value, which counts whatever the RandomState is."""
        self._seen = self._packed()

    def _meet(self) -> None:
        if self._native.mirror is not self:
            return
        packed = self._native.get_value(borrow=True)
        if not np.array_equal(packed, self._seen):
            self._seen = packed.copy()
            super().set_state(unpack_state(packed).get_state())

    def _packed(self) -> np.ndarray:
        plain = np.random.RandomState(0)
        plain.set_state(super().get_state())
        return pack_state(plain)


class RandomStateSharedVariable(TensorSharedVariable):
    """A shared variable whose value is a numpy.random.RandomState.

    get_value gives a new RandomState in this state. With borrow=True it gives always the same one: drawing
    from it, or seeding it, changes the state. A state that is on a GPU is not lent: set_value hands it back.
    """

    @property
    def type(self) -> TensorType:
        return random_state_type

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        native = self._holder.native
        if borrow and native.mirror is None:
            LentState(native)
        lent = borrow and isinstance(native.mirror, LentState)
        return native.mirror if lent else unpack_state(native.get_value(borrow=True))

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Go on from a RandomState, of which a copy is taken."""
        self.native.set_value(random_state_type.filter(new_value))

    def zero(self, borrow: bool = False) -> None:
        raise UnsupportedError("a random state has no zero\n  hint: set_value(RandomState(seed))")

    def _twin(self, native: Twin) -> RandomStateSharedVariable:
        made = RandomStateSharedVariable(native)
        native.front = made
        return made

    def __reduce__(self) -> Any:
        return _restored, (self.native,), self._kept()


def random_state_shared(value: np.random.RandomState, name: str | None = None) -> RandomStateSharedVariable:
    """A shared variable that holds a RandomState."""
    native = NativeShared(random_state_type.filter(value), RandomStateType.vector, name)
    made = RandomStateSharedVariable(native)
    native.front = made
    return made


def _restored(native: NativeShared) -> RandomStateSharedVariable:
    if not isinstance(getattr(native, "front", None), RandomStateSharedVariable):
        native.front = RandomStateSharedVariable(native)
    return native.front  # type: ignore[no-any-return]
