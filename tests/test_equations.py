"""The equations of the gradient: what is printed is evaluated, and agrees with finite differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symconv as sc
from symconv import nn
from symconv.book import backprop
from symconv.cli import main
from symconv.errors import DisconnectedInputError, GraphError
from symconv.nn.counts import count_parameters

ROOT = Path(__file__).resolve().parents[1]


def book_net(activation, p=0.0):
    layers = [
        nn.ConvPoolLayer((2, 1, 3, 3), (1, 1, 10, 10), (2, 2), activation),
        nn.ConvPoolLayer((3, 2, 3, 3), (1, 2, 4, 4), (2, 2), activation),
        nn.FullyConnectedLayer(3, 5, activation, p_dropout=p),
        nn.SoftmaxLayer(5, 4, p_dropout=p),
    ]
    return nn.Network(layers, 10, seed=1)


def modular_net():
    layers = [
        nn.Conv(4, 3, stride=2, padding=1), nn.BatchNorm(), nn.Activate("gelu"), nn.Pool(2),
        nn.Residual([nn.Conv(4, 3, padding=1, activation="elu")]), nn.Pool(2, mode="avg"), nn.Flatten(),
        nn.Dropout(0.3), nn.Dense(6, "softplus"), nn.Dense(4, "linear"),
    ]  # fmt: skip
    return nn.Sequential(layers, (1, 10, 10), seed=1)


def quadratic(model):
    """The book's first cost: half the squared distance between the activations and rows with a one."""
    a = sc.sigmoid(model.training_scores)
    rows = sc.cast(sc.eq(model.y.dimshuffle(0, "x"), sc.arange(4)), model.dtype)
    return sc.mean(0.5 * sc.sum((a - rows) ** 2, axis=1))


CASES = {
    "sigmoid": lambda: (m := book_net("sigmoid"), m.cost()),
    "tanh": lambda: (m := book_net("tanh"), m.cost()),
    "relu with L2": lambda: (m := book_net("relu"), sc.add(m.cost(), sc.mul(m.l2(), 0.01))),
    "dropout": lambda: (m := book_net("relu", 0.5), m.cost()),
    "quadratic": lambda: (m := book_net("sigmoid"), quadratic(m)),
    "modular": lambda: (m := modular_net(), m.cost()),
}


@pytest.fixture
def double():
    with sc.config(floatX="float64"):
        yield


@pytest.mark.parametrize("case", CASES)
def test_the_printed_equations_are_the_gradient(case, double):
    """Every right-hand side in turn, against differences of the cost's own right-hand side."""
    model, cost = CASES[case]()
    rng = np.random.default_rng(0)
    for p in model.params:  # the softmax layer starts at zero, where gradients vanish
        p.set_value(p.get_value() + 0.3 * rng.normal(size=p.type.shape))
    values = {model.x: rng.normal(size=(3, 100)), model.y: np.array([0, 3, 1], "int32")}
    wrt = [*model.params, model.x]
    found = sc.explain(cost, wrt)
    at = found.evaluate(values)
    compiled = sc.function(
        [model.x, model.y], cost, on_unused_input="ignore", no_default_updates=True, device="reference"
    )
    np.testing.assert_allclose(at["C"], compiled(*values.values()), rtol=1e-12)
    for v in wrt:
        name = f"∇{found.leaves[v].text}"
        gradient = at[name]
        value = values[v] if v in values else v.get_value()
        assert gradient.shape == value.shape, name
        for _ in range(2):
            direction = rng.normal(size=value.shape)
            eps = 1e-6
            up, down = (found.evaluate({**values, v: value + s * eps * direction})["C"] for s in (1, -1))
            slope = (up - down) / (2 * eps)
            np.testing.assert_allclose(
                np.vdot(gradient, direction), slope, rtol=2e-5, atol=1e-8, err_msg=name
            )


def test_a_wrong_equation_is_noticed(double):
    """The check above fails where a term differs from the derived one."""
    import dataclasses

    model = book_net("sigmoid")
    model.layers[-1].w.set_value(np.ones((5, 4)) * [1, 2, 3, 4])
    found = sc.explain(model.cost(), model.params)
    values = {model.x: np.random.default_rng(0).normal(size=(3, 100)), model.y: np.array([0, 3, 1], "int32")}
    right = found.evaluate(values)
    k = next(i for i, e in enumerate(found.equations) if e.symbol.text == "δ³")
    wrong = dataclasses.replace(found.equations[k].term, factor=1.001)
    found.equations[k] = dataclasses.replace(found.equations[k], term=wrong)
    changed = found.evaluate(values)
    assert not np.allclose(changed["∇b³"], right["∇b³"], rtol=1e-5)
    assert np.array_equal(changed["∇b⁴"], right["∇b⁴"])


def test_the_book_notation_of_a_convolutional_net():
    model = sc.nn.net("conv").build()
    lines = [
        line.rsplit("  (", 1)[0].strip() for line in str(sc.explain(model.cost(), model.params)).splitlines()
    ]
    assert lines == [
        "Forward",
        "c¹ = w¹ ∗ a⁰",
        "z¹ = max₂ₓ₂(c¹) + b¹",
        "a¹ = σ(z¹)",
        "z² = a¹ w² + b²",
        "a² = σ(z²)",
        "z³ = a² w³ + b³",
        "C = (Σ −ln softmax(z³)[y])/n",
        "a³ = softmax(z³)",
        "Backward",
        "δ³ = 1/n (a³ − 1[y])",
        "δ² = (δ³ (w³)ᵀ) ⊙ σ′(z²)",
        "δ¹ = (δ² (w²)ᵀ) ⊙ σ′(z¹)",
        "∇c¹ = up(δ¹, argmax c¹)",
        "∇w¹ = a⁰ ⋆ ∇c¹",
        "∇b¹ = Σ δ¹",
        "∇w² = (a¹)ᵀ δ²",
        "∇b² = Σ δ²",
        "∇w³ = (a²)ᵀ δ³",
        "∇b³ = Σ δ³",
    ]


def test_attributes_of_a_convolution_are_shown():
    x, w = sc.tensor4("x"), sc.shared(np.zeros((2, 1, 3, 3), "float32"), "w")
    text = str(sc.explain(sc.conv2d(x, w, stride=2, padding=1).sum(), w))
    assert "z¹ = w¹ ∗ a⁰ [stride 2, padding 1]" in text and "⋆" in text
    flipped = str(sc.explain(sc.conv2d(x, w, flip=True).sum(), w))
    assert flipped.count("[flipped]") == 2


def test_a_graph_without_layers_has_equations_too():
    x = sc.dscalar("x")
    found = sc.explain(sc.exp(x * x), x)
    assert "C = exp(" in str(found)
    np.testing.assert_allclose(found.evaluate({x: 0.7})["∇x"], 1.4 * np.exp(0.49), rtol=1e-12)


def test_a_deep_graph_does_not_recurse():
    x = w = sc.shared(np.ones((2, 2)), "w")
    for _ in range(1500):
        x = sc.tanh(x)
    assert len(sc.explain(x.sum(), w)) > 500


def test_every_number_is_one_equation():
    model = book_net("relu", 0.5)
    found = sc.explain(model.cost(), model.params)
    assert [e.number for e in found] == list(range(1, len(found) + 1))
    symbols = [e.symbol.text for e in found]
    assert len(set(symbols)) == len(symbols)
    latex = found.latex()
    assert latex.count(r"\tag{") == len(found) and latex.count("{") == latex.count("}")
    assert latex.isascii()


def test_bad_requests_are_refused():
    model = book_net("relu")
    with pytest.raises(DisconnectedInputError):
        sc.explain(model.cost(), [sc.shared(np.zeros(3, "float32"), "other")])
    with pytest.raises(GraphError, match="a⁰, the input x .* has no value"):
        sc.explain(model.cost(), model.params).evaluate({})


def test_parameters_are_counted_as_in_the_chapter():
    conv = nn.Network([nn.ConvPoolLayer((20, 1, 5, 5), (1, 1, 28, 28)), nn.SoftmaxLayer(2880, 10)])
    assert count_parameters(conv).splitlines()[0] == "conv1     20·1·5·5 + 20 = 520"
    full = nn.Network([nn.FullyConnectedLayer(784, 30), nn.SoftmaxLayer(30, 10)])
    assert count_parameters(full).splitlines()[0] == "fc1       784·30 + 30 = 23,550"
    assert count_parameters(full).splitlines()[-1].split()[-1] == "23,860"


def test_the_command(capsys):
    assert main(["explain", "--equations", "--net", "dbl_conv"]) == 0
    printed = capsys.readouterr().out
    assert "δ¹ = (w² ⊛ ∇c²) ⊙ σ′(z¹)" in printed and "20·1·5·5 + 20 = 520" in printed
    assert main(["explain", "--equations", "latex"]) == 0
    assert r"\nabla_{w^{1}} C" in capsys.readouterr().out


def test_the_page_has_the_derived_equations():
    page = (ROOT / "docs" / "backprop.md").read_text(encoding="utf-8")
    assert page == backprop.rewritten(page, "backprop.md"), "python -m symconv.book.backprop docs/backprop.md"
