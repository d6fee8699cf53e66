"""Weights files: what is saved is loaded; every kind of damage is named; nothing is half-written."""

from __future__ import annotations

import json
import os
import struct
import sys

import numpy as np
import pytest

import symconv
from symconv.errors import MissingExtraError, OutputError, WeightsError
from symconv.nn import checkpoint, safetensors

st = pytest.importorskip("safetensors.numpy")
KINDS = [".safetensors", ".npz"]
SPEC = {"net": "conv", "layers": [["ConvPool", [20, 1, 5, 5]], ["Softmax", 10]], "mini_batch_size": 10}


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "0.w": rng.normal(size=(2, 1, 3, 3)).astype("float32"),
        "0.b": np.zeros(2, "float32"),
        "1.w": rng.normal(size=(5, 4)),
        "step": np.array(7),
        "mask": np.array([True, False]),
        "none": np.empty((0, 3), "float32"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_round_trip(tmp_path, kind):
    path = tmp_path / f"w{kind}"
    metadata = {"epoch": 3, "sizes": {2: (1, 2), 10: 0.1}}
    assert checkpoint.save(str(path), tensors(), spec=SPEC, metadata=metadata) == path
    found = checkpoint.load(path, expected=tensors())
    assert found.spec == SPEC and found.version == symconv.__version__
    assert found.metadata == {"epoch": 3, "sizes": {"2": [1, 2], "10": 0.1}}  # as JSON has it
    assert sorted(found.tensors) == sorted(tensors())
    for name, tensor in tensors().items():
        assert found.tensors[name].dtype == tensor.dtype and found.tensors[name].shape == tensor.shape
        assert np.array_equal(found.tensors[name], tensor)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_keeps_views_and_byte_order(tmp_path, kind):
    matrix = np.arange(12, dtype="float32").reshape(3, 4)
    checkpoint.save(tmp_path / f"w{kind}", {"t": matrix.T, "s": matrix[:, ::2], "big": matrix.astype(">f4")})
    found = checkpoint.load(tmp_path / f"w{kind}").tensors
    assert np.array_equal(found["t"], matrix.T) and np.array_equal(found["s"], matrix[:, ::2])
    assert np.array_equal(found["big"], matrix) and found["big"].dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_of_equal_weights_is_the_same_file(tmp_path, kind):
    for name in "ab":
        checkpoint.save(tmp_path / f"{name}{kind}", tensors(), spec=SPEC, metadata={"a": 1, "b": 2, "c": 3})
    assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_names_every_tensor_that_does_not_fit(tmp_path, kind):
    path = tmp_path / f"w{kind}"
    checkpoint.save(path, tensors())
    expected = {**tensors(), "0.w": (4, 1, 3, 3), "2.w": np.zeros((3, 2))}
    del expected["mask"]
    with pytest.raises(WeightsError) as info:
        checkpoint.load(path, expected=expected)
    message = str(info.value)
    for line in (
        str(path),
        "0.w: expected [4, 1, 3, 3], found [2, 1, 3, 3]",
        "2.w: expected [3, 2], not in the file",
        "mask: not expected, found [2]",
    ):
        assert line in message
    assert "0.b" not in message


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_notices_every_truncation(tmp_path, kind):
    path = tmp_path / f"w{kind}"
    checkpoint.save(path, {"w": np.arange(6, dtype="float32")}, spec=SPEC)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="mend") as info:
            checkpoint.load(path)
        assert str(path) in str(info.value)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_notices_flipped_bits(tmp_path, kind):
    """Whatever byte is changed: the right weights, or a WeightsError."""
    path = tmp_path / f"w{kind}"
    wanted = {"w": np.arange(6, dtype="float32"), "b": np.arange(3, dtype="float64")}
    checkpoint.save(path, wanted, spec=SPEC)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x24]) + whole[place + 1 :])
        try:
            found = checkpoint.load(path, expected=wanted)
        except WeightsError:
            refused += 1
            continue
        assert found.spec in (SPEC, None), f"byte {place}"
        for name in wanted:
            assert np.array_equal(found.tensors[name], wanted[name]), f"byte {place}"
    assert refused > 40


def test_checkpoint_notices_another_dtype_of_the_same_bytes_and_a_lost_tensor(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoint.save(path, {"w": np.arange(6, dtype="float32"), "b": np.zeros(2, "int8")})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"F32"', b'"I32"'))
    with pytest.raises(WeightsError, match="'w' does not match its checksum"):
        checkpoint.load(path)
    path.write_bytes(whole.replace(b'"b":{', b'"c":{'))
    with pytest.raises(WeightsError, match="'b' is gone"):
        checkpoint.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_missing_file_or_directory(tmp_path, kind):
    with pytest.raises(WeightsError, match=f"w{kind}: no such weights file"):
        checkpoint.load(tmp_path / f"w{kind}")
    (tmp_path / f"d{kind}").mkdir()
    with pytest.raises(WeightsError, match="a directory"):
        checkpoint.load(tmp_path / f"d{kind}")


def test_checkpoint_reads_files_of_others(tmp_path):
    arrays = {"w": np.ones((2, 3), "float32")}
    st.save_file(arrays, tmp_path / "plain.safetensors")
    np.savez(tmp_path / "plain.npz", **arrays)
    (tmp_path / "plain.npz").rename(tmp_path / "renamed")
    for name in ("plain.safetensors", "renamed"):
        found = checkpoint.load(tmp_path / name, expected={"w": (2, 3)})
        assert np.array_equal(found.tensors["w"], arrays["w"])
        assert found.spec is None and found.version is None and found.metadata == {}


def raw_safetensors(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content, message",
    [
        (b"not a weights file at all", "not a readable safetensors file of 25 bytes"),
        (raw_safetensors({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"abcd"), "mend"),
        (raw_safetensors({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"abcd"), "mend"),
        (raw_safetensors({"__metadata__": {"symconv": "{"}}, b""), "metadata is not JSON"),
        (raw_safetensors({"__metadata__": {"symconv": "[1]"}}, b""), "metadata is not JSON"),
        (
            raw_safetensors({"__metadata__": {"symconv": '{"format": 2, "version": "9"}'}}, b""),
            "symconv 9, newe",
        ),
        (raw_safetensors({"__metadata__": {"symconv": '{"spec": 1}'}}, b""), "metadata does not match"),
    ],
)
def test_checkpoint_refuses_strange_files(tmp_path, content, message):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        checkpoint.load(tmp_path / "w")


def test_checkpoint_never_unpickles(tmp_path):
    np.savez(tmp_path / "w.npz", w=np.array([{}], object), allow_pickle=True)
    with pytest.raises(WeightsError, match="not a readable .npz"):
        checkpoint.load(tmp_path / "w.npz")


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_refuses_what_it_cannot_hold_and_keeps_the_old_file(tmp_path, kind):
    path = tmp_path / f"w{kind}"
    checkpoint.save(path, tensors())
    before = path.read_bytes()
    for bad, spec in [
        ({"w": np.array(["a"])}, None),
        ({"w": np.zeros(2, complex)}, None),
        ({"w": np.array([{}], object)}, None),
        (tensors(), {"net": object()}),
    ]:
        with pytest.raises(WeightsError, match=path.name):
            checkpoint.save(path, bad, spec=spec)
    with pytest.raises(WeightsError, match="symconv"):
        checkpoint.save(tmp_path / "w.npz", {"symconv": np.zeros(1)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoint_unwritable_path(tmp_path, kind):
    with pytest.raises(OutputError, match="does not exist"):
        checkpoint.save(tmp_path / f"no/w{kind}", tensors())
    with pytest.raises(OutputError, match=".safetensors or .npz"):
        checkpoint.save(tmp_path / "w.pt", tensors())
    assert os.listdir(tmp_path) == []


def test_checkpoint_without_safetensors_loads_and_names_the_extra_for_saving(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "here.safetensors", tensors(), spec=SPEC)
    for name in [m for m in sys.modules if m.split(".")[0] == "safetensors"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"saving weights needs .* safetensors.*symconv\[train\]"):
        checkpoint.save(tmp_path / "w.safetensors", tensors())
    checkpoint.save(tmp_path / "w.npz", tensors())
    assert checkpoint.load(tmp_path / "w.npz").tensors["step"] == 7
    found = checkpoint.load(tmp_path / "here.safetensors", expected=tensors())
    assert found.spec == SPEC and all(np.array_equal(found.tensors[k], v) for k, v in tensors().items())


# -- the reader of safetensors, beside the package's ------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_reader_gives_what_the_package_gives(tmp_path, seed):
    rng = np.random.default_rng(seed)
    dtypes = ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
    wanted = {
        f"{seed}.é.{dtype}": rng.integers(0, 2, rng.integers(0, 4, rng.integers(0, 4))).astype(dtype)
        for dtype in rng.permutation(dtypes)
    }
    metadata = {"a": "b", "": "\u2202"}
    st.save_file(wanted, tmp_path / "w", metadata)
    found, words = safetensors.read(tmp_path / "w")
    assert words == metadata and found.keys() == wanted.keys()
    for name, tensor in st.load_file(tmp_path / "w").items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert found[name].tobytes() == tensor.tobytes() and found[name].flags.writeable


def entry(dtype="F32", shape=(1,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header, data, words",
    [
        ({"w": entry(end=4)}, b"abc", "should lie at"),
        ({"w": entry(end=4)}, b"abcde", "the file holds 5"),
        ({"w": entry(begin=1, end=5)}, b"abcde", "should lie at"),
        ({"v": entry(), "w": entry()}, b"abcd", "should lie at"),
        ({"v": entry(), "w": entry(begin=2, end=6)}, b"abcdef", "should lie at"),
        ({"v": entry(), "w": entry(begin=6, end=10)}, b"0123456789", "should lie at"),
        ({"w": entry(shape=(2**40, 2**40), end=4)}, b"abcd", "should lie at"),
        ({"w": entry(shape=(-1,))}, b"abcd", "needs dtype, shape"),
        ({"w": entry(shape=(True,))}, b"abcd", "needs dtype, shape"),
        ({"w": entry(end="4")}, b"abcd", "needs dtype, shape"),
        ({"w": [1]}, b"abcd", "needs dtype, shape"),
        ({"w": entry(dtype="BF16", end=2)}, b"ab", "dtype BF16 is not one of BOOL, U8"),
        ({"w": entry(dtype=["F32"])}, b"abcd", "is not one of"),
        ({"w": entry(dtype="BOOL", end=1)}, b"\2", "neither 0 nor 1"),
        ({"__metadata__": {"a": 1}}, b"", "does not hold strings"),
        ({"__metadata__": ["a"]}, b"", "does not hold strings"),
    ],
)
def test_reader_and_package_refuse_unsound_files(tmp_path, header, data, words):
    path = tmp_path / "w"
    path.write_bytes(raw_safetensors(header, data))
    with pytest.raises(ValueError, match=words):
        safetensors.read(path)
    if "BF16" not in words and "neither" not in words:  # the package takes any byte for a bool
        with pytest.raises(Exception):  # noqa: B017  # whatever the package raises
            st.load_file(path)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not the length"),
        (b"\xff" * 8, "not the length"),
        (struct.pack("<Q", 90) + b"{}", "ends after 2"),
        (struct.pack("<Q", 2) + b"[]", "not a JSON object"),
        (struct.pack("<Q", 2) + b"{\xff", "utf-8"),
        (struct.pack("<Q", 50_000) + b"[" * 50_000, "nested"),
        (struct.pack("<Q", 21) + b'{"a":1,"a":{"b":"c"}}', "twice"),
    ],
)
def test_reader_refuses_headers_that_are_none(tmp_path, content, words):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        safetensors.read(tmp_path / "w")


def test_reader_takes_no_memory_for_a_header_that_claims_much(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<Q", 99_999_999) + b"{")
    with pytest.raises(ValueError, match="ends after 1"):
        safetensors.read(tmp_path / "w")
