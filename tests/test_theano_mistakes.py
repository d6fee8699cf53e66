"""What a program's mistakes are told: the error's kind, the line, the sizes and what to change."""

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano import function, shared
from symconv.theano.tensor.nnet import conv2d, softmax

LINE = r"test_theano_mistakes.py:\d+"


def ones(*shape):
    return np.ones(shape, "float32")


@pytest.fixture(autouse=True)
def float32():
    with theano.config.change_flags(floatX="float32"):
        yield


def w(*shape):
    return shared(ones(*shape), "w")


def cost_of_labels():
    x, y = T.matrix("x"), T.ivector("y")
    return function([x, y], -T.mean(T.log(softmax(x))[T.arange(y.shape[0]), y]))


MISTAKES = {
    "inner dimensions of a product": (
        lambda: function([x := T.matrix("x")], T.dot(x, w(5, 3)))(ones(2, 4)),
        ValueError,
        rf"a gives 4, b gives 5\n  a float32\[2, 4\] +from {LINE}\n  b float32\[5, 3\] .*hint: the last axis",
    ),
    "sizes of a sum": (
        lambda: function([x := T.vector("x"), y := T.vector("y")], x + y)(ones(2), ones(3)),
        ValueError,
        rf"mismatch: \[2, 3\] along axis -1.*float32\[2\].*float32\[3\].*at {LINE}.*must have one shape",
    ),
    "a 1 that is not flagged": (
        lambda: function([x := T.matrix("x")], x + w(1, 3))(ones(4, 3)),
        ValueError,
        r"\[1, 4\] along axis -2.*T.addbroadcast",
    ),
    "float64 for float32": (
        lambda: function([x := T.matrix("x")], x)(np.full((2, 2), 0.1)),
        TypeError,
        rf"argument 0 \('x', from {LINE}\).*float64.*hint: .*allow_input_downcast=True",
    ),
    "a vector for a matrix": (
        lambda: function([x := T.matrix("x")], x)(ones(3)),
        TypeError,
        rf"'x', from {LINE}.*expected 2 .*shape \[3\]\n  hint: reshape the value.*'float32', \(False,\)",
    ),
    "None for a number": (
        lambda: function([x := T.scalar("x")], x)(None),
        TypeError,
        rf"'x', from {LINE}.*NoneType.*hint: None stands for no number.*In\(x, value=",
    ),
    "an update of another dtype": (
        lambda: function([i := T.iscalar()], updates=[(v := w(3), v * i)]),
        TypeError,
        rf"shared variable w: .*float32.*{LINE}.*new value.*float64.*{LINE}.*T.cast\(value, 'float32'\)",
    ),
    "an update of an input": (
        lambda: function([x := T.vector("x")], updates=[(x, x + 1)]),
        TypeError,
        r"x is none of these, but a TensorVariable\n  hint: theano.shared",
    ),
    "two updates of one variable": (
        lambda: function([], updates=[(v := w(2), v + 1), (v, v + 2)]),
        ValueError,
        r"w is updated twice\n  hint: one expression",
    ),
    "set_value of another dtype": (
        lambda: w(3).set_value(np.full(3, 0.1)),
        TypeError,
        rf"shared variable w from {LINE}.*float64.*hint",
    ),
    "a forgotten input": (
        lambda: function([x := T.matrix("x")], x + T.matrix("y")),
        theano.gof.MissingInputError,
        rf"the input y .* from {LINE}.*hint: add it to inputs",
    ),
    "an unknown name": (
        lambda: function([x := T.scalar("x")], x)(y=1),
        TypeError,
        r"unknown argument y\n  hint: the arguments are x",
    ),
    "the gradient of a vector": (
        lambda: T.grad((x := T.vector("x")) ** 2, x),
        TypeError,
        rf"must be a scalar, got float32\[\?\] from {LINE}\n  hint: cost.sum",
    ),
    "channels of a convolution": (
        lambda: function([x := T.tensor4("x")], conv2d(x, w(8, 3, 5, 5)))(ones(2, 1, 28, 28)),
        ValueError,
        rf"1 channels, w expects 3\n  x float32\[2, 1, 28, 28\] .*{LINE}.*hint: w is \[K, C/groups, R, S\]",
    ),
    "a label out of range": (
        lambda: cost_of_labels()(ones(3, 4), np.int32([0, 1, 4])),
        IndexError,
        rf"from {LINE}.*label 4 in row 2.*hint: labels are 0 to 3",
    ),
    "elements of a reshape": (
        lambda: function([x := T.matrix("x")], x.reshape((3, 5)))(ones(2, 4)),
        ValueError,
        rf"8 elements do not fill shape \[3, 5\]\n  x float32\[2, 4\] .*{LINE}.*hint",
    ),
    "the size of what is set": (
        lambda: function([x := T.matrix("x"), y := T.vector("y")], T.set_subtensor(x[0], y))(
            ones(3, 4), ones(3)
        ),
        ValueError,
        rf"float32\[3\] does not broadcast to \[4\]\n  x .*{LINE}.*hint: shapes align",
    ),
    "an axis that is not there": (
        lambda: T.matrix("x").sum(axis=2),
        ValueError,
        rf"axis 2 is out of range for a tensor with 2 dimensions, at {LINE}",
    ),
    "a float as an index": (
        lambda: T.vector("x")[T.scalar("i")],
        TypeError,
        rf"must be an integer, got float32\[\] from {LINE}\n  hint: cast\(i, 'int64'\)",
    ),
    "a loop's state of another dtype": (
        lambda: theano.scan(lambda a, b: a * b, T.dvector("s"), T.fscalar("o")),
        TypeError,
        rf"starts as float32 from {LINE} and the step makes it float64, at {LINE}\n  hint: cast the initial",
    ),
    "a loop's step without a start": (
        lambda: theano.scan(lambda a, b: a + b, sequences=T.vector("v")),
        ValueError,
        r"the step \(a, b\) is given 1 arguments.*hint: outputs_info",
    ),
    "a loop of Python": (
        lambda: [k for k in range(T.iscalar("n"))],
        TypeError,
        rf"n from {LINE} is symbolic.*hint: theano.scan",
    ),
    "a number of a variable": (
        lambda: float(T.scalar("x")),
        TypeError,
        rf"x from {LINE} is symbolic.*x.eval\(\)",
    ),
    "a dtype misspelt": (
        lambda: T.cast(T.vector("x"), "flaot32"),
        TypeError,
        r"'flaot32' is no dtype\n  hint: float32",
    ),
    "a function misspelt": (
        lambda: T.nnet.sofmax,
        AttributeError,
        r"nnet.sofmax is not supported.*\n  hint: did you mean softmax",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_line_sizes_and_cure(name):
    mistake, kind, words = MISTAKES[name]
    with pytest.raises(kind, match=f"(?s){words}"):
        mistake()
