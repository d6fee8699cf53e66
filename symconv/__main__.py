"""python -m symconv: the command line."""

from __future__ import annotations

import sys

from symconv.cli import main

sys.exit(main())
