"""The page in a real browser: digits drawn by pointer, finger and keys, nets, light and dark."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from browser import Tab, chromium
from strokes import strokes

import symconv as sc
from symconv import nn
from symconv.demo import Demo, Server
from symconv.device import core_error
from symconv.nn.saved import SHIPPED

pytestmark = pytest.mark.skipif(core_error() is not None, reason="the C++ core is not built")
DIGITS = 100
WINDOW = 1280, 700  # so high that the paper is seen; what is below costs no painting


@pytest.fixture(scope="module")
def test_set():
    return sc.datasets.mnist(limit=DIGITS).test


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    chromium()
    other = tmp_path_factory.mktemp("net") / "other.npz"
    layers = [nn.Conv(3, 5, "tanh"), nn.Pool(2), nn.Flatten(), nn.Dense(3)]
    nn.Sequential(layers, (1, 28, 28), seed=1).save(other, {"classes": ["left", "right", "neither"]})
    with Server(Demo([SHIPPED, other], device="cpu")) as found:
        threading.Thread(target=found.serve_forever, args=[0.02], daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def tab(running, tmp_path_factory):
    with Tab(tmp_path_factory.mktemp("browser")) as found:
        found.resize(*WINDOW)
        found.open(running.url)
        found.until(IDLE)
        yield found
        assert found.complaints() == []


@pytest.fixture(autouse=True)
def paper(tab):
    """(left, top, side) of an empty paper."""
    tab.evaluate("document.getElementById('clear').click()")
    tab.until(IDLE)
    assert answer(tab) == "–"
    box = "document.getElementById('paper').getBoundingClientRect()"
    return tuple(tab.evaluate(f"(b => [b.left, b.top, b.width])({box})"))


IDLE = "document.body.getAttribute('aria-busy') === 'false'"


def answer(tab):
    tab.until(IDLE)
    return tab.evaluate("document.getElementById('class').textContent")


def mouse(tab, paper, path):
    """Draw a path of (x, y), in 28ths of the paper, with the mouse."""
    left, top, side = paper
    points = [(left + x * side / 28, top + y * side / 28) for x, y in path]
    moves = [("mouseMoved", p) for p in points]
    events = [("mousePressed", points[0]), *moves, ("mouseReleased", points[-1])]
    for kind, (x, y) in events:
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        last = tab.send("Input.dispatchMouseEvent", **event)
    tab.wait(last)


def finger(tab, paper, path):
    left, top, side = paper
    for k, (x, y) in enumerate(path):
        point = {"x": left + x * side / 28, "y": top + y * side / 28}
        tab.send("Input.dispatchTouchEvent", type="touchMove" if k else "touchStart", touchPoints=[point])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


def key(tab, name, text="", modifiers=0):
    tab.send("Input.dispatchKeyEvent", type="keyDown", key=name, text=text, modifiers=modifiers)
    tab.call("Input.dispatchKeyEvent", type="keyUp", key=name, modifiers=modifiers)


def inked(tab):
    """How many of the paper's pixels have ink."""
    return tab.evaluate(
        "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".filter((v, k) => k % 4 == 0 && v > 99).length)(document.getElementById('paper'))"
    )


@pytest.mark.slow
def test_digits_drawn_with_the_pointer_are_known(tab, paper, test_set):
    """The strokes of 100 test digits, drawn again with a pen of one width: at least 97 are known."""
    wrong = []
    for k, image in enumerate(test_set.images):
        for path in strokes(image.reshape(28, 28)):
            mouse(tab, paper, path)
        found = answer(tab)
        if found != str(test_set.labels[k]):
            wrong.append((k, int(test_set.labels[k]), found))
        tab.evaluate("document.getElementById('clear').click()")
    assert len(wrong) <= 3, wrong


def test_digits_of_the_test_set_put_on_the_paper_are_known(tab, test_set):
    wrong = []
    for k in range(0, DIGITS, 4):
        tab.evaluate(f"document.getElementById('index').value = {k}")
        tab.evaluate("document.getElementById('digit').requestSubmit()")
        tab.until(f"document.getElementById('label').textContent.startsWith('Test image {k}: ')")
        if answer(tab) != str(test_set.labels[k]):
            wrong.append(k)
    assert wrong == []


def test_the_page_shows_what_the_server_said(tab, paper, test_set):
    mouse(tab, paper, strokes(test_set.images[0].reshape(28, 28))[0])
    tab.until(IDLE)
    rows = tab.evaluate(
        "[...document.querySelectorAll('#certainty tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert [r[0] for r in rows] == list("0123456789")
    percents = [float(r[2].removesuffix(" %")) for r in rows]
    assert sum(percents) == pytest.approx(100, abs=0.6)
    assert answer(tab) == str(np.argmax(percents))
    heads = tab.evaluate("[...document.querySelectorAll('#layers h3')].map(h => h.textContent)")
    assert len(heads) == 6 and "conv1" in heads[0] and "10 values" in heads[-1]
    assert "32 maps of 24×24" in heads[0]
    counts = tab.evaluate("[...document.querySelectorAll('#layers h3 + div')].map(d => d.children.length)")
    assert counts == [32, 32, 64, 64, 1, 1]
    fired = tab.evaluate(
        "[...document.querySelectorAll('.fired figure')].map(f => f.querySelectorAll('canvas').length)"
    )
    assert fired == [3] * 8
    strong = tab.evaluate("document.querySelectorAll('#layers canvas.strong').length")
    assert strong == 8
    tab.until("document.getElementById('spoken').textContent.startsWith('Answer: 7, ')")
    shades = tab.evaluate(
        "(c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size)"
        "(document.querySelector('#layers canvas.strong'))"
    )
    assert shades > 10, "a map is drawn, not a blank"


def test_undo_takes_strokes_and_clears_back(tab, paper):
    assert inked(tab) == 0
    mouse(tab, paper, [(5, 5), (5, 20)])
    one = inked(tab)
    mouse(tab, paper, [(20, 5), (20, 20)])
    two = inked(tab)
    assert 0 < one < two
    tab.evaluate("document.getElementById('clear').click()")
    assert inked(tab) == 0 and answer(tab) == "–"
    for want in (two, one, 0):
        tab.evaluate("document.getElementById('undo').click()")
        assert inked(tab) == want
    mouse(tab, paper, [(9, 9)])
    assert inked(tab) > 50, "a dot"
    key(tab, "z", modifiers=2)
    assert inked(tab) == 0


def test_a_finger_draws_and_the_page_does_not_scroll(tab, paper):
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        before = tab.evaluate("scrollY")
        finger(tab, paper, [(14, y) for y in np.linspace(4, 24, 12)])
        assert answer(tab) == "1"
        assert tab.evaluate("scrollY") == before
        assert inked(tab) > 20 * 15 * 20
    finally:
        tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_a_digit_is_drawn_with_the_keyboard_alone(tab, running):
    tab.open(running.url)  # anew: the Tab key starts from the top
    tab.until(IDLE)
    key(tab, "Tab", "\t")
    assert tab.evaluate("document.activeElement.id") == "paper", "the first stop of the Tab key"
    for name in ("ArrowUp",) * 9 + (" ",) + ("ArrowDown",) * 18 + (" ",):
        key(tab, name, name if name == " " else "")
    assert answer(tab) == "1"
    key(tab, "ArrowLeft", modifiers=8)
    drawn = inked(tab)
    key(tab, "ArrowLeft")
    assert inked(tab) == drawn, "the pen is lifted"
    key(tab, "Delete")
    assert inked(tab) == 0
    key(tab, "Backspace")
    assert inked(tab) == drawn
    stops = []
    for _ in range(6):
        key(tab, "Tab", "\t")
        stops.append(tab.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert stops == ["undo", "clear", "net", "index", "Show", "any"]


def test_another_net_can_be_chosen(tab, paper):
    mouse(tab, paper, [(5, 5), (20, 20)])
    assert answer(tab) in "0123456789"
    choose = "(s => (s.value = {}, s.dispatchEvent(new Event('change'))))(document.getElementById('net'))"
    try:
        tab.evaluate(choose.format(1))
        assert answer(tab) in ("left", "right", "neither")
        assert tab.evaluate("document.querySelectorAll('#certainty tr').length") == 3
        assert tab.evaluate("document.querySelectorAll('#layers canvas').length") == 3 + 3 + 1
        assert "2,703 parameters" not in tab.evaluate("document.getElementById('about').textContent")
    finally:
        tab.evaluate(choose.format(0))
    assert answer(tab) in "0123456789"


def test_a_digit_that_is_not_there_and_a_server_that_is_gone_are_told(tab):
    tab.evaluate("fetch = (f => (...a) => f('api/digit?index=99999'))(window.kept = fetch); void 0")
    try:
        tab.evaluate("document.getElementById('any').click()")
        tab.until("!document.getElementById('trouble').hidden")
        assert "from 0 to 9999" in tab.evaluate("document.getElementById('trouble').textContent")
        tab.evaluate("fetch = () => Promise.reject(new TypeError('gone')); void 0")
        tab.evaluate("document.getElementById('undo').click()")
        tab.until("document.getElementById('trouble').textContent.includes('symconv demo')")
    finally:
        tab.evaluate("fetch = window.kept; void 0")
    tab.events = [e for e in tab.events if "400 (Bad Request)" not in str(e)]
    tab.evaluate("document.getElementById('undo').click()")
    tab.until("document.getElementById('trouble').hidden")


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("dark", 390)])
def test_the_page_in_light_and_dark_wide_and_narrow(tab, paper, scheme, width, tmp_path, test_set):
    read = pytest.importorskip("matplotlib.image").imread
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.call("Emulation.setEmulatedMedia", features=features)
    try:
        for path in strokes(test_set.images[3].reshape(28, 28)):
            mouse(tab, paper, path)
        tab.until(IDLE)
        tab.screenshot(tmp_path / "page.png", width, 1600)
        image = read(tmp_path / "page.png")[..., :3]
        assert (np.median(image) > 0.8) == (scheme == "light")
        assert image.std() > 0.05
        assert np.abs(image - image.mean(2, keepdims=True)).mean() < 0.02, "grey but for the frames"
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    finally:
        tab.call("Emulation.setEmulatedMedia", features=[])
        tab.resize(*WINDOW)
