"""function(profile=...), ProfileStats, and the names of gradients that printing shows."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano.compile.profiling import ProfileStats

pytest.importorskip("symconv._core", reason="the C++ core is not built")
ONES = np.ones((2, 3))


def made(**options):
    x = T.dmatrix("x")
    return theano.function([x], T.tanh(T.dot(x, theano.shared(np.ones((3, 4))))), **options)


def text(stats):
    out = io.StringIO()
    stats.summary(file=out)
    return out.getvalue()


def test_a_summary_counts_calls_since_the_last_one():
    f = made(profile=ProfileStats(atexit_print=False, message="mine"), name="f")
    f(ONES), f(ONES)
    first = text(f.profile)
    assert (
        "Message: mine" in first and "2 runs" in first and "tanh" in first and "test_theano_profile" in first
    )
    assert "did not run" in text(f.profile)
    f(ONES)
    f.profile.reset()
    f(ONES)
    assert "1 run," in text(f.profile)
    assert pickle.loads(pickle.dumps(f)).profile is None


def test_functions_share_one_and_modes_keep_it():
    stats = ProfileStats(atexit_print=False)
    functions = [
        made(profile=stats, mode=m) for m in ("FAST_RUN", "FAST_COMPILE", "NanGuardMode", "DebugMode")
    ]
    for f in functions:
        f(ONES)
    assert text(stats).count("float64[2, 3]) on cpu: 1 run") == 3
    copied = functions[0].copy(profile=stats)
    copied(ONES)
    assert text(stats).count("1 run,") == 1


def test_no_profile_unless_asked_for():
    assert made().profile is None and made(profile=False).profile is None
    with theano.config.change_flags(profile=True):
        assert made(profile=False).profile is None
        f = made(profile=ProfileStats(atexit_print=False))
    assert isinstance(f.profile, ProfileStats)


def test_the_summary_is_printed_at_exit():
    code = (
        "import numpy as np, symconv.theano as theano, symconv.theano.tensor as T\n"
        "x = T.dvector()\nf = theano.function([x], x * 2, name='twice', profile=True)\nf(np.ones(2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert "twice(float64[2]) on cpu: 1 run" in done.stderr and not done.stdout


def test_a_gradient_is_printed_as_an_expression():
    x = T.dscalar("x")
    y = x**2
    assert T.grad(y, x).name is None and "x" in theano.pp(T.grad(y, x)) and theano.pp(T.grad(y, x)) != "dx"
    z = x**3
    z.name = "cost"
    assert T.grad(z, x).name == "(dcost/dx)"


def test_lop_needs_no_more_than_its_value():
    """The L-operator of the tutorial: a function of v and x alone."""
    w, v, x = T.dmatrix("W"), T.dvector("v"), T.dvector("x")
    product = T.Lop(T.dot(x, w), w, v)
    assert theano.function([v, x], product)([2, 2], [0, 1]).tolist() == [[0, 0], [2, 2]]
    assert product.name is None
    a, b, g = T.dmatrices("a", "b", "g")
    assert theano.function([a, g], T.Lop(T.dot(a, b), b, g))(np.ones((2, 3)), np.ones((2, 4))).shape == (3, 4)
