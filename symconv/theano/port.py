"""python -m symconv.theano.port PROGRAM...: convert Theano programs from Python 2 to Python 3.

The grammar and the fixers for print, xrange, exceptions, dictionaries and moved modules are those of
fissix, the successor of lib2to3. On top come division (which Python 2 rounded down between integers),
six.moves, files (port_files.py), and what port_libraries.py lists. Every changed line is printed.
"""

from __future__ import annotations

import argparse
import difflib
import io
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from symconv.errors import MissingExtraError, SymconvError
from symconv.theano import port_files as files
from symconv.theano import port_libraries as libraries
from symconv.theano.port_names import moved_clock

# fixers of fissix that programs need; those that only change style are left out
FIXERS = (
    "apply", "basestring", "dict", "except", "exec", "execfile", "filter", "funcattrs", "getcwdu", "has_key",
    "import", "imports", "imports2", "input", "itertools", "itertools_imports", "long", "map", "metaclass",
    "methodattrs", "ne", "next", "nonzero", "numliterals", "operator", "paren", "print", "raise", "raw_input",
    "reduce", "reload", "renames", "repr", "standarderror", "sys_exc", "throw", "tuple_params", "types",
    "unicode", "urllib", "xrange", "xreadlines", "zip",
)  # fmt: skip
HELPERS = "from symconv.theano.python2 import {}\n"


class PortError(SymconvError, SyntaxError):
    """A program that cannot be parsed as Python 2 or 3."""


def convert(source: str, name: str = "<string>") -> str:
    """The program as Python 3. Raises PortError, MissingExtraError."""
    try:
        from fissix import refactor
        from fissix.pgen2.parse import ParseError
        from fissix.pgen2.tokenize import TokenError
    except ImportError as error:
        raise MissingExtraError(
            'converting programs needs fissix, the successor of lib2to3\n  hint: pip install "symconv[port]"'
        ) from error
    if not source.endswith("\n"):
        source += "\n"
    source = source.expandtabs(8) if re.search(r"^ *\t", source, re.MULTILINE) else source
    source = moved_clock(_moved(source))
    try:
        compile(source, name, "exec", dont_inherit=True)
        modern = True  # its prints are functions, and / may mean what Python 3 means by it
    except SyntaxError:
        modern = False
    true_division = re.search(r"^from __future__ import .*\bdivision\b", source, re.MULTILINE) is not None
    functions = modern and _calls_print(source)
    tool = refactor.RefactoringTool(
        [f"fissix.fixes.fix_{f}" for f in FIXERS if not (functions and f == "print")],
        {"print_function": functions},
    )
    try:
        tree = tool.refactor_string(source, name)
    except (ParseError, TokenError, IndentationError) as error:
        raise PortError(f"{name}: cannot be parsed as Python 2: {error}") from None
    if tree is None:
        raise PortError(f"{name}: cannot be parsed as Python 2")
    if not true_division:
        _Division(tree).run()
    libraries.convert(tree)
    wanted = ["array_of_bytes"] if files.convert(tree) else []
    text = str(tree)
    if re.search(r"\bdiv\(", text) and HELPERS.format("div") not in text and not true_division:
        wanted.append("div")
    if wanted:
        text = _with_import(text, HELPERS.format(", ".join(wanted)))
    try:
        compile(text, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        what = f"line {error.lineno} of the converted program is no Python 3: {error.msg}"
        raise PortError(f"{name}: {what}") from None
    return text


def _calls_print(source: str) -> bool:
    """True if print is used as a function of several arguments or with keywords, as Python 3 has it."""
    return re.search(r"^from __future__ import .*\bprint_function\b", source, re.MULTILINE) is not None or (
        re.search(r"\bprint\s*\([^()]*(?:\([^()]*\)[^()]*)*(?:end|file|sep)\s*=", source) is not None
    )


def _moved(source: str) -> str:
    """six.moves, which stood for either version's module, becomes Python 3's."""
    source = re.sub(r"\bimport six\.moves\.cPickle as (\w+)", r"import pickle as \1", source)
    source = re.sub(r"\bfrom six\.moves import cPickle as (\w+)", r"import pickle as \1", source)
    source = re.sub(r"\bfrom six\.moves import cPickle\b", "import pickle as cPickle", source)
    source = re.sub(
        r"^from six\.moves import (?:xrange|range|zip|map|filter|input)\s*$", "", source, flags=re.M
    )
    source = re.sub(r"\bfrom six\.moves import urllib\b", "import urllib.request", source)
    return re.sub(r"^import pickle as pickle$", "import pickle", source, flags=re.M)


def _with_import(text: str, line: str) -> str:
    """The import `line` after the module's docstring and its __future__ imports."""
    import ast

    body = ast.parse(text).body
    last = 0
    for node in body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (docstring and last == 0 and node is body[0]) and not future:
            break
        last = node.end_lineno or last
    lines = text.splitlines(keepends=True)
    if last == 0:
        while last < len(lines) and lines[last].startswith("#"):
            last += 1
    return "".join([*lines[:last], line, *lines[last:]])


# ---- division -------------------------------------------------------------------------------------------


class _Division:
    """a / b: // where both are known to be integers, / where one is known to be a float, else div(a, b)."""

    def __init__(self, tree: Any) -> None:
        from fissix.pygram import python_symbols

        self.tree = tree
        self.symbols = python_symbols
        self.kinds = self._names()

    def run(self) -> None:
        for node in list(self.tree.post_order()):
            if node.type == self.symbols.term:
                self._rewrite(node)
            elif getattr(node, "value", None) == "/=":
                self._augmented(node)

    def _names(self) -> dict[str, str]:
        """The kind of every name that is only ever assigned values of one kind."""
        found: dict[str, set[str]] = {}
        for _ in range(2):  # a second round sees names assigned from names
            self.kinds = {n: next(iter(k)) for n, k in found.items() if len(k) == 1 and "?" not in k}
            found = {}
            for node in self.tree.pre_order():
                if node.type == self.symbols.expr_stmt and len(node.children) == 3:
                    target, _, value = node.children
                    if target.type == 1:
                        found.setdefault(target.value, set()).add(self.kind(value))
                    else:
                        self._unknown(target, found)
                elif node.type == self.symbols.for_stmt:
                    counts = str(node.children[3]).strip().startswith(("range(", "xrange("))
                    if node.children[1].type == 1 and counts:
                        found.setdefault(node.children[1].value, set()).add("int")
                    else:
                        self._unknown(node.children[1], found)
                elif node.type in (self.symbols.parameters, self.symbols.varargslist, self.symbols.lambdef):
                    self._unknown(node, found)
                elif node.type == self.symbols.expr_stmt:
                    for child in node.children:
                        self._unknown(child, found)
        return {n: next(iter(k)) for n, k in found.items() if len(k) == 1 and "?" not in k}

    def _unknown(self, node: Any, found: dict[str, set[str]]) -> None:
        for leaf in node.leaves():
            if leaf.type == 1:
                found.setdefault(leaf.value, set()).add("?")

    def kind(self, node: Any) -> str:
        """'int', 'float' or '?'."""
        text = str(node).strip()
        if re.fullmatch(r"-?\d+[lL]?|-?0[xX][0-9a-fA-F]+", text):
            return "int"
        if re.fullmatch(r"-?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?", text):
            return "float"
        if re.fullmatch(r"[A-Za-z_]\w*", text):
            return self.kinds.get(text, "?")
        if re.fullmatch(r"len\(.*\)|int\([^()]*\)", text, re.DOTALL) and _one_call(text):
            return "int"
        if re.fullmatch(r"float\(.*\)|(?:np|numpy|math)\.sqrt\(.*\)", text, re.DOTALL) and _one_call(text):
            return "float"
        children = getattr(node, "children", [])
        if node.type == self.symbols.atom and len(children) == 3 and str(children[0]).strip() == "(":
            return self.kind(children[1])
        if node.type in (self.symbols.arith_expr, self.symbols.term):
            return self._joined([self.kind(c) for c in children[::2]])
        if node.type == self.symbols.factor:
            return self.kind(children[1])
        return "?"

    def _joined(self, kinds: list[str]) -> str:
        """Of a chain of + - * / //: float if any operand is, int if all are."""
        if "float" in kinds:
            return "float"
        return "?" if "?" in kinds else "int"

    def _rewrite(self, node: Any) -> None:
        from fissix.pytree import Leaf

        if not any(str(c).strip() == "/" for c in node.children[1::2]):
            return
        prefix = node.prefix
        left_text = str(node.children[0]).strip()
        left_kind = self.kind(node.children[0])
        for sign, right in zip(node.children[1::2], node.children[2::2]):
            operator, kind = str(sign).strip(), self.kind(right)
            between = str(sign) + right.prefix
            text = str(right).strip()
            if operator == "/" and left_kind == kind == "int":
                left_text += f"{sign.prefix}//{right.prefix}{text}"
            elif operator == "/" and "float" not in (left_kind, kind):
                left_text = f"div({left_text}, {text})"
            else:
                left_text += between + text
            left_kind = self._joined([left_kind, kind])
        node.replace(Leaf(1, left_text, prefix=prefix))

    def _augmented(self, leaf: Any) -> None:
        """a /= b becomes a = div(a, b), or //= between integers."""
        statement = leaf.parent
        target, _, value = statement.children
        kinds = (self.kind(target), self.kind(value))
        if "float" in kinds:
            return
        if kinds == ("int", "int"):
            leaf.value = "//="
        else:
            leaf.value = "="
            from fissix.pytree import Leaf

            value.replace(Leaf(1, f"div({str(target).strip()}, {str(value).strip()})", prefix=value.prefix))


def _one_call(text: str) -> bool:
    """True if the bracket that ends `text` belongs to the one that opens first."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and c == ")":
            return k == len(text) - 1
    return False


# ---- the command ----------------------------------------------------------------------------------------


def changes(before: str, after: str) -> list[str]:
    """One line of text for every line taken out (-) or put in (+), with its number."""
    out, old, new = [], 0, 0
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line.startswith("- "):
            old += 1
            out.append(f"  {old:>5} - {line[2:].strip()}")
        elif line.startswith("+ "):
            new += 1
            out.append(f"  {new:>5} + {line[2:].strip()}")
        elif line.startswith("  "):
            old, new = old + 1, new + 1
    return out


def programs(paths: Iterable[str]) -> dict[Path, Path]:
    """The .py files that are named, or lie below a directory that is, each with its path below what was
    named. Raises FileNotFoundError."""
    found: dict[Path, Path] = {}
    for name in paths:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(f"no such file: {name}")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found[file] = file.relative_to(path) if path.is_dir() else Path(file.name)
    return found


def main(argv: list[str] | None = None) -> int:
    """Convert files; 0, or 1 if one of them could not be."""
    parser = argparse.ArgumentParser(prog="python -m symconv.theano.port", description=__doc__)
    parser.add_argument("paths", nargs="+", help="programs, or directories of programs")
    parser.add_argument("-o", "--output", type=Path, help="write there, and leave the originals as they are")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print what would change, write nothing")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the names of changed files")
    options = parser.parse_args(argv)
    failed = False
    try:
        files = programs(options.paths)
    except FileNotFoundError as error:
        print(f"port: {error}", file=sys.stderr)
        return 1
    for path, below in files.items():
        try:
            before = _read(path)
            after = convert(before, str(path))
        except (PortError, UnicodeDecodeError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = True
            continue
        lines = changes(before, after)
        print(f"{path}: {sum(line[:9].endswith('+') for line in lines)} lines changed")
        if not options.quiet and lines:
            print("\n".join(lines))
        if options.dry_run:
            continue
        target = path
        if options.output is not None:
            target = options.output / below
            target.parent.mkdir(parents=True, exist_ok=True)
        elif after != before:
            path.with_suffix(".py.bak").write_bytes(path.read_bytes())
        if target != path or after != before:
            target.write_text(after, encoding="utf-8")
    return int(failed)


def _read(path: Path) -> str:
    import tokenize

    data = path.read_bytes()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding).replace("\r\n", "\n")
    except (SyntaxError, UnicodeDecodeError):
        return data.decode("latin-1").replace("\r\n", "\n")


if __name__ == "__main__":
    sys.exit(main())
