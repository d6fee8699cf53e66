"""Names that programs and Theano's own tests import, and the smaller functions behind some of them."""

import importlib
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv import errors
from symconv.theano.tensor.nnet.neighbours import images2neibs, neibs2images
from symconv.theano.tensor.signal import pool

NAMES = """
compile: DeepCopyOp OpFromGraph Rebroadcast ViewOp debugmode function mode
compile.mode: FAST_RUN Mode get_default_mode get_mode predefined_modes
compile.function: function
compile.builders: OpFromGraph
compile.pfunc: pfunc rebuild_collect_shared
compile.debugmode: BadOptimization BadThunkOutput DebugMode InvalidValueError
d3viz: d3viz
tests.breakpoint: PdbBreakpoint
sandbox.linalg: cholesky det eigvalsh kron matrix_inverse psd solve trace
sandbox.linalg.ops: Cholesky MatrixInverse alloc_diag psd
sandbox.cuda.fftconv: conv2d_fft
tensor.nnet.blocksparse: sparse_block_dot
scan_module: scan_checkpoints
tensor.basic: _tensor_py_operators
gof: Apply FunctionGraph Op Type
gof.fg: FunctionGraph
gof.op: Op get_test_value
gof.opt: local_optimizer check_stack_trace
gof.toolbox: is_same_graph
gof.utils: MethodNotDefined
misc.safe_asarray: _asarray
raise_op: Assert
sandbox.neighbours: images2neibs
scalar: upcast Scalar
scalar.basic: float_dtypes
scalar.sharedvar: shared
scan_module.scan_op: Scan
tensor: CAReduce DimShuffle Elemwise _shared gammaln inplace xlogx
tensor.basic: as_tensor_variable
tensor.blas: _dot22 gemm gemv ger
tensor.elemwise: CAReduce DimShuffle Elemwise Prod ProdWithoutZeros
tensor.extra_ops: Unique bartlett fill_diagonal_offset
tensor.nlinalg: MatrixInverse det svd
tensor.slinalg: Cholesky solve
tensor.nnet: confusion_matrix conv3d neighbours
tensor.signal.pool: AveragePoolGrad MaxPoolGrad Pool pool_3d
tensor.subtensor: AdvancedIncSubtensor1 IncSubtensor Subtensor advanced_inc_subtensor1 inc_subtensor
tests.unittest_tools: InferShapeTester attr verify_grad
version: version
""".strip().splitlines()


@pytest.mark.parametrize("line", NAMES)
def test_names_can_be_imported(line):
    module, names = line.split(": ")
    found = importlib.import_module(f"symconv.theano.{module}")
    assert all(hasattr(found, n) for n in names.split())


def test_what_is_absent_refuses_when_it_is_used():
    from symconv.theano.compile import DeepCopyOp
    from symconv.theano.gof.opt import PatternSub

    x = T.vector()
    assert not isinstance((x + 1).owner.op, DeepCopyOp) and isinstance((x + 1).owner.op, T.Elemwise)
    for use in (DeepCopyOp, lambda: PatternSub((T.add, "x"), "x")):
        with pytest.raises(
            errors.UnsupportedError, match=r"not supported, at test_theano_names.py.*\n  hint"
        ):
            use()
    for missing in (lambda: T.nnet.nothing, lambda: T.nnet.abstract_conv.nothing, lambda: T.qwertyuiop):
        with pytest.raises(AttributeError, match="custom Op"):
            missing()


def test_six_is_there_where_it_is_not_installed(tmp_path):
    program = tmp_path / "old.py"
    program.write_text(
        "import sys\nfor n in [m for m in sys.modules if m.split('.')[0] == 'six']: del sys.modules[n]\n"
        "import six, six.moves.cPickle as pickle\nfrom six.moves import xrange, urllib\n"
        "assert pickle.dumps and list(xrange(2)) == [0, 1] and urllib.parse.quote and six.PY3\n"
        "assert dict(six.iteritems({1: 2})) == {1: 2} and isinstance('a', six.string_types)\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "symconv.theano", str(program)], capture_output=True, text=True
    )
    assert done.stdout == "done\n", done.stderr


def test_patches_and_images():
    x = T.dtensor4()
    data = np.arange(96.0).reshape(2, 3, 4, 4)
    side = theano.function([x], images2neibs(x, (2, 2)))(data)
    assert side.shape == (24, 4) and side[1].tolist() == [2, 3, 6, 7]
    m = T.dmatrix()
    np.testing.assert_array_equal(neibs2images(m, (2, 2), data.shape).eval({m: side}), data)
    steps = theano.function([x], images2neibs(x, (3, 2), (1, 2)))(data)
    assert steps[2].tolist() == [4, 5, 8, 9, 12, 13]
    rest = images2neibs(x, (3, 3), mode="ignore_borders").eval({x: data})
    np.testing.assert_array_equal(rest, data[:, :, :3, :3].reshape(6, 9))
    with pytest.raises(errors.ShapeError, match="ignore_borders"):
        images2neibs(x, (3, 3)).eval({x: data})
    T.verify_grad(lambda a: images2neibs(a, (2, 2), (1, 1)), [data[:1, :1] / 96], n_tests=1)


def test_pool_as_an_op():
    x = T.dtensor4()
    data = np.random.RandomState(0).normal(size=(1, 2, 5, 5))
    op = pool.Pool(ignore_border=False, mode="sum")
    want = pool.pool_2d(x, (2, 2), False, (2, 2), mode="sum").eval({x: data})
    np.testing.assert_array_equal(op(x, (2, 2)).eval({x: data}), want)
    assert pool.Pool.out_shape((9, 8, 6), (2, 2)) == [9, 4, 3]
    assert pool.Pool.out_shape((9, 5, 5), (2, 2), ignore_border=False) == [9, 3, 3]
    assert pool.Pool.out_shape((9, 5, 5), (3, 3), True, (2, 1), (1, 0)) == [9, 3, 3]
    with pytest.raises(errors.ArgumentError, match="mode"):
        pool.Pool(mode="median")


def test_confusion_matrix():
    a, b = T.lvector(), T.lvector()
    counts, labels = theano.function([a, b], T.nnet.confusion_matrix(a, b))(
        [2, 0, 2, 2, 0, 5], [0, 0, 2, 2, 0, 2]
    )
    assert labels.tolist() == [0, 2, 5] and counts.tolist() == [[2, 0, 0], [1, 2, 0], [0, 1, 0]]


def test_special_functions():
    scipy = pytest.importorskip("scipy.special")
    x = np.array([-2.5, -0.3, 0.01, 0.2, 0.9, 3.0, 20.0, 150.0])
    for name in ("gammaln", "gamma", "psi"):
        np.testing.assert_allclose(getattr(T, name)(x).eval(), getattr(scipy, name)(x), rtol=1e-12)
    np.testing.assert_allclose(T.tri_gamma(x).eval(), scipy.polygamma(1, x), rtol=1e-12)
    y = np.array([-0.999999, -0.3, -1e-9, 0, 1e-5, 0.6, 0.9999999])
    np.testing.assert_allclose(T.erfinv(y).eval(), scipy.erfinv(y), rtol=1e-12)
    np.testing.assert_allclose(T.erfcinv(1 + y).eval(), scipy.erfcinv(1 + y), rtol=1e-12)


@pytest.mark.parametrize("name", ["gammaln", "gamma", "psi", "erfinv", "erfcinv"])
def test_gradients_of_special_functions(name):
    T.verify_grad(getattr(T, name), [np.array([0.3, 0.7])], n_tests=1)


def test_products_with_logarithms():
    x, y = T.dvector(), T.dvector()
    f = theano.function(
        [x, y], [T.xlogx.xlogx(x), T.xlogx.xlogy0(x, y), T.grad(T.xlogx.xlogy0(x, y).sum(), y)]
    )
    got = f([0.0, 0.5, 2.0], [0.0, 0.0, 3.0])
    np.testing.assert_allclose(got[0], [0, 0.5 * np.log(0.5), 2 * np.log(2)])
    np.testing.assert_allclose(got[1], [0, -np.inf, 2 * np.log(3)])
    assert got[2][0] == 0 and got[2][2] == 2 / 3


def test_blas_by_name_and_graphs_to_look_at():
    a, x, y, z = (T.dmatrix(n) for n in "axyz")
    value = np.arange(4.0).reshape(2, 2)
    got = T.blas.gemm(z, 2.0, x, y, 0.5).eval({z: value, x: value, y: value})
    np.testing.assert_allclose(got, 0.5 * value + 2 * value @ value)
    graph = theano.gof.FunctionGraph([x, y], [T.exp(T.dot(x, y))])
    assert [n.op.name for n in graph.toposort()] == ["dot", "exp"] and {x, y} < graph.variables
    assert (
        T.DimShuffle((False, False), (1, "x", 0))(a).ndim == 3 and T.inplace.exp_inplace(a).owner is not None
    )
    theano.compile.mode.register_mode("test_names_plain", theano.Mode(optimizer=None))
    assert theano.function([x], x + 1, mode="test_names_plain")(value)[0, 0] == 1
    with pytest.raises(errors.ArgumentError, match="already"):
        theano.compile.mode.register_mode("FAST_RUN", theano.Mode())
    assert theano.config.dnn.conv.algo_bwd_filter == "" and theano.version.version == theano.__version__


@pytest.mark.parametrize(
    "module", ["tensor", "tensor.nnet", "tensor.nlinalg", "tensor.signal.pool", "gradient"]
)
def test_functions_are_pickled_by_name(module):
    """Programs pickle their settings, an activation such as T.tanh among them."""
    here = importlib.import_module(f"symconv.theano.{module}")
    functions = [v for v in vars(here).values() if inspect.isfunction(v)]
    assert len(functions) > 10
    for f in functions:
        assert pickle.loads(pickle.dumps(f)) is f, f


def test_small_names():
    a, b = T.bvector(), T.bscalar()
    f = theano.function([a, b], T.ceil_intdiv(a, b))
    assert f([-7, 7, 6, 0], 3).tolist() == [-2, 3, 2, 0] and f([1], 2).dtype == "int8"
    assert T.default(None, 3).eval() == 3 and T.default(a, 3) is a and T.NoneConst is None
    assert T.basic.DimShuffle is T.DimShuffle
    assert [t.dtype for t in theano.scalar.float_types] == ["float16", "float32", "float64"]
    assert len(theano.scalar.all_types) == len(T.all_dtypes)
    assert theano.configdefaults.local_bitwidth() in (32, 64)
    assert theano.configdefaults.python_int_bitwidth() == 8 * np.dtype(int).itemsize
    x = T.dscalar()
    assert T.grad(x * theano.gradient.zero_grad_(x), x).eval({x: 3.0}) == 3


def test_canonical_slices_take_the_same_elements():
    from symconv.theano.tensor.subtensor import get_canonical_form_slice

    bounds = T.iscalars("abc")
    n = T.iscalar("n")
    form, direction = get_canonical_form_slice(slice(*bounds), n)
    f = theano.function([*bounds, n], [form.start, form.stop, form.step, direction])
    half, one = get_canonical_form_slice(slice(None, None, bounds[2]), n)
    g = theano.function([bounds[2], n], [half.start, half.stop, half.step, one])
    a = np.arange(5)
    for step in (-6, -3, -1, 1, 2, 5):
        for start in (-8, -5, -1, 0, 2, 4, 5, 8):
            for stop in (-8, -5, -1, 0, 2, 4, 5, 8):
                first, last, distance, way = f(start, stop, step, 5)
                assert first <= last and distance > 0
                assert a[first:last:distance][::way].tolist() == a[start:stop:step].tolist()
        first, last, distance, way = g(step, 5)
        assert a[first:last:distance][::way].tolist() == a[::step].tolist()
    place, way = get_canonical_form_slice(bounds[0], n)
    assert way == 1 and [int(place.eval({bounds[0]: i, n: 5})) for i in (-2, 3)] == [3, 3]


def test_values_that_are_nearly_equal():
    same, nan = T.TensorType.values_eq, np.array([1.0, np.nan])
    assert same(nan, nan.copy()) and not same(nan, np.array([np.nan, 1.0]))
    assert not same(nan, nan.astype("float32")) and same(nan, nan.astype("float32"), force_same_dtype=False)
    near = T.TensorType.values_eq_approx
    a = np.array([-np.inf, 1, np.inf, np.nan])
    assert near(a, a) and not near(a, np.array([np.inf, 1, np.inf, np.nan]))
    assert near(a, np.array([np.inf, 1, 5, np.nan]), allow_remove_inf=True)
    assert not near(a, np.array([np.inf, 1, 5, 6]), allow_remove_inf=True)
    assert near(a, np.array([-np.inf, 1, np.inf, 6]), allow_remove_nan=True) and not near(a, a[:2])


def test_sparse_can_be_imported_and_refuses():
    """A program may import theano.sparse and never make a sparse matrix."""
    sparse, x = theano.sparse, T.matrix("x")
    assert not sparse.enable_sparse and not isinstance(x.type, sparse.SparseType)
    assert not sparse.basic._is_sparse_variable(x) and sparse.as_sparse_or_tensor_variable(x) is x
    with pytest.raises(errors.UnsupportedError, match=r"theano.sparse.csr_matrix .*\n.*use dense ones"):
        sparse.csr_matrix("x")
    with pytest.raises(errors.UnsupportedError, match=r"structured_dot"):
        sparse.basic.structured_dot(x, x)


def test_a_graph_is_walked_by_get_parents():
    x, w = T.matrix("x"), theano.shared(np.ones((2, 2)), "w")
    queue, seen = [T.tanh(T.dot(x, w) + w).sum()], set()
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue.extend(node.get_parents())
    assert {"x", "w"} <= {v.name for v in seen if isinstance(v, theano.Variable)}
    assert sum(isinstance(v, theano.Apply) for v in seen) >= 4


class Observed(T.TensorVariable):
    """A variable with data of its own, as probabilistic programs derive it."""

    def __init__(self, type=None, owner=None, index=None, name=None, data=None):
        super().__init__(data.type, owner, index, name)
        self.label = "observed"
        theano.Apply(theano.compile.view_op, inputs=[data], outputs=[self])


class Free(T.TensorVariable):
    def __init__(self, type=None, owner=None, index=None, name=None, scale=1.0):
        super().__init__(type or T.dscalar, owner, index, name)
        self.scale = scale


def test_classes_derived_from_tensor_variable():
    mu = Free(T.TensorType("float64", (False,)), name="mu", scale=2.0)
    w = theano.shared(np.array([1.0, 2.0]), "w")
    x = Observed(name="x", data=w * 3)
    logp = -0.5 * T.sqr((x - mu) / mu.scale).sum()
    f = theano.function([mu], [logp, T.grad(logp, mu)])
    value, slope = f([1.0, 1.0])
    assert value == -0.5 * (1 + 6.25) and slope.tolist() == [0.5, 1.25]
    found = [v for v in theano.gof.graph.ancestors([logp]) if isinstance(v, (Free, Observed))]
    assert {v.name for v in found} >= {"mu"} and mu in found and x in found
    assert x.owner.inputs[0] is w * 3 and x.label == "observed"
    c = T.TensorConstant(T.TensorType("float64", (False,)), [1.0, 2.0], name="c")
    assert (c * 2).eval().tolist() == [2, 4] and c.name == "c" and isinstance(c, T.Constant)
    with pytest.raises(TypeError, match="made by Apply"):
        T.TensorVariable(T.dvector, owner=x.owner, index=0)


def test_rewrites_of_a_program_are_not_run_and_say_so():
    with pytest.warns(UserWarning, match="rewrite drop_log .*is not run"):

        @T.opt.register_specialize
        @theano.gof.local_optimizer([T.log])
        def drop_log(node):
            raise AssertionError("nobody calls it")

    with pytest.warns(UserWarning, match="rewrite mine .*is not run"):
        theano.compile.optdb.register("mine", drop_log, "fast_run")
    with pytest.warns(UserWarning, match="drop_log"):
        T.opt.register_canonicalize("fast_compile")(drop_log)

    class Mine(theano.gof.Optimizer):
        pass

    with pytest.raises(errors.UnsupportedError, match="register_rule"):
        Mine()
    assert theano.sparse_grad(T.matrix("m")[T.ivector("i")]).ndim == 2


def test_names_that_modules_take_from_one_another():
    assert T.Constant is theano.gof.Constant and T.grad_undefined is theano.gradient.grad_undefined
    assert isinstance((T.dscalar() + 1).owner, T.Apply) and T.gof is theano.gof
    assert theano.compile.SpecifyShape is T.SpecifyShape and issubclass(T.AsTensorError, TypeError)
    assert theano.SymbolicInput is theano.In and theano.get_scalar_constant_value(T.constant(3)) == 3
    assert T.hashtype(T.dscalar()) == theano.gof.hashtype(T.dscalar()) != T.hashtype(3)
    assert T.sharedvar.SharedVariable is theano.compile.SharedVariable
    assert theano.gof.toolbox.__name__.endswith("toolbox") and theano.gof.null_type.NullType


class Clipped(theano.compile.ViewOp):
    """The clipped gradient, as programs had it before there was grad_clip."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def grad(self, inputs, output_gradients):
        return [T.clip(g, self.low, self.high) for g in output_gradients]


def test_a_view_op_with_a_gradient_of_its_own():
    clip = Clipped(-1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        T.opt.register_canonicalize(theano.gof.OpRemove(clip), name="grad_clip_1")
    x = T.dvector("x")
    y = clip(x) ** 2
    f = theano.function([x], [y, T.grad(y.sum(), x), theano.gradient.jacobian(y, x)])
    value, slope, full = f([0.25, -3.0])
    assert value.tolist() == [0.0625, 9] and slope.tolist() == [0.5, -1]
    assert full.tolist() == [[0.5, 0], [0, -1]]
    rows, _ = theano.scan(lambda row, s: clip(s * row), x, np.float64(1), n_steps=2)
    assert T.grad(10 * rows[-1], x).eval({x: [2.0, 3.0]}).tolist() == [1, 2]
    assert theano.compile.view_op(x).eval({x: [1.0]}).tolist() == [1]


class Kernel:
    """An operand of the program's own, which knows how to meet tensors."""

    def __radd__(self, other):
        return ("added", other)

    def __rmul__(self, other):
        return ("multiplied", other)


def test_operands_that_are_no_numbers_answer_for_themselves():
    x = T.dmatrix("x")
    assert x + Kernel() == ("added", x) and x * Kernel() == ("multiplied", x)
    with pytest.raises(TypeError, match="unsupported operand"):
        x - Kernel()


def test_special_functions_of_numbers_by_their_classes():
    from symconv.theano.scalar.basic_scipy import GammaLn, Psi, TriGamma

    ln = T.Elemwise(GammaLn(theano.scalar.upgrade_to_float, name="scalar_gammaln"), name="gammaln")
    x = T.dvector("x")
    f = theano.function([x], [ln(x), T.grad(ln(x).sum(), x), T.Elemwise(Psi())(x), T.Elemwise(TriGamma())(x)])
    values, slopes, psi, tri = f([1.0, 4.0])
    np.testing.assert_allclose(values, [0, np.log(6)], atol=1e-12)
    np.testing.assert_allclose(slopes, psi)
    np.testing.assert_allclose([psi[0], tri[0], Psi.st_impl(1.0)], [-0.5772156649, np.pi**2 / 6, psi[0]])


def test_settings_as_objects_and_settings_of_a_program():
    from symconv.theano.configparser import AddConfigVar, BoolParam, EnumStr, _config_var_list

    by_name = {v.fullname: v for v in _config_var_list}
    before = by_name["floatX"].__get__(True, None)
    by_name["floatX"].__set__(None, "float32")
    assert theano.config.floatX == "float32"
    by_name["floatX"].__set__(None, before)
    AddConfigVar("tests_flavour", "of the tests", EnumStr("plain", "spicy"))
    AddConfigVar("tests_loud", "", BoolParam(False))
    assert (theano.config.tests_flavour, theano.config.tests_loud) == ("plain", False)
    theano.config.tests_flavour, theano.config.tests_loud = "spicy", "true"
    assert (theano.config.tests_flavour, theano.config.tests_loud) == ("spicy", True)
    with pytest.raises(errors.ConfigError, match="tests_flavour"):
        theano.config.tests_flavour = "sweet"
    with pytest.raises(AttributeError, match="already"):
        AddConfigVar("tests_loud", "", BoolParam(True))


class Layer:
    """A layer as it was written: its functions are attributes of the class."""

    activation, gate = T.tanh, T.nnet.sigmoid

    def output(self, x):
        return self.gate(x) * self.activation(x)


def test_operations_as_attributes_of_a_class_are_not_bound():
    x = T.dmatrix("x")
    y = Layer().output(x)
    np.testing.assert_allclose(y.eval({x: [[0.5]]}), np.tanh(0.5) / (1 + np.exp(-0.5)))
    assert Layer.activation is T.tanh and pickle.loads(pickle.dumps(T.tanh)) is T.tanh
    assert pickle.loads(pickle.dumps(T.nnet.sigmoid)) is T.nnet.sigmoid and T.tanh.__name__ == "tanh"
    assert list(inspect.signature(T.clip).parameters) == ["x", "min", "max"] and "clip" in repr(T.clip)
    assert (-x).clip(0, 1).eval({x: [[-3.0]]}) == 1  # methods are methods
    total = T.dtensor3("t").sum(axis=range(1, 3))
    assert total.ndim == 1 and T.mean(x, axis={0, 1}).ndim == 0
