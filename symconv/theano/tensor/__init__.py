"""theano.tensor."""

from __future__ import annotations

import difflib
from typing import Any

from symconv.theano import operators as operators
from symconv.theano.elsewhere import elsewhere
from symconv.theano.gradient import Lop as Lop
from symconv.theano.gradient import Rop as Rop
from symconv.theano.gradient import grad as grad
from symconv.theano.gradient import hessian as hessian
from symconv.theano.gradient import jacobian as jacobian
from symconv.theano.gradient import verify_grad as verify_grad
from symconv.theano.sharedvar import TensorSharedVariable as TensorSharedVariable
from symconv.theano.sharedvar import shared as shared
from symconv.theano.tensor import basic as basic
from symconv.theano.tensor import elementwise as elementwise
from symconv.theano.tensor import elemwise as elemwise
from symconv.theano.tensor import extra_ops as extra_ops
from symconv.theano.tensor import inplace as inplace
from symconv.theano.tensor import nlinalg as nlinalg
from symconv.theano.tensor import nnet as nnet
from symconv.theano.tensor import opt as opt
from symconv.theano.tensor import randomstreams as randomstreams
from symconv.theano.tensor import raw_random as raw_random
from symconv.theano.tensor import shared_randomstreams as shared_randomstreams
from symconv.theano.tensor import sharedvar as sharedvar
from symconv.theano.tensor import signal as signal
from symconv.theano.tensor import slinalg as slinalg
from symconv.theano.tensor import subtensor as subtensor
from symconv.theano.tensor import xlogx as xlogx
from symconv.theano.tensor.basic import *  # noqa: F403
from symconv.theano.tensor.basic import NoneConst as NoneConst
from symconv.theano.tensor.basic import TensorConstant as TensorConstant
from symconv.theano.tensor.basic import TensorType as TensorType
from symconv.theano.tensor.basic import TensorVariable as TensorVariable
from symconv.theano.tensor.basic import as_tensor_variable as as_tensor_variable
from symconv.theano.tensor.basic import constant as constant
from symconv.theano.tensor.elemwise import CAReduce as CAReduce
from symconv.theano.tensor.elemwise import DimShuffle as DimShuffle
from symconv.theano.tensor.elemwise import Elemwise as Elemwise

_shared = shared


def __getattr__(name: str) -> Any:
    """Submodules not imported yet. Raises AttributeError that says what there is instead."""
    import importlib

    if name.startswith("_"):
        raise AttributeError(name)
    found = elsewhere("tensor", name)
    if found is not None:
        globals()[name] = found  # hashtype is called while the interpreter ends, when nothing can be imported
        return found
    full = f"{__name__}.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
    near = difflib.get_close_matches(name, [n for n in globals() if not n.startswith("_")], 3)
    advice = (
        f"did you mean {', '.join('T.' + n for n in near)}?"
        if near
        else "docs/theano.md lists what is covered; a custom Op (theano.gof.Op) runs NumPy or SciPy in a "
        "graph"
    )
    raise AttributeError(f"theano.tensor.{name} is not supported by symconv.theano\n  hint: {advice}")
