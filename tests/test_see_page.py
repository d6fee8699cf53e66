"""The page: one file, nothing from outside, every pane filled; what notebooks show."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import chromium, rendered, screenshot

import symconv as sc
from symconv.cli import main
from symconv.errors import GraphError, OutputError
from symconv.rewrite.driver import Applied
from symconv.see.page import page
from symconv.see.sources import loop_text, sources

PANES = ("profile", "stages", "rules", "kernels", "refusals", "memory", "code", "steps")
VOID = {"meta", "input", "br"}

pytest.importorskip("symconv._core", reason="the C++ core is not built")


class Page(HTMLParser):
    """What a page holds: balanced tags, the text of each pane, ids, links, addresses."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.panes, self.ids, self.attributes, self.tags = [], {}, [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs.items()]
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag not in VOID:
            self.open.append((tag, attrs.get("id") if tag == "section" else None))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        last, _ = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data):
        for _, key in self.open:
            if key:
                self.panes[key] = self.panes.get(key, "") + data


@pytest.fixture(scope="module")
def book_page(tmp_path_factory):
    """The page of dbl_conv_relu's training step, with a profile."""
    path = tmp_path_factory.mktemp("page") / "dbl_conv_relu.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("symconv.see.profile.peaks", lambda device, threads: None)
        assert (
            main(["explain", "--net", "dbl_conv_relu", "--device", "cpu", "--html", str(path), "--profile"])
            == 0
        )
    return path


def make(device="cpu"):
    x, w = sc.matrix("x"), sc.shared(np.ones((3, 2), "float32"), name="w")
    cost = sc.mean(sc.relu(sc.dot(x, w)))
    return sc.function([x], cost, updates=[(w, w - 0.1 * sc.grad(cost, w))], name="step", device=device)


X = np.ones((4, 3), "float32")


def test_page_is_whole_and_needs_nothing_from_outside(book_page):
    text = book_page.read_text(encoding="utf-8")
    found = Page(text)
    assert len(found.ids) == len(set(found.ids))
    targets = [v for _, k, v in found.attributes if k == "href"]
    assert targets and all(t.startswith("#") and t[1:] in found.ids for t in targets)
    assert {t for t, *_ in found.attributes if t in ("link", "img", "iframe", "object")} == set()
    assert not [1 for _, k, _ in found.attributes if k in ("src", "srcset", "action", "data")]
    outside = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert outside <= {"http://www.w3.org/2000/svg"}, "a name of XML, which nobody fetches"
    assert "@import" not in text and "url(" not in text
    assert "prefers-color-scheme:dark" in text and 'name="viewport"' in text


def test_every_pane_is_filled(book_page):
    found = Page(book_page.read_text(encoding="utf-8"))
    assert [i.removeprefix("p0-") for i in found.ids if i in found.panes] == list(PANES)
    text = {key.removeprefix("p0-"): " ".join(words.split()) for key, words in found.panes.items()}
    for word in ("conv_pool", "softmax_cross_entropy", "new value of conv1.w", "output 0", "canonicalize"):
        assert word in text["stages"]
    assert "unbroadcast_operand" in text["rules"] and "net dbl_conv_relu (conv1)" in text["rules"]
    assert "csrc/kernels/" in text["kernels"]
    assert "winograd_conv_pool" in text["refusals"] and "softmax_cross" not in text["refusals"]
    assert "arena of" in text["memory"] and "written by step" in text["memory"]
    assert "for (i = 0; i <" in text["code"] and '#include "elementwise.cuh"' in text["code"]
    assert "float32[10, 20, 12, 12] @ arena" in text["steps"]
    assert re.search(r"\d+ runs, [\d,.]+ us each in 27 steps", text["profile"])
    assert all(len(words) > 150 for words in text.values())


def test_every_stage_has_a_tab_and_a_picture_or_says_why_not():
    f = make()
    f(X)
    parsed = Page(page(f))
    stages = ["written", *(s.name for s in f.executables[0].stages)]
    assert sum(1 for t, k, v in parsed.attributes if k == "name" and v == "p0-stage") == len(stages)
    assert [i for i in parsed.ids if i.endswith("-picture")] == [
        f"p0-stage{k}-picture" for k in range(len(stages))
    ]
    assert sum(1 for t, k, _ in parsed.attributes if k == "checked") == 1
    words = parsed.panes["p0-stages"]
    assert all(name in words for name in stages) and "found nothing to do" in words


def test_page_of_several_plans_has_them_all(tmp_path):
    f = make()
    f(X)
    f(X[:2])
    f.explain(html=tmp_path / "two.html")
    found = Page((tmp_path / "two.html").read_text())
    assert "p0-stages" in found.ids and "p1-stages" in found.ids
    assert len(found.ids) == len(set(found.ids))


@pytest.mark.parametrize("device", ["reference", "emulated"])
def test_page_of_other_devices(device, tmp_path):
    f = make(device)
    with f.profile() as p:
        f(X)
    f.explain(html=tmp_path / "page.html", profile=p)
    found = Page((tmp_path / "page.html").read_text())
    if device == "reference":
        assert "there is no plan" in found.panes["p0-plan"]
    else:
        assert "KERNEL(elementwise_" in found.panes["p0-code"]
        assert "Executor kernels" in found.panes["p0-steps"]
    assert "step(float32[4, 3])" in found.panes["p0-profile"]


def test_page_shows_the_steps_inside_a_loop(tmp_path):
    x = sc.vector("x")
    sums, _ = sc.scan(lambda a, s: sc.tanh(s + a), sequences=[x], outputs_info=[sc.constant(np.float32(0))])
    f = sc.function([x], sums, device="cpu")
    f(np.ones(5, "float32"))
    if not any(step.loop for step in f.executables[0].plan.steps):
        pytest.skip("the loop was unrolled")
    f.explain(html=tmp_path / "page.html")
    panes = Page((tmp_path / "page.html").read_text()).panes
    assert "runs this 5 times" in panes["p0-steps"] and "0.0" in panes["p0-kernels"]
    assert "elementwise" in panes["p0-kernels"] and "for (i = 0; i < 1; i++)" in panes["p0-code"]


def test_page_tells_rules_of_users_that_were_left_alone(tmp_path):
    rule = sc.Rule("half", lambda a: sc.tanh(a) * 2, lambda a: sc.tanh(a) * 2, when=lambda a: "too small")
    x = sc.matrix("x")
    with sc.use_rule(rule):
        f = sc.function([x], sc.tanh(x) * 2, device="cpu")
        f(X)
    f.explain(html=tmp_path / "page.html")
    panes = Page((tmp_path / "page.html").read_text()).panes
    assert "half left alone" in panes["p0-rules"] and "because too small" in panes["p0-rules"]
    applied = sum(isinstance(a, Applied) for s in f.executables[0].stages for a in s.trace) - 1
    assert f"{applied} applications" in panes["p0-rules"] and "users" in panes["p0-stages"]


def test_page_shows_the_persistent_kernel():
    with sc.config(gpu_executor="persistent"):
        executable = make("emulated").prepare(X)
    texts = sources(executable.plan, executable.program, executable.choice)
    assert texts[-1].step == "" and "WHOLE_PLAN" in texts[-1].text


def test_page_without_rewrites_and_of_a_trivial_function(tmp_path):
    x = sc.vector("x")
    with sc.config(optimize=False):
        f = sc.function([x], x, device="cpu")
        f(np.ones(3, "float32"))
    f.explain(html=tmp_path / "page.html")
    panes = Page((tmp_path / "page.html").read_text()).panes
    assert "No rule matched" in panes["p0-rules"] and "the arena is empty" in panes["p0-memory"]


def test_names_cannot_break_out_of_the_page(tmp_path):
    evil = "</svg></style><script>alert(1)</script>"
    x = sc.vector(evil)
    f = sc.function([x], sc.exp(x) * 2, name=evil, device="cpu")
    f(np.ones(3, "float32"))
    f.explain(html=tmp_path / "page.html")
    found = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert found.tags.count("script") == 1 and evil in found.panes["p0-stages"]


def test_page_needs_a_plan_and_a_place(tmp_path):
    f = make()
    with pytest.raises(GraphError, match="no plan to show yet\n  hint"):
        f.explain(html=tmp_path / "page.html")
    f(X)
    with pytest.raises(OutputError, match="does not exist"):
        f.explain(html=tmp_path / "nowhere" / "page.html")


def test_loops_read_as_the_arithmetic_that_they_are():
    x, y = sc.tensor("float32", (3, 4), "x"), sc.tensor("float32", (4,), "y")
    f = sc.function([x, y], sc.tanh(x * y + 2.0), device="cpu")
    plan = f.prepare(np.ones((3, 4), "float32"), np.ones(4, "float32")).plan
    (step,) = [s for s in plan.steps if s.node.op.name == "fused"]
    text = loop_text(step.node)
    assert text.splitlines()[2:] == [
        "for (i = 0; i < 12; i++) {", "  r0 = x0[i] * x1[..i];", "  r1 = r0 + 2.0;",
        "  y0[i] = tanh(r1);", "}",
    ]  # fmt: skip


# ---- notebooks


def test_notebooks_show_pictures():
    f = make()
    x = sc.matrix("x")
    shown = [sc.exp(x), f]
    f(X)
    shown += [f, f.executables[0].plan]
    with f.profile() as p:
        f(X)
    shown.append(p)
    for what in shown:
        assert ET.fromstring(what._repr_svg_()).tag.endswith("svg")
        html = what._repr_html_()
        assert "<svg" in html and Page(html)


def test_notebooks_show_large_graphs_as_text():
    x = sc.vector("x")
    for _ in range(500):
        x = sc.tanh(x)
    assert x._repr_svg_() is None and "[id A]" in x._repr_html_()
    assert "running" in make().profile().start()._repr_html_()


def test_a_function_before_its_first_call_shows_what_was_written():
    assert "float32[?, ?]" in make()._repr_svg_()


# ---- in a browser


def test_a_browser_shows_every_pane(book_page, tmp_path):
    chromium()
    text = rendered(book_page, tmp_path / "user")
    found = Page(text)
    assert [i.removeprefix("p0-") for i in found.ids if i in found.panes] == list(PANES)
    assert all(len(" ".join(words.split())) > 150 for words in found.panes.values())
    pictures = sum(1 for _, k, v in found.attributes if k == "class" and "picture" in v.split())
    tools = sum(1 for _, k, v in found.attributes if k == "class" and v == "tools")
    assert pictures == tools > 8, "the script ran to its end"


@pytest.mark.parametrize("width, height, options", [(1280, 1600, ()), (390, 844, ("--force-dark-mode",))])
def test_a_browser_draws_the_page(width, height, options, book_page, tmp_path):
    chromium()
    picture = tmp_path / "page.png"
    screenshot(book_page, picture, tmp_path / "user", width, height, *options)
    image = pytest.importorskip("matplotlib.image").imread(picture)
    assert image.shape[:2] == (height, width)
    assert len(np.unique((image[..., :3] * 255).astype(int).reshape(-1, 3), axis=0)) > 50
