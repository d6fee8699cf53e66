"""Every node of a plan tells the user's line, or the lines of all that a rewrite made it of."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import symconv as sc
from symconv.graph.origin import joined
from symconv.loops.op import Scan


def line(back: int = 0) -> str:
    frame = inspect.currentframe()
    return f"test_origins.py:{frame.f_back.f_lineno - back}"


def test_steps_of_a_training_step_tell_the_lines_that_they_stand_for(core):
    x, labels = sc.tensor4("x"), sc.ivector("labels")
    w = sc.shared(np.ones((4, 1, 5, 5), "float32"), name="w")
    b = sc.shared(np.zeros(4, "float32"), name="b")
    v = sc.shared(np.ones((64, 3), "float32"), name="v")
    conv, at_conv = sc.conv2d(x, w), line()
    pool, at_pool = sc.max_pool2d(conv, 2), line()
    h, at_relu = sc.relu(pool + b.reshape((1, 4, 1, 1))), line()
    scores, at_dot = sc.dot(h.reshape((-1, 64)), v), line()
    cost = sc.cross_entropy_with_logits(scores, labels).mean()
    grads = sc.grad(cost, [w, b, v])
    updates = [(s, s - 0.1 * g) for s, g in zip((w, b, v), grads)]
    at_updates = line(1)
    f = sc.function([x, labels], cost, updates=updates, device="cpu")
    plan = f.prepare(np.ones((2, 1, 12, 12), "float32"), np.zeros(2, "int32")).plan
    lines = {s.node.op.name: s.node.origin for s in plan.steps}
    assert lines["conv_pool"] == ", ".join([at_relu, at_pool, at_conv])
    assert lines["conv_pool_grad"].startswith(
        f"gradient of conv2d at {at_conv}, gradient of max_pool2d at {at_pool}, gradient of relu at {at_relu}"
    )
    assert lines["gemm"] == f"{at_updates}, gradient of dot at {at_dot}"
    assert lines["dot_mul_act_grad"] == f"gradient of dot at {at_dot}"
    assert all("test_origins.py:" in s.node.origin for s in plan.steps)
    assert all(v.origin == s.node.origin for s in plan.steps for v in s.node.outputs)


def test_a_rule_keeps_the_lines_of_all_that_it_matched():
    x = sc.matrix("x")
    inner, first = sc.sigmoid(x), line()
    outer, second = sc.log(inner), line()
    f = sc.function([x], outer, device="reference")
    graph = f.prepare(np.ones((2, 2), "float32")).graph
    assert {n.origin for n in graph.nodes()} == {f"{second}, {first}"}


def test_an_element_wise_loop_names_a_few_lines(core):
    x = sc.matrix("x")
    y = sc.exp(x)
    y = y + 1
    y = sc.tanh(y)
    y, last = sc.sin(y), line()
    f = sc.function([x], y, device="cpu")
    (node,) = f.prepare(np.ones((2, 2), "float32")).graph.nodes()
    assert node.op.name == "fused" and node.origin.count("test_origins.py:") == 3
    assert node.origin.startswith(last) and node.origin.endswith(", ...")


def test_lines_are_joined_once_each():
    assert joined(["a.py:1", "a.py:2", "a.py:1"]) == "a.py:1, a.py:2"
    assert joined(["a.py:1, b.py:2, ...", "c.py:3", "d.py:4"]) == "a.py:1, b.py:2, c.py:3, ..."
    assert joined([]) == ""


def recurrent():
    x, w = sc.tensor3("x"), sc.shared(np.full((4, 4), 0.1, "float32"), name="w")
    hs, _ = sc.scan(lambda a, h: sc.tanh(sc.dot(h, w) + a), sequences=[x], outputs_info=[sc.zeros((2, 4))])
    cost = (hs[-1] ** 2).sum() + hs.mean()
    return [x], cost, [(w, w - 0.1 * sc.grad(cost, w))], [np.ones((5, 2, 4), "float32")]


def convolutional():
    x, w = sc.tensor4("x"), sc.shared(np.ones((3, 2, 3, 3), "float32"), name="w")
    b, v = sc.shared(np.zeros(3, "float32")), sc.shared(np.ones((27, 4), "float32"))
    rng = sc.RandomStream(0)
    pooled = sc.relu(sc.max_pool2d(sc.conv2d(x, w), 2) + b.dimshuffle("x", 0, "x", "x"))
    scores = sc.dot(sc.dropout(pooled.flatten(2), 0.5, rng=rng), v)
    cost = -sc.mean(sc.log(sc.softmax(scores))[sc.arange(2), sc.constant([0, 3])])
    grads = sc.grad(cost, [w, b, v])
    return [x], cost, [(p, p - 0.1 * g) for p, g in zip((w, b, v), grads)], [np.ones((2, 2, 8, 8), "float32")]


@pytest.mark.parametrize("build", [recurrent, convolutional])
def test_no_node_of_a_compiled_function_has_the_line_that_compiled_it(build, tmp_path):
    """Whatever a rewrite makes keeps the lines of what it replaces."""
    inputs, cost, updates, arrays = build()
    file = tmp_path / "elsewhere.py"
    text = "f = sc.function(inputs, cost, updates=updates, device='reference')\nf(*arrays)\n"
    names = {"sc": sc, "inputs": inputs, "cost": cost, "updates": updates, "arrays": arrays}
    exec(compile(text, str(file), "exec"), names)

    def check(graph, around):
        for node in graph.nodes():
            line = node.origin.replace("update of ", "")
            assert "elsewhere" not in line or node.op.name == "copy", f"{around}: {node!r} from {line}"
            if isinstance(node.op, Scan):
                check(node.op.graph(), f"{around}, in {node.op.label()}")

    for stage in names["f"].executables[0].stages:
        check(stage.graph, stage.name)


class Square(sc.Op):
    name = "square_matrix"
    operands = ("x",)

    def infer(self, x):
        raise sc.op_error(self, (x,), "not square")


def test_an_error_of_a_users_op_names_the_line_that_called_it():
    x = sc.matrix("x")
    with pytest.raises(sc.errors.ShapeError) as caught:
        Square()(x)
    assert f"  at {line(1)}" in str(caught.value)
