"""d3viz, and the breakpoint in the middle of a function."""

import pdb

import numpy as np

import symconv.theano as theano
import symconv.theano.tensor as T
from symconv.theano import d3viz
from symconv.theano.tests.breakpoint import PdbBreakpoint


def test_d3viz_writes_a_page(tmp_path):
    x = T.dvector("x")
    y = T.tanh(x).sum()
    f = theano.function([x], y)
    page = tmp_path / "graph.html"
    for what in (y, [y, x + 1], f):
        d3viz.d3viz(what, page)
        text = page.read_text(encoding="utf-8")
        assert (
            "tanh" in text
            and text.startswith("<!doctype html>")
            and "http" not in text.replace("http://www.w3.org", "")
        )
    f([1.0, 2.0])
    theano.d3viz.d3viz(f, str(page))
    assert "tanh" in page.read_text(encoding="utf-8") and "kernel" in page.read_text(encoding="utf-8")


def test_a_breakpoint_stops_where_its_condition_holds(monkeypatch, capsys):
    x, target = T.dvector("x"), T.dvector("target")
    error = (x - target) ** 2
    error, seen = PdbBreakpoint("large")(T.gt(error.sum(), 100), error, x)
    f = theano.function([x, target], [error, T.grad(error.sum() + seen.sum(), x), seen.shape])
    stops = []
    monkeypatch.setattr(pdb, "set_trace", lambda: stops.append(1))
    values, gradient, shape = f([1.0, 2.0], [0.0, 0.0])
    assert (values.tolist(), gradient.tolist(), shape.tolist(), stops) == ([1, 4], [3, 5], [2], [])
    assert f([20.0, 2.0], [0.0, 0.0])[0].tolist() == [400, 4]
    assert stops == [1] and "large" in capsys.readouterr().out
    assert np.array_equal(f([0.0], [3.0])[0], [9.0])
