"""The parser, and what every command shares: settings, exit codes, errors without a traceback."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from symconv.cli import (
    bench,
    bisect,
    book,
    demo,
    explain,
    kernel,
    kernels,
    predict,
    profile,
    search,
    train,
    tune,
)
from symconv.config import config
from symconv.errors import SymconvError
from symconv.graph.origin import origin

DONE, WRONG, INTERRUPTED = 0, 2, 130
TRACEBACK = "show the Python traceback of an error"


def version() -> str:
    text = importlib.import_module("symconv").__version__
    assert isinstance(text, str)
    return text


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "symconv",
        description="A symbolic graph compiler for convolutional networks.",
        epilog="Settings are read from SYMCONV_* variables: see `symconv config`.",
    )
    parser.add_argument("--version", action="version", version=f"symconv {version()}")
    parser.add_argument("--traceback", action="store_true", help=TRACEBACK)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (train, book, search, predict, demo, bench, explain, profile, kernels, kernel, tune, bisect)
    parts = [module.add_parser(commands) for module in modules]
    settings = commands.add_parser("config", help="print all settings, their values and meanings")
    settings.set_defaults(run=print_config)
    for part in [*parts, settings]:
        # Also after the command; absent there, it must not undo the one before it.
        part.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=TRACEBACK)
    return parser


def print_config(arguments: argparse.Namespace) -> int:
    print(config.describe())
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it did its work, 2 for an error of the user or the data, 130 after Ctrl-C."""
    arguments = make_parser().parse_args(argv)
    try:
        with origin(f"symconv {arguments.command}"):
            code = arguments.run(arguments)
        sys.stdout.flush()
    except SymconvError as error:
        if arguments.traceback:
            traceback.print_exc()
        else:
            print(f"symconv {arguments.command}: error: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print(f"symconv {arguments.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left: not an error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    assert isinstance(code, int)
    return code
