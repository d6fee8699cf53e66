"""Pictures: what they show, in PNG and SVG; wrong arrays, unwritable paths, no matplotlib."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from symconv import viz
from symconv.errors import MissingExtraError, OutputError, ShapeError
from symconv.viz.curves import spans_decades
from symconv.viz.figure import grid_columns, mosaic
from symconv.viz.filters import stretch

RUN = {"cost": [2.0, 1.0, 0.5], "validation_accuracy": [0.9, 0.95, 0.96], "test_accuracy": [0.89, 0.94, 0.95]}
DRAW = {
    "filters": lambda path: viz.plot_filters(np.arange(20 * 25.0).reshape(20, 1, 5, 5), path),
    "errors": lambda path: viz.plot_errors(np.eye(16), np.zeros(16, int), np.arange(16) % 2, path),
    "curves": lambda path: viz.plot_curves(RUN, path),
    "confusion": lambda path: viz.plot_confusion(np.array([[9, 1], [0, 12]]), path),
}
matplotlib = pytest.importorskip("matplotlib")


def svg_texts(path) -> list[str]:
    return [t.strip() for t in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())]


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[..., :3].mean(-1)


@pytest.mark.parametrize("kind", DRAW)
@pytest.mark.parametrize("suffix, magic", [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PNG", b"\x89PNG")])
def test_picture_format_follows_the_suffix_and_is_reproducible(tmp_path, kind, suffix, magic):
    path = tmp_path / f"picture{suffix}"
    assert DRAW[kind](str(path)) == path
    first = path.read_bytes()
    assert first.startswith(magic) and len(os.listdir(tmp_path)) == 1
    DRAW[kind](path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("kind", DRAW)
def test_picture_refuses_bad_paths(tmp_path, kind):
    with pytest.raises(OutputError, match=r"no/picture.png(.|\n)*does not exist"):
        DRAW[kind](tmp_path / "no/picture.png")
    for name in ("picture.jpg", "picture", "picture.png.txt"):
        with pytest.raises(OutputError, match=r"ends in .png or .svg"):
            DRAW[kind](tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", DRAW)
def test_picture_without_matplotlib_names_the_extra(tmp_path, kind, monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"drawing pictures needs .*matplotlib.*symconv\[viz\]"):
        DRAW[kind](tmp_path / "picture.png")
    assert os.listdir(tmp_path) == []


def test_viz_imports_matplotlib_only_when_it_draws_and_never_pyplot(tmp_path):
    code = (
        "import sys, numpy, symconv.viz as viz; assert 'matplotlib' not in sys.modules; "
        f"viz.plot_confusion(numpy.eye(2, dtype=int), {str(tmp_path / 'a.png')!r}); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "DISPLAY": ""})


def test_plot_filters_darker_is_more_positive(tmp_path):
    weights = np.zeros((1, 1, 2, 2))
    weights[0, 0] = [[-1, 1], [0.5, 0]]
    viz.plot_filters(weights, tmp_path / "f.png")
    picture = pixels(tmp_path / "f.png")
    inside = picture[np.ix_(*(np.linspace(0, n, 9).astype(int)[[3, 5]] for n in picture.shape))]
    (least, most), (half, zero) = inside
    assert most < half < zero < least
    assert most < 0.02 and least > 0.98


def test_plot_filters_scale_all_compares_filters(tmp_path):
    weights = np.stack([np.full((1, 4, 4), 0.1), np.full((1, 4, 4), 1.0)])
    viz.plot_filters(weights, tmp_path / "f.svg", scale="all", title="second layer")
    texts = svg_texts(tmp_path / "f.svg")
    assert "weight" in texts and "second layer" in texts
    viz.plot_filters(weights, tmp_path / "f.png", scale="all", columns=2)
    viz.plot_filters(np.random.default_rng(0).normal(size=(6, 4, 3, 3)), tmp_path / "g.png")
    high, wide = pixels(tmp_path / "g.png").shape
    assert high > wide  # 6 rows of filters, 4 columns of channels


def test_plot_filters_refuses_other_ranks(tmp_path):
    for shape in [(20, 25), (5, 5), (0, 1, 5, 5), (20, 1, 1, 5, 5)]:
        with pytest.raises(ShapeError, match=r"\[K, C, R, S\]"):
            viz.plot_filters(np.zeros(shape), tmp_path / "f.png")


def test_stretch_handles_constant_and_nonfinite_tiles():
    tiles = np.array([[[1.0, 3.0]], [[2.0, 2.0]], [[np.nan, np.inf]], [[np.nan, 5.0]]])
    with np.errstate(all="raise"):
        shade = stretch(tiles)
    assert np.array_equal(shade[:, 0], [[0, 1], [0.5, 0.5], [np.nan, np.nan], [np.nan, 0.5]], equal_nan=True)


def test_mosaic_places_tiles_in_rows():
    picture, corners = mosaic(np.arange(1, 4.0)[:, None, None] * np.ones((3, 1, 2)), 2, (1, 1))
    nan = np.nan
    assert np.array_equal(picture, [[1, 1, nan, 2, 2], [nan] * 5, [3, 3, nan, nan, nan]], equal_nan=True)
    assert corners.tolist() == [[0, 0], [0, 3], [2, 0]]


def test_grid_of_the_books_twenty_filters_is_five_by_four():
    assert grid_columns(20) == 5 and grid_columns(1) == 1 and grid_columns(2) == 2


def test_plot_errors_shows_true_class_above_prediction(tmp_path):
    labels, predictions = np.array([3, 8, 1, 7]), np.array([3, 2, 1, 9])
    viz.plot_errors(np.random.default_rng(0).random((4, 784)), labels, predictions, tmp_path / "e.svg")
    text = (tmp_path / "e.svg").read_text()
    assert "2 of 4 misclassified" in text
    places = [
        (word, float(x), float(y))
        for x, y, word in re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>(\d)</text>', text)
    ]
    assert [word for word, _, _ in places] == ["8", "2", "7", "9"]
    for (_, x_true, y_true), (_, x_wrong, y_wrong) in (places[:2], places[2:]):
        assert x_true == x_wrong and y_true < y_wrong  # y grows downwards in SVG
    assert places[0][1] < places[2][1] and places[0][2] == places[2][2]


def test_plot_errors_names_limit_and_image_shapes(tmp_path):
    rng = np.random.default_rng(0)
    labels, predictions = np.zeros(30, int), np.ones(30, int)
    viz.plot_errors(
        rng.random((30, 3, 8, 6)),
        labels,
        predictions,
        tmp_path / "e.svg",
        limit=4,
        classes=("T-shirt/top", "ankle boot"),
    )
    texts = svg_texts(tmp_path / "e.svg")
    assert texts.count("T-shirt/top") == texts.count("ankle boot") == 4
    assert any("30 of 30 misclassified, the first 4" in t for t in texts)
    viz.plot_errors(
        rng.random((30, 3 * 8 * 6)),
        labels,
        predictions,
        tmp_path / "f.svg",
        limit=4,
        image_shape=(3, 8, 6),
        classes=("T-shirt/top", "ankle boot"),
    )
    viz.plot_errors(rng.random((30, 8, 6)), labels, predictions, tmp_path / "g.svg", limit=4, title="heading")
    assert any("heading" in t for t in svg_texts(tmp_path / "g.svg"))


def test_plot_errors_without_errors_says_so(tmp_path):
    viz.plot_errors(np.zeros((5, 784)), np.arange(5), np.arange(5), tmp_path / "e.svg")
    assert svg_texts(tmp_path / "e.svg") == ["none of 5 misclassified"]


def test_plot_errors_refuses_shapes(tmp_path):
    labels = np.zeros(4, int)
    for images, predictions, shape, message in [
        (np.zeros((4, 784)), np.zeros((4, 10)), None, r"argmax"),
        (np.zeros((4, 784)), np.zeros(3, int), None, "one label"),
        (np.zeros((4, 700)), labels + 1, None, "image_shape"),
        (np.zeros((4, 784)), labels + 1, (28,), "image_shape"),
        (np.zeros((4, 1, 1, 28, 28)), labels + 1, None, r"not \[4, 1, 1, 28, 28\]"),
    ]:
        with pytest.raises(ShapeError, match=message):
            viz.plot_errors(images, labels, predictions, tmp_path / "e.png", image_shape=shape)
    assert os.listdir(tmp_path) == []


def test_plot_curves_of_one_run_and_of_several(tmp_path):
    viz.plot_curves(RUN, tmp_path / "a.svg", title="shallow")
    texts = svg_texts(tmp_path / "a.svg")
    assert {"cost", "accuracy in %", "epoch", "validation", "test", "shallow"} <= set(texts)
    assert "training" not in texts
    rows = [
        dict(zip(RUN, values, strict=True), epoch=i)
        for i, values in enumerate(zip(*RUN.values(), strict=True), 1)
    ]
    viz.plot_curves(rows, tmp_path / "b.svg", title="shallow")
    assert (tmp_path / "b.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()
    viz.plot_curves({"conv": rows, "shallow": RUN}, tmp_path / "c.svg")
    assert {"conv", "shallow", "conv test", "shallow validation"} <= set(svg_texts(tmp_path / "c.svg"))


def test_plot_curves_of_many_epochs_are_lines_not_rows_of_markers(tmp_path):
    counts = []
    for n in (15, 150):
        viz.plot_curves({"cost": np.linspace(1, 0, n)}, tmp_path / "a.svg")
        counts.append((tmp_path / "a.svg").read_text().count("<use"))
    assert counts[1] <= counts[0] + 6, "the markers of a curve, and ticks"


def test_plot_curves_of_a_cost_over_decades_are_logarithmic(tmp_path):
    for last, log in ((0.5, False), (0.05, False), (0.01, True), (0.0, False), (-0.01, False)):
        cost = [1.0, 0.6, np.nan, last]
        assert spans_decades([np.array(cost), np.array([0.7])]) == log
        viz.plot_curves({"cost": cost}, tmp_path / "a.svg")
        ticks = [float(t) for t in svg_texts(tmp_path / "a.svg") if t.replace(".", "").isdigit()]
        assert (0.25 in ticks or 0.5 in ticks or 0.8 in ticks or 0.6 in ticks) != log
    assert not spans_decades([np.array([np.nan])])


def test_plot_curves_leaves_gaps(tmp_path):
    rows = [
        {"epoch": 1, "cost": 1.0},
        {"epoch": 2, "cost": float("nan")},
        {"epoch": 3, "cost": None},
        {"epoch": 4, "cost": 0.5, "test_accuracy": 0.9},
        {"epoch": 5, "cost": float("inf")},
    ]
    viz.plot_curves(rows, tmp_path / "a.svg")
    assert {"cost", "accuracy in %"} <= set(svg_texts(tmp_path / "a.svg"))
    viz.plot_curves({"cost": [1, 2]}, tmp_path / "b.svg")
    assert "accuracy in %" not in svg_texts(tmp_path / "b.svg")


@pytest.mark.parametrize(
    "history",
    [
        {},
        [],
        {"cost": 1.0},
        {"a": {"b": [1]}},
        {"cost": ["x"]},
        [1, 2],
        None,
        {"cost": [1, 2], "test_accuracy": [1]},
    ],
)
def test_plot_curves_refuses_what_is_no_history(tmp_path, history):
    with pytest.raises(ShapeError, match="plot_curves"):
        viz.plot_curves(history, tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_plot_confusion_shows_counts_and_names(tmp_path):
    matrix = np.array([[90, 7, 0], [0, 80, 3], [1, 0, 70]])
    viz.plot_confusion(matrix, tmp_path / "c.svg", classes=("coat", "shirt", "bag"))
    texts = svg_texts(tmp_path / "c.svg")
    assert {"90", "7", "80", "3", "1", "70", "240 of 251 right", "true class", "prediction"} <= set(texts)
    assert texts.count("coat") == 2 and "0" not in texts
    viz.plot_confusion(np.eye(40, dtype=int), tmp_path / "big.png")


def test_plot_confusion_refuses_shapes(tmp_path):
    for matrix in (np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))):
        with pytest.raises(ShapeError, match=r"\[k, k\]"):
            viz.plot_confusion(matrix, tmp_path / "c.png")
    with pytest.raises(ShapeError, match="3 names for 2 classes"):
        viz.plot_confusion(np.eye(2), tmp_path / "c.png", classes="abc")
