"""The graph: hash-consing, types, traversal, errors, user lines."""

import numpy as np
import pytest

import symconv as sc
from symconv.errors import DTypeError, ShapeError
from symconv.graph import Constant, TensorType, broadcast_shapes, promote
from symconv.graph.function_graph import FunctionGraph
from symconv.graph.printing import debugprint
from symconv.graph.traversal import clients, leaves, rebuild, substitute, toposort


def test_same_expression_is_the_same_node():
    x, w = sc.matrix("x"), sc.matrix("w")
    assert (x + w) is (x + w)
    assert sc.exp(x * 2.0) is sc.exp(x * 2.0)
    assert (x + w) is not (w + x)
    assert sc.matrix("x") is not sc.matrix("x")


def test_small_constants_are_shared_by_dtype_and_bits():
    assert sc.constant(1.0, "float32") is sc.constant(1.0, "float32")
    assert sc.constant(1.0, "float32") is not sc.constant(1.0, "float64")
    assert sc.constant(0.0) is not sc.constant(-0.0)
    a = np.ones(3)
    c = sc.constant(a)
    a[0] = 7
    assert c.data.tolist() == [1, 1, 1]
    with pytest.raises(ValueError):
        c.data[0] = 2


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("int32", "float32"), "float32"),
        (("int64", "float32"), "float32"),
        (("bool", "float32"), "float32"),
        (("float32", "float64"), "float64"),
        (("int8", "int32"), "int32"),
        (("uint8", "int8"), "int16"),
        (("bool", "bool"), "bool"),
    ],
)
def test_promotion(dtypes, expected):
    assert promote(*dtypes) == expected
    assert promote(*reversed(dtypes)) == expected


def test_python_scalars_are_weakly_typed():
    assert (sc.fmatrix() * 2).dtype == "float32"
    assert (sc.fmatrix() * 2.5).dtype == "float32"
    assert (sc.fmatrix() + np.float64(2.5)).dtype == "float32"
    assert (sc.ivector() + 2).dtype == "int32"
    assert (sc.ivector() * 2.5).dtype == "float32"
    with sc.config(floatX="float64"):
        assert (sc.ivector() * 2.5).dtype == "float64"
        assert sc.matrix().dtype == "float64"


def test_broadcast_shapes_with_unknown_dimensions():
    assert broadcast_shapes((None, 3), (1, 3)) == (None, 3)
    assert broadcast_shapes((None, 3), (5, 3)) == (5, 3)
    assert broadcast_shapes((3,), (2, 1)) == (2, 3)
    assert broadcast_shapes((), (None,)) == (None,)
    with pytest.raises(ValueError, match="axis -1"):
        broadcast_shapes((2, 3), (2, 4))


def test_type_refuses_what_cannot_be():
    with pytest.raises(DTypeError, match="float128"):
        TensorType("float128", ())
    with pytest.raises(ShapeError, match="negative"):
        TensorType("float32", (-1,))
    with pytest.raises(ShapeError, match="unknown"):
        _ = TensorType("float32", (None,)).size


def test_shape_is_static_where_known():
    x = sc.tensor("float32", (None, 784))
    rows, columns = x.shape
    assert columns == 784
    assert rows.dtype == "int64" and rows.ndim == 0
    assert rows.eval({x: np.zeros((5, 784), "float32")}) == 5


def test_error_names_operands_and_lines():
    x = sc.tensor("float32", (2, 3), "x")
    y = sc.tensor("float32", (2, 4), "y")
    with pytest.raises(ShapeError) as error:
        x + y
    text = str(error.value)
    assert text.startswith("add:") and "float32[2, 3]" in text and "float32[2, 4]" in text
    assert text.count("test_graph.py:") >= 3 and "hint:" in text


def test_truth_of_a_variable_is_refused():
    with pytest.raises(TypeError, match="not known while the graph is built"):
        if sc.scalar():
            pass


def test_deep_graphs_need_no_recursion():
    x = sc.vector("x")
    y = x
    for _ in range(20_000):
        y = y + x
    assert len(toposort([y])) == 20_000
    (z,) = rebuild([y], {x: sc.vector("z")})
    assert len(toposort([z])) == 20_000
    assert debugprint(y, depth=3).count("add") == 3


def test_clients_and_leaves():
    x, y = sc.matrix("x"), sc.matrix("y")
    s = x + y
    out = s * x
    readers = clients([out, s])
    assert len(readers[x]) == 2
    assert [k for _, k in readers[s]] == [0, 1] and readers[s][1][0] is None
    assert leaves([out]) == [x, y] or set(leaves([out])) == {x, y}


def test_substitute_reaches_into_replacements():
    x, y, z = sc.matrix("x"), sc.matrix("y"), sc.matrix("z")
    a, b = sc.exp(x), sc.log(y)
    out = a + b
    (new,) = substitute([out], {a: sc.sqrt(b), y: z})
    assert new is sc.sqrt(sc.log(z)) + sc.log(z)


def test_function_graph_keeps_outputs_and_updates_apart():
    x, s = sc.matrix("x"), sc.matrix("s")
    graph = FunctionGraph((x,), (s,), (x + s,), ((0, x * s),))
    other = graph.rebuild({x: sc.matrix("z")})
    assert len(other.outputs) == 1 and other.updates[0][0] == 0
    assert other.roots[0] is not graph.roots[0]


def test_constant_of_a_string_is_refused():
    with pytest.raises(DTypeError, match="constant"):
        sc.constant("a")
    with pytest.raises(DTypeError, match="tensor"):
        sc.as_variable(object())


def test_lists_of_variables_are_stacked():
    a, b = sc.scalar("a"), sc.scalar("b")
    v = sc.as_variable([a, b, 1.0])
    assert not isinstance(v, Constant)
    assert v.eval({a: 2.0, b: 3.0}).tolist() == [2, 3, 1]
