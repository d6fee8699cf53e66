"""theano.tensor.basic: all functions on tensors under one name."""

from typing import Any

from symconv.theano import scalar as scal  # noqa: F401
from symconv.theano.dtypes import COMPLEX, DISCRETE, FLOATS, INEXACT, INTEGERS, INTS, UINTS
from symconv.theano.tensor.closeness import _allclose, _get_atol_rtol  # noqa: F401
from symconv.theano.tensor.complex_numbers import *  # noqa: F403
from symconv.theano.tensor.counting import *  # noqa: F403
from symconv.theano.tensor.elementwise import *  # noqa: F403
from symconv.theano.tensor.elementwise import and_, invert, or_, tensor_copy, xor  # noqa: F401
from symconv.theano.tensor.joining import *  # noqa: F403
from symconv.theano.tensor.known import *  # noqa: F403
from symconv.theano.tensor.linear import *  # noqa: F403
from symconv.theano.tensor.op_classes import *  # noqa: F403
from symconv.theano.tensor.permutations import *  # noqa: F403
from symconv.theano.tensor.reductions import *  # noqa: F403
from symconv.theano.tensor.shape_ops import *  # noqa: F403
from symconv.theano.tensor.sort import *  # noqa: F403
from symconv.theano.tensor.special import *  # noqa: F403
from symconv.theano.tensor.subtensor import (  # noqa: F401
    AdvancedIncSubtensor,
    AdvancedIncSubtensor1,
    AdvancedSubtensor,
    AdvancedSubtensor1,
    IncSubtensor,
    Subtensor,
    advanced_inc_subtensor,
    advanced_inc_subtensor1,
    choose,
    compress,
    flatnonzero,
    inc_subtensor,
    nonzero,
    nonzero_values,
    set_subtensor,
    take,
)
from symconv.theano.tensor.type import *  # noqa: F403
from symconv.theano.tensor.type_other import NoneConst  # noqa: F401
from symconv.theano.variable import (  # noqa: F401
    TensorConstant,
    TensorType,
    TensorVariable,
    Variable,
    as_tensor_variable,
    constant,
)
from symconv.theano.variable import TensorOperators as _tensor_py_operators  # noqa: F401

as_tensor = as_tensor_variable
Tensor = TensorType
int_dtypes, uint_dtypes, float_dtypes, complex_dtypes = INTS, UINTS, FLOATS, COMPLEX
integer_dtypes, discrete_dtypes, continuous_dtypes = INTEGERS, DISCRETE, INEXACT
all_dtypes = discrete_dtypes + continuous_dtypes


def __getattr__(name: str) -> Any:
    """DimShuffle, whose module builds on this one."""
    if name != "DimShuffle":
        raise AttributeError(f"theano.tensor.basic.{name} is not supported by symconv.theano")
    from symconv.theano.tensor.elemwise import DimShuffle

    return DimShuffle
