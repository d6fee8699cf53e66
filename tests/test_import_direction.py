"""A module imports only what lies in its own layer or to the left (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "symconv"

# Left to right. An entry names a module or a package under symconv.
LAYERS = [
    ["config", "errors", "device", "files", "_core"],
    ["graph"],
    ["ops"],
    ["autodiff", "jacobian", "extend", "loops"],
    ["rewrite"],
    ["plan"],
    ["backends"],
    ["debug"],
    ["see"],
    ["declared", "arguments", "plan_table", "function"],
    ["gradcheck"],
    ["testing", "workbench", "nn", "datasets", "viz", "theano"],
    ["book", "demo"],
    ["cli", "__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def runtime_imports(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, absolute module name below symconv) of every import that runs, in functions too."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            if node.module == "symconv":
                found += [(node.lineno, f"symconv.{a.name}") for a in node.names]
            elif node.module:
                found.append((node.lineno, node.module))
        found += runtime_imports(node)
    return [(line, name) for line, name in found if name.split(".")[0] == "symconv"]


def top(module: str) -> str:
    """'symconv.graph.core' -> 'graph'; 'symconv' -> ''."""
    return module.split(".")[1] if "." in module else ""


def offences(source: str, own: str, layers: dict[str, int]) -> list[str]:
    bad = []
    for line, name in runtime_imports(ast.parse(source)):
        target = top(name)
        if target == "":
            bad.append(f"line {line}: imports the whole package")
        elif target not in layers:
            bad.append(f"line {line}: {name} has no layer")
        elif layers[target] > layers[own]:
            bad.append(f"line {line}: {own} imports {name}, which lies to its right")
    return bad


MODULES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_left(path):
    own = path.parts[0].removesuffix(".py")
    assert own in LEVEL, f"symconv/{path} has no layer: add it to LAYERS"
    assert not offences((PACKAGE / path).read_text(), own, LEVEL)


def test_an_edge_to_the_right_is_found():
    source = "def f():\n    from symconv.plan.plan import Plan\n"
    assert offences(source, "ops", LEVEL) == [
        "line 2: ops imports symconv.plan.plan, which lies to its right"
    ]
    assert offences("from symconv import nn", "graph", LEVEL)
    assert offences("import symconv", "graph", LEVEL)
    assert not offences(source, "backends", LEVEL)
    assert not offences("if TYPE_CHECKING:\n    from symconv.plan import Plan", "ops", LEVEL)
