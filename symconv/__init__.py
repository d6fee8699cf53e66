"""symconv: a symbolic graph compiler for convolutional networks.

import symconv as sc
x = sc.matrix("x"); w = sc.shared(np.zeros((784, 10), "float32"), name="w")
cost = ...                              # an expression of conv2d, max_pool2d, dot, softmax, ...
step = sc.function([x], cost, updates=[(w, w - 0.1 * sc.grad(cost, w))])
"""

from symconv import datasets as datasets
from symconv import debug as debug
from symconv import errors as errors
from symconv import nn as nn
from symconv import ops as ops
from symconv import viz as viz
from symconv.autodiff import Lop, Rop, grad
from symconv.config import config
from symconv.debug import DebugMode, NanGuardMode
from symconv.function import Function, In, function
from symconv.graph import SharedVariable, TensorType, Variable, constant
from symconv.graph.printing import debugprint
from symconv.jacobian import hessian, jacobian
from symconv.ops import *  # noqa: F403
from symconv.ops.leaf import CONSTRUCTORS, shared, tensor
from symconv.ops.operands import as_variable

__version__ = "0.1.0"

globals().update(CONSTRUCTORS)

__all__ = [
    "DebugMode",
    "Function",
    "In",
    "Lop",
    "NanGuardMode",
    "Rop",
    "SharedVariable",
    "TensorType",
    "Variable",
    "as_variable",
    "config",
    "constant",
    "datasets",
    "debug",
    "debugprint",
    "errors",
    "function",
    "grad",
    "hessian",
    "jacobian",
    "nn",
    "shared",
    "tensor",
    "viz",
    *CONSTRUCTORS,
    *ops.__all__,
]
