"""symconv demo: a page to draw digits on, and to see what a net makes of them."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from symconv.cli.options import add_device
from symconv.config import config
from symconv.demo import Demo, Server, serve
from symconv.device import resolve_device
from symconv.nn.saved import SHIPPED

PORT = 7840


def port_number(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {value}")
    return value


port_number.__name__ = "port number"


def add_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="serve a page to draw digits on",
        description="Serve a page, to this machine alone, on which digits are drawn with mouse, finger or "
        "keyboard, and which shows the net's answer, its certainty, the feature maps of every layer and the "
        "filters that fired most strongly, while you draw. Ctrl-C ends it.",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        action="append",
        default=[],
        metavar="F",
        help="written by symconv train; again for another net to choose (default: the net that ships with "
        "symconv, which can be chosen always)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="a name of this machine itself (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=PORT,
        metavar="N",
        help="0 takes a free one (default: %(default)s)",
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="where the test digits come from: a directory of IDX files or an .npz file (default: MNIST, if "
        "it is on this machine)",
    )
    add_device(parser)
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    with config(device=arguments.device or config.device):
        device = resolve_device()
        demo = Demo([*arguments.weights, SHIPPED], data=arguments.data, device=device)
        server = Server(demo, arguments.host, arguments.port)
        print(f"The page is at {server.url} (Ctrl-C ends it)", flush=True)
        if not arguments.no_browser and has_screen():
            threading.Thread(target=webbrowser.open, args=[server.url], daemon=True).start()
        serve(server)
    print("Ended.")
    return 0


def has_screen() -> bool:
    """Whether a browser would open in a window: one that runs in the terminal would take it away."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
