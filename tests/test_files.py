"""Atomic files and optional packages."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from symconv.errors import MissingExtraError, OutputError
from symconv.files import atomic_path, import_extra


def test_atomic_path_replaces_the_file_at_the_end(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old" and temporary.suffix == ".txt"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_leaves_the_old_file_after_an_error(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_atomic_path_reports_a_full_disk(tmp_path):
    with (
        pytest.raises(OutputError, match="cannot write .*file.txt: No space left"),
        atomic_path(tmp_path / "file.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_atomic_path_refuses_what_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, message in [
        (tmp_path, "it is a directory"),
        (tmp_path / "no/such", "No such file(.|\n)*hint: the directory .* not exist"),
        (tmp_path / "file/below", "Not a directory(.|\n)*hint: .*file is not a directory"),
    ]:
        with pytest.raises(OutputError, match=message), atomic_path(path):
            pytest.fail("the block must not run")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind root")
def test_atomic_path_refuses_protected_places(tmp_path):
    protected = tmp_path / "protected"
    protected.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="you may not write into"), atomic_path(protected / "file"):
        pytest.fail("the block must not run")
    (tmp_path / "file").touch(mode=0o400)
    with pytest.raises(OutputError, match="write-protected"), atomic_path(tmp_path / "file"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_atomic_path_heeds_umask_and_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    old = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "link") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_import_extra(monkeypatch):
    assert import_extra("os.path", "x", "nothing") is os.path
    for name in ("matplotlib", "matplotlib.figure"):  # another test may have imported them
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pictures needs the package matplotlib: pip .*\[viz\]"):
        import_extra("matplotlib.figure", "viz", "pictures")
