"""Graphs as text and as pictures."""

import io
import random
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import symconv as sc
from symconv.errors import ArgumentError, MissingExtraError, OutputError
from symconv.see.drawing import drawing, fresh_nodes
from symconv.see.layers import GAP_X, lay_out
from symconv.see.svg import graph_svg


@pytest.fixture
def step():
    x, w = sc.matrix("x"), sc.shared(np.ones((3, 2), "float32"), name="w")
    cost = sc.mean(sc.relu(sc.dot(x, w)))
    return sc.function([x], cost, updates=[(w, w - 0.1 * sc.grad(cost, w))], name="step", device="cpu")


# ---- text


def test_debugprint_draws_a_tree_with_ids_types_and_lines():
    x = sc.vector("x")
    y = sc.exp(x)
    line = sys._getframe().f_lineno - 1
    z = y + y * 2
    assert sc.debugprint(z) == "\n".join(
        [
            f"add [id A]  float32[?]  test_see_graphs.py:{line + 2}",
            f" ├─ exp [id B]  float32[?]  test_see_graphs.py:{line}",
            " │   └─ x  float32[?]",
            f" └─ mul [id C]  float32[?]  test_see_graphs.py:{line + 2}",
            "     ├─ exp [id B] ...",
            "     └─ 2.0  float32[]",
        ]
    )


def test_debugprint_leaves_out_what_it_is_told_to():
    x = sc.vector("x")
    y = sc.exp(x)
    y.name = "y"
    z = y + y
    tree = "add\n ├─ exp 'y'\n │   └─ x\n └─ exp 'y' ..."
    assert sc.debugprint(z, ids="", types=False, lines=False) == tree
    assert sc.debugprint(z, depth=1, ids="int", lines=False) == "add [id 0]  float32[?]"
    assert sc.debugprint(z, depth=-1) == sc.debugprint(z)
    assert "└─ x" not in sc.debugprint(z, stop_on_name=True, ids="", types=False, lines=False)
    assert f"[id {id(z.owner)}]" in sc.debugprint(z, ids="auto")


def test_debugprint_counts_ids_in_letters():
    x = sc.vector("x")
    for _ in range(30):
        x = sc.tanh(x)
    ids = [line.split("[id ")[1].split("]")[0] for line in sc.debugprint(x).splitlines()[:-1]]
    assert ids[:2] == ["A", "B"] and ids[25:28] == ["Z", "AA", "AB"]


def test_debugprint_writes_to_a_file_and_returns_the_text():
    x = sc.vector("x")
    file = io.StringIO()
    assert sc.debugprint(x + 1, file=file) + "\n" == file.getvalue()
    assert sc.debugprint(x + 1, file="str") == sc.debugprint(x + 1)


def test_debugprint_of_a_function_names_outputs_and_new_values(step):
    before = sc.debugprint(step)
    assert "= output 0" in before and "= new value of w" in before and "float32[?, ?]" in before
    step(np.ones((4, 3), "float32"))
    after = sc.debugprint(step)
    assert "float32[4, 3]" in after and "?" not in after and "= new value of w" in after


def test_debugprint_refuses_what_has_no_graph():
    for bad in (5, "x", [1], np.ones(3)):
        with pytest.raises(ArgumentError, match="a graph is shown of variables"):
            sc.debugprint(bad)
    with pytest.raises(ArgumentError, match="ids must be"):
        sc.debugprint(sc.vector(), ids="roman")


# ---- layout


def random_dag(seed, n=60):
    rng = random.Random(seed)
    edges = [(rng.randrange(b), b) for b in range(1, n) for _ in range(rng.randint(0, 3))]
    sizes = [(rng.uniform(30, 160), rng.choice([20.0, 36.0])) for _ in range(n)]
    return sizes, edges


@pytest.mark.parametrize("seed", range(6))
def test_layout_puts_consumers_below_and_lets_nothing_overlap(seed):
    sizes, edges = random_dag(seed)
    layout = lay_out(sizes, edges)
    rows = {}
    for (x, y), (w, h) in zip(layout.centres, sizes):
        assert -1e-6 <= x - w / 2 and x + w / 2 <= layout.width + 1e-6
        assert -1e-6 <= y - h / 2 and y + h / 2 <= layout.height + 1e-6
        rows.setdefault(y, []).append((x - w / 2, x + w / 2))
    for spans in rows.values():
        spans.sort()
        assert all(b[0] - a[1] >= GAP_X - 1e-6 for a, b in zip(spans, spans[1:]))
    for (a, b), bends in zip(edges, layout.bends):
        heights = [layout.centres[a][1], *(y for _, y in bends), layout.centres[b][1]]
        assert heights == sorted(set(heights)), "every edge goes down, row by row"


def test_layout_of_a_chain_is_straight_and_of_a_tree_has_no_crossings():
    chain = lay_out([(50, 20)] * 5, [(i, i + 1) for i in range(4)])
    assert len({round(x, 6) for x, _ in chain.centres}) == 1
    # 0..3 -> 4, 5 in the order that would cross: leaves 0, 2 belong to 4, leaves 1, 3 to 5
    tree = lay_out([(50, 20)] * 7, [(0, 4), (1, 5), (2, 4), (3, 5), (4, 6), (5, 6)])
    left, right = sorted(([0, 2], [1, 3]), key=lambda pair: tree.centres[pair[0]][0])
    assert max(tree.centres[i][0] for i in left) < min(tree.centres[i][0] for i in right)


def test_layout_of_nothing_and_of_one():
    assert lay_out([], []).centres == []
    assert lay_out([(10, 8)], []).centres == [(5, 4)]


# ---- pictures


def test_picture_has_every_node_leaf_and_result(step):
    picture = drawing(step.written())
    kinds = [b.kind for b in picture.boxes]
    assert kinds.count("result") == 2 and kinds.count("input") == 2  # x is read twice
    assert {"forward", "gradient", "update", "state"} <= set(kinds)
    assert picture.nodes == len(step.written().nodes())
    names = [b.lines[0] for b in picture.boxes if b.kind == "forward"]
    assert names.count("relu") == 1 and any(name.startswith("dot") for name in names)
    assert all(e.start < e.end for e in picture.edges)
    assert any("mul  0.1" == b.lines[0] for b in picture.boxes), "small constants stand in their reader's box"


def test_svg_is_xml_whatever_the_names_hold():
    x = sc.vector("</text><script>alert(1)</script>&\"'\x00\x1b\ud800😀")
    root = ET.fromstring(graph_svg(sc.exp(x)).encode())
    assert root.tag.endswith("svg")
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert any("</text><script>" in "".join(e.itertext()) for e in root.iter())


def test_svg_of_a_large_graph_is_drawn():
    x = sc.vector("x")
    kept = [x]
    for k in range(1500):
        kept.append(sc.tanh(kept[-1]) + kept[k // 2])
    root = ET.fromstring(graph_svg(kept[-1]))
    assert sum(1 for e in root.iter() if e.tag.endswith("}g")) > 3000


def test_fresh_nodes_are_those_that_a_pass_made(step):
    step(np.ones((4, 3), "float32"))
    stages = step.executables[0].stages
    assert [s.name for s in stages][:2] == ["shapes", "canonicalize"]
    last = {s.name: s for s in stages}["elementwise"]
    before = stages[[s.name for s in stages].index("elementwise") - 1]
    made = fresh_nodes(before.graph, last.graph)
    assert len(made) == len(last.trace) and all(n.op.name == "fused" for n in made)
    assert fresh_nodes(last.graph, last.graph) == []


def test_draw_graph_writes_svg(step, tmp_path):
    path = sc.viz.draw_graph(step, tmp_path / "g.svg")
    assert ET.parse(path).getroot().tag.endswith("svg")
    with pytest.raises(OutputError, match=r"ends in \.svg\n.*engine='dot'"):
        sc.viz.draw_graph(step, tmp_path / "g.png")
    with pytest.raises(ArgumentError, match="engine must be one of"):
        sc.viz.draw_graph(step, tmp_path / "g.svg", engine="neato")
    with pytest.raises(ArgumentError, match="not of int"):
        sc.viz.draw_graph(7, tmp_path / "h.svg")
    assert not (tmp_path / "h.svg").exists()


def test_draw_stages_writes_one_picture_for_each_change(step, tmp_path):
    with pytest.raises(ArgumentError, match="has no plan yet"):
        sc.viz.draw_stages(step, tmp_path / "stages")
    step(np.ones((4, 3), "float32"))
    paths = sc.viz.draw_stages(step, tmp_path / "stages")
    names = [p.name for p in paths]
    assert names[:2] == ["00_written.svg", "01_shapes.svg"] and "elementwise" in names[-1] and len(names) < 10
    assert all(ET.parse(p).getroot().tag.endswith("svg") for p in paths)
    assert "sc-new" in paths[-1].read_text().partition("</style>")[2]


def test_dot_needs_the_package_and_the_program(step, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(MissingExtraError, match=r"symconv\[viz\]"):
        sc.viz.draw_graph(step, tmp_path / "g.svg", engine="dot")
    monkeypatch.undo()
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match="the program `dot`.*\n.*engine='layered'"):
        sc.viz.draw_graph(step, tmp_path / "g.svg", engine="dot")
    assert not (tmp_path / "g.svg").exists()


def test_dot_source_has_the_boxes_and_edges_of_the_picture(step):
    pytest.importorskip("graphviz")
    from symconv.see.dot import dot_source

    text = dot_source(step).source
    picture = drawing(step)
    assert text.count(" -> ") == len(picture.edges) and text.count("fillcolor") == len(picture.boxes)


def test_dot_draws(step, tmp_path):
    import shutil

    pytest.importorskip("graphviz")
    if shutil.which("dot") is None:
        pytest.skip("Graphviz's program dot is not installed")
    assert b"<svg" in sc.viz.draw_graph(step, tmp_path / "g.svg", engine="dot").read_bytes()
    assert sc.viz.draw_graph(step, tmp_path / "g.png", engine="dot").read_bytes()[:4] == b"\x89PNG"
