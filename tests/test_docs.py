"""The Python code in README and docs runs as it stands."""

import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of every Python block."""
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start(1)].count("\n") + 1, m.group(1)) for m in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_code_on_the_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": f"docs_{page.stem}"}
    import sys
    import types

    module = types.ModuleType(str(names["__name__"]))
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        for line, code in blocks(page):
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = [line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("    ")]
    text = re.sub(r"`[^`\n]*`", "", "\n".join(prose))  # f[a](b) in code is no link
    for target in LINK.findall(text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_exception_is_on_the_page_with_cause_and_cure():
    import inspect

    from symconv import errors

    page = " ".join((ROOT / "docs" / "errors.md").read_text(encoding="utf-8").split())
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(cls, errors.SymconvError) or cls.__module__ != errors.__name__:
            continue
        cause, cure = re.match(r"Cause: (.*?) Cure: (.*)", " ".join((cls.__doc__ or "").split())).groups()
        assert f"## {name} " in page and cause in page and cure in page, name
