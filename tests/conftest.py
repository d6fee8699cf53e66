from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def cxx() -> str:
    """A C++ compiler; tests that need one are skipped without."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no C++ compiler")
