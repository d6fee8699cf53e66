"""kernels/params.h and its parser: layout equals C's, mistakes raise."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from symconv.graph import params


def test_pack_matches_c_layout():
    data = params.pack("FillParams", itemsize=4, count=7, value=-1)
    assert data == np.array([4, 0], "<i4").tobytes() + np.array([7, -1], "<i8").tobytes()


def test_unpack_inverts_pack():
    fields = dict(
        ndim=2, itemsize=8, in_offset=3, out_offset=0, shape=(5, 6), in_stride=(1, 5), out_stride=(6, 1)
    )
    back = params.unpack("StridedCopyParams", params.pack("StridedCopyParams", **fields))
    assert back["shape"] == (5, 6, 0, 0, 0, 0, 0, 0) and back["in_offset"] == 3 and back["ndim"] == 2


def test_every_struct_has_the_compilers_size_and_offsets(tmp_path, cxx):
    lines = [
        f'  printf("{name} {field} %zu %zu\\n", sizeof({name}), offsetof({name}, {field}));'
        for name, dtype in params.structs().items()
        for field in dtype.names
    ]
    source = tmp_path / "layout.cpp"
    source.write_text(
        '#include <cstddef>\n#include <cstdio>\n#include "params.h"\nint main() {\n'
        + "\n".join(lines)
        + "\n}\n"
    )
    program = tmp_path / "layout"
    subprocess.run([cxx, f"-I{params.kernel_dir()}", str(source), "-o", str(program)], check=True)
    for line in subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines():
        name, field, size, offset = line.split()
        dtype = params.structs()[name]
        assert (dtype.itemsize, dtype.fields[field][1]) == (int(size), int(offset)), line


def test_the_header_includes_every_familys_file():
    folder = params.kernel_dir()
    included = [f'#include "{path.name}"' for path in sorted(folder.glob("params_*.h"))]
    assert included == [s for s in (folder / "params.h").read_text().splitlines() if s.startswith("#include")]


def test_tail_follows_the_struct():
    assert params.pack("FillParams", itemsize=1, count=0, value=0, tail=b"xyz")[-3:] == b"xyz"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(extra=1), TypeError, "no such field as extra"),
        (dict(count=None), TypeError, "no value for count"),
        (dict(itemsize=1.5), ValueError, "whole numbers"),
        (dict(itemsize=2**31), ValueError, "int32"),
        (dict(count=2**70), ValueError, "whole numbers|int64"),
        (dict(count=[1, 2]), ValueError, "one value"),
    ],
)
def test_pack_refuses(change, error, message):
    fields = {**dict(itemsize=4, count=1, value=0), **change}
    fields = {k: v for k, v in fields.items() if v is not None}
    with pytest.raises(error, match=message):
        params.pack("FillParams", **fields)


def test_pack_refuses_long_arrays_and_unknown_structs():
    fields = dict(ndim=9, itemsize=8, in_offset=0, out_offset=0, in_stride=(), out_stride=())
    with pytest.raises(ValueError, match="shape holds 8"):
        params.pack("StridedCopyParams", shape=[1] * 9, **fields)
    with pytest.raises(KeyError, match="no struct 'Nothing'"):
        params.pack("Nothing")


@pytest.mark.parametrize(
    "text",
    [
        "struct A { unsigned n; };",
        "struct A { int n, m; };",
        "struct A { int n; }; struct A { int n; };",
        "struct A { struct B { int n; } b; };",
        "#include <stddef.h>",
        "struct A { int a[N]; };",
    ],
)
def test_parser_refuses_what_is_outside_its_subset(text):
    with pytest.raises(ValueError, match="params.h"):
        params.parse_structs(text)


def test_parser_reads_comments_and_all_types():
    dtype = params.parse_structs(
        "// c\nstruct A {\n int n; /* x; */ float f[3]; // y;\n double d; long long q;\n};"
    )["A"]
    assert dtype.names == ("n", "f", "d", "q") and dtype.itemsize == 32
