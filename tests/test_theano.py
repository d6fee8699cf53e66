"""symconv.theano: imports, variables, dtype rules, functions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors


@pytest.fixture(autouse=True)
def float_x():
    before = theano.config.floatX
    yield
    theano.config.floatX = before


@pytest.mark.parametrize(
    "build, dtype",
    [
        (lambda: T.fmatrix() + T.wmatrix(), "float32"),
        (lambda: T.fmatrix() + T.imatrix(), "float64"),
        (lambda: T.fmatrix() * T.lscalar(), "float64"),
        (lambda: T.bvector() + T.wvector(), "int16"),
        (lambda: T.fmatrix() * 2, "float32"),
        (lambda: T.fmatrix() * 0.1, "float64"),  # floatX is float64, and float32 does not hold 0.1
        (lambda: T.fmatrix() * 0.5, "float32"),
        (lambda: T.bvector() + 1, "int8"),
        (lambda: T.bvector() + 1000, "int16"),
        (lambda: T.ivector() / T.ivector(), "float64"),
        (lambda: T.ivector() // 2, "int32"),
        (lambda: T.exp(T.ivector()), "float64"),
        (lambda: T.exp(T.wvector()), "float32"),
        (lambda: T.eq(T.ivector(), 1), "bool"),
        (lambda: 1 - T.eq(T.ivector(), 1), "int8"),
        (lambda: T.mean(T.eq(T.ivector(), 1)), "float64"),
        (lambda: T.mean(T.fvector()), "float32"),
        (lambda: T.mean(T.ivector()), "float64"),
        (lambda: T.sum(T.ivector()), "int64"),
        (lambda: T.argmax(T.fvector()), "int64"),
        (lambda: T.dot(T.fmatrix(), T.dmatrix()), "float64"),
        (lambda: T.fvector() * np.float64(2), "float64"),
    ],
)
def test_dtypes_follow_theano(build, dtype):
    assert build().dtype == dtype


def test_floats_under_float32():
    theano.config.floatX = "float32"
    assert T.matrix().dtype == "float32"
    assert (T.fmatrix() * 0.1).dtype == "float32"
    assert (T.ivector() / T.ivector()).dtype == "float32"


def test_a_runtime_one_does_not_stretch():
    x, y = T.matrix("x"), T.matrix("y")
    f = theano.function([x, y], x + y)
    np.testing.assert_array_equal(f(np.ones((1, 1)), np.ones((1, 1))), [[2]])
    with pytest.raises(errors.ShapeError, match="addbroadcast"):
        f(np.ones((1, 3)), np.ones((2, 3)))
    g = theano.function([x, y], T.addbroadcast(x, 0) + y)
    np.testing.assert_array_equal(g(np.ones((1, 3)), np.ones((2, 3))), np.full((2, 3), 2.0))
    with pytest.raises(errors.ShapeError, match="addbroadcast"):
        g(np.ones((2, 3)), np.ones((2, 3)))


def test_identity_and_truth():
    x, y = T.scalars("x", "y")
    assert x == x and x != y and len({x, y}) == 2 and bool(x + y)
    with pytest.raises(TypeError, match="switch"):
        bool(x > y)


def test_updates_see_old_values_and_must_fit():
    w = theano.shared(np.float32([1, 2]), name="w")
    f = theano.function([], w.sum(), updates=[(w, w + 1)])
    assert f() == 3 and f() == 5
    with pytest.raises(errors.DTypeError, match="float32, vector.*\n.*float64, vector"):
        theano.function([], updates=[(w, w * T.ones((2,), "float64"))])


def test_program_with_import_theano(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nimport theano\nimport theano.tensor as T\nfrom theano import theano as again\n"
        "from theano import function, shared\nassert again is theano\n"
        "x = T.dmatrix('x')\nprint(theano.function([x], (x ** 2).sum())([[1, 2], [3, 4]]), sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "symconv.theano", str(program), "a", "b"], capture_output=True, text=True
    )
    assert done.stdout == "30.0 ['a', 'b']\n", done.stderr


IMPORTS = """
import theano, theano.tensor as T
from theano import config, function, shared, tensor, gradient, printing, compile, sandbox
from theano import Param, In, Out, Mode, OrderedUpdates, Variable, grad, Rop, Lop
from theano.tensor import nnet, TensorType, basic, extra_ops, nlinalg, opt, signal, tanh, subtensor
from theano.tensor.basic import as_tensor_variable
from theano.tensor.nnet import conv, conv2d, softmax, sigmoid, bn, abstract_conv
from theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_inputs, get_conv_output_shape
from theano.tensor.nnet.bn import batch_normalization
from theano.tensor.nnet.conv import conv2d
from theano.tensor.nnet.nnet import categorical_crossentropy
from theano.tensor.nnet.sigm import hard_sigmoid
from theano.tensor.signal import downsample, pool
from theano.tensor.signal.downsample import max_pool_2d
from theano.tensor.signal.pool import pool_2d
from theano.tensor.sharedvar import TensorSharedVariable
from theano.tensor.var import TensorVariable, TensorConstant
from theano.compile import SharedVariable
from theano.compile.sharedvalue import SharedVariable
from theano.compile.pfunc import pfunc
from theano.compile.nanguardmode import NanGuardMode
from theano.compat import OrderedDict, izip
from theano.compat.python2x import OrderedDict
from theano.configparser import change_flags
from theano.gradient import DisconnectedInputError, disconnected_grad, verify_grad
from theano.misc.pkl_utils import dump, load
from theano.printing import Print, debugprint, pp, pydotprint
from theano.tests import unittest_tools
from theano.updates import OrderedUpdates
import theano.scalar
"""


def test_imports_of_programs(tmp_path):
    program = tmp_path / "imports.py"
    program.write_text(
        IMPORTS
        + "import sys, symconv.theano.tensor.nnet as again\n"
        + "assert T.nnet is again is sys.modules['theano.tensor.nnet']\n"
        + "assert again.__spec__.name == 'symconv.theano.tensor.nnet'\n"
        + "for name in ('theano.sandbox.cuda.blas', 'theano.nothing'):\n"
        + "    try: __import__(name)\n    except ImportError as error: assert 'hint' in str(error), error\n"
        + "    else: raise AssertionError(name)\n"
        + "import io, numpy as np\na = theano.shared(np.ones(2))\n"
        + "f = io.BytesIO(); dump(a, f); f.seek(0); assert load(f).get_value().sum() == 2\n"
        + "unittest_tools.verify_grad(T.tanh, [np.ones((2, 2))]); print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "symconv.theano", str(program)], capture_output=True, text=True
    )
    assert done.stdout == "done\n", done.stderr
