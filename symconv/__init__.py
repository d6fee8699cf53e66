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
from symconv.extend import (
    as_op,
    cpu_kernel,
    cuda_kernel,
    launch,
    register_kernel,
    unregister_kernel,
    use_kernel,
)
from symconv.function import Function, In, function
from symconv.gradcheck import verify_grad
from symconv.graph import Op, SharedVariable, TensorType, Variable, blocks, constant, op_error
from symconv.graph.kernel import Slower
from symconv.graph.printing import debugprint
from symconv.jacobian import hessian, jacobian
from symconv.loops import scan, until
from symconv.ops import *  # noqa: F403
from symconv.ops.leaf import CONSTRUCTORS, shared, tensor
from symconv.ops.operands import as_variable
from symconv.rewrite.pattern import LocalRule, Rule
from symconv.rewrite.registered import register_rule, unregister_rule, use_rule
from symconv.see.equations import explain
from symconv.workbench.tune import tune

__version__ = "0.1.0"

globals().update(CONSTRUCTORS)

__all__ = [
    "DebugMode",
    "Function",
    "In",
    "LocalRule",
    "Lop",
    "NanGuardMode",
    "Op",
    "Rop",
    "Rule",
    "SharedVariable",
    "Slower",
    "TensorType",
    "Variable",
    "as_op",
    "as_variable",
    "blocks",
    "config",
    "constant",
    "cpu_kernel",
    "cuda_kernel",
    "datasets",
    "debug",
    "debugprint",
    "errors",
    "explain",
    "function",
    "grad",
    "hessian",
    "jacobian",
    "launch",
    "nn",
    "op_error",
    "register_kernel",
    "register_rule",
    "scan",
    "shared",
    "tensor",
    "tune",
    "unregister_kernel",
    "unregister_rule",
    "until",
    "use_kernel",
    "use_rule",
    "verify_grad",
    "viz",
    *CONSTRUCTORS,
    *ops.__all__,
]
