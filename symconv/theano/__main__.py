"""python -m symconv.theano PROGRAM [args]: run a Theano program as it is."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from symconv.theano import install


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(
            "usage: python -m symconv.theano PROGRAM [args]\n\nRuns PROGRAM with `import theano` "
            "answered by symconv.theano."
        )
        return 0 if argv else 2
    if not Path(argv[0]).exists():
        print(f"python -m symconv.theano: no such file: {argv[0]}", file=sys.stderr)
        return 2
    install()
    sys.argv = argv
    sys.path[0] = str(Path(argv[0]).resolve().parent)
    try:
        runpy.run_path(argv[0], run_name="__main__")
    except SyntaxError as error:
        if error.filename and Path(error.filename).suffix == ".py":
            print(
                f"{error.filename}:{error.lineno}: {error.msg}\n  hint: if the program is written for "
                f"Python 2, convert it "
                f"by: python -m symconv.theano.port {error.filename}",
                file=sys.stderr,
            )
            return 1
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
