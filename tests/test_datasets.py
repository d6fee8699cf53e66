"""Data sets: the book's split, every kind of damaged file, look-up, download, shifts."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from symconv import datasets
from symconv.config import config
from symconv.datasets import fetch
from symconv.datasets.idx import read_idx
from symconv.errors import DataError, MissingExtraError, NonFiniteError, OutputError

NAMES = {
    "train-images-idx3-ubyte": "x_train",
    "train-labels-idx1-ubyte": "y_train",
    "t10k-images-idx3-ubyte": "x_test",
    "t10k-labels-idx1-ubyte": "y_test",
}


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays(n: int = 12, n_test: int = 4, side: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "x_train": rng.integers(0, 256, (n, side, side), dtype=np.uint8),
        "y_train": rng.integers(0, 10, n, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (n_test, side, side), dtype=np.uint8),
        "y_test": rng.integers(0, 10, n_test, dtype=np.uint8),
    }


def write_set(directory: Path, data: dict[str, np.ndarray], packed: bool = True) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, key in NAMES.items():
        raw = idx_bytes(data[key])
        if packed:
            (directory / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (directory / name).write_bytes(raw)
    return directory


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No checkout, no data directory, an empty cache."""
    monkeypatch.setattr(fetch, "CHECKOUT", tmp_path / "no-checkout")
    with config(data=None, cache_dir=tmp_path / "cache"):
        yield tmp_path


@pytest.fixture(scope="module")
def mnist():
    return datasets.mnist()


def test_mnist_is_the_books_split(mnist):
    assert [len(s) for s in (mnist.train, mnist.validation, mnist.test)] == [50000, 10000, 10000]
    for split in (mnist.train, mnist.validation, mnist.test):
        assert split.images.dtype == np.float32 and split.images.shape == (len(split), 784)
        assert split.labels.dtype == np.int32 and split.labels.shape == (len(split),)
        assert split.images.flags.c_contiguous
    assert mnist.image_shape == (1, 28, 28) and mnist.classes == tuple("0123456789")
    # The labels every reader of the book has seen first, and the end of the training file.
    assert mnist.train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert mnist.test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert mnist.validation.labels[:8].tolist() == [3, 8, 6, 9, 6, 4, 5, 3]
    assert mnist.validation.labels[-1] == 8


def test_mnist_pixels_are_value_over_256(mnist):
    raw = read_idx(fetch.CHECKOUT / "mnist/t10k-images-idx3-ubyte.gz")
    assert raw.shape == (10000, 28, 28) and raw.dtype == np.uint8
    assert np.array_equal(mnist.test.images * 256, raw.reshape(-1, 784))
    assert mnist.train.images.max() == np.float32(255 / 256) and mnist.train.images.min() == 0
    assert abs(mnist.train.images.mean() - 0.13) < 0.001


def test_mnist_contents_are_the_published_ones():
    raw = gzip.decompress((fetch.CHECKOUT / "mnist/train-labels-idx1-ubyte.gz").read_bytes())
    published = "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    assert hashlib.sha256(raw).hexdigest() == published


def test_mnist_limit_keeps_the_first_of_each_split(mnist):
    few = datasets.mnist(limit=7)
    for name in ("train", "validation", "test"):
        whole, part = getattr(mnist, name), getattr(few, name)
        assert len(part) == 7
        assert np.array_equal(part.images, whole.images[:7]) and np.array_equal(part.labels, whole.labels[:7])


@pytest.mark.parametrize("limit", [0, -1, 2.5, True])
def test_limit_must_be_a_count(limit):
    with pytest.raises(DataError, match="limit"):
        datasets.mnist(limit=limit)


def test_dataset_reads_like_a_sentence(tmp_path):
    data = datasets.load(write_set(tmp_path / "tiny", arrays()))
    assert repr(data).startswith("Dataset('tiny', train=10, validation=2, test=4, image_shape=(1, 3, 3)")
    assert repr(data.test) == "Split(images float32[4, 9], labels int32[4])"
    images, labels = data.test
    assert images is data.test.images and labels is data.test.labels


@pytest.mark.parametrize("packed", [True, False])
def test_load_idx_directory(tmp_path, packed):
    raw = arrays()
    data = datasets.load(write_set(tmp_path, raw, packed), validation=5)
    assert np.array_equal(data.train.images * 256, raw["x_train"][:7].reshape(7, 9))
    assert np.array_equal(data.validation.labels, raw["y_train"][7:])
    assert np.array_equal(data.test.images * 256, raw["x_test"].reshape(4, 9))


def test_load_finds_other_spellings_and_prefers_the_unpacked_twin(tmp_path):
    raw = arrays()
    for name, key in NAMES.items():
        name = "letters-" + name.replace("-idx", ".idx").replace("t10k", "test")
        (tmp_path / name).write_bytes(idx_bytes(raw[key]))
        (tmp_path / (name + ".gz")).write_bytes(b"\x1f\x8bgarbage")
    assert len(datasets.load(tmp_path).test) == 4


def test_load_npz_equals_load_idx(tmp_path):
    raw = arrays()
    np.savez(tmp_path / "tiny.npz", **raw)
    write_set(tmp_path / "idx", raw)
    a, b = datasets.load(tmp_path / "tiny.npz"), datasets.load(tmp_path / "idx")
    c = datasets.load(tmp_path)  # a directory with one .npz
    for name in ("train", "validation", "test"):
        for other in (b, c):
            assert np.array_equal(getattr(a, name).images, getattr(other, name).images)
            assert np.array_equal(getattr(a, name).labels, getattr(other, name).labels)


def test_load_npz_with_validation_and_colour(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    y = np.arange(5).reshape(5, 1)
    np.savez(
        tmp_path / "colour.npz",
        train_images=x,
        train_labels=y,
        val_images=x[:2],
        val_labels=y[:2],
        test_images=x[:1],
        test_labels=y[:1],
    )
    data = datasets.load(tmp_path / "colour.npz")
    assert [len(data.train), len(data.validation), len(data.test)] == [5, 2, 1]
    assert data.image_shape == (3, 4, 6) and data.n_classes == 5
    # Channels come first, whatever they were in the file.
    assert np.array_equal(data.train.images.reshape(5, 3, 4, 6) * 256, x.transpose(0, 3, 1, 2))


def test_load_keeps_channels_first_and_flat_images(tmp_path):
    y = np.zeros(6, int)
    for shape, image_shape in [((6, 2, 5, 7), (2, 5, 7)), ((6, 16), (1, 4, 4)), ((6, 15), (1, 1, 15))]:
        x = np.random.default_rng(0).normal(size=shape)
        np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        data = datasets.load(tmp_path / "a.npz")
        assert data.image_shape == image_shape
        # Floats are not scaled.
        assert np.array_equal(data.test.images, x.reshape(6, -1).astype("float32"))


def test_load_checks_finite_on_request(tmp_path):
    x = np.ones((6, 4))
    x[4, 2] = np.nan
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.zeros(6, int), x_test=x[:1], y_test=np.zeros(1, int))
    assert np.isnan(datasets.load(tmp_path / "a.npz").train.images).sum() == 1
    with pytest.raises(NonFiniteError, match=r"a.npz\[x_train\]: nan in image 4, pixel 2"):
        datasets.load(tmp_path / "a.npz", check_finite=True)
    with config(check_data=True), pytest.raises(NonFiniteError):
        datasets.load(tmp_path / "a.npz")


# Damaged files: (the file's bytes, what the message says)
GOOD = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(GOOD)
DAMAGE = {
    "empty": (b"", "not an IDX file(.|\n)*found    an empty file"),
    "bad magic": (b"\x89PNG\r\n\x1a\n" + GOOD, "expected magic.*\n *found    89 50 4e 47"),
    "bad dtype code": (b"\0\0\x07" + GOOD[3:], "not an IDX file"),
    "short header": (GOOD[:10], "truncated IDX header(.|\n)*16 bytes(.|\n)*10 bytes"),
    "truncated": (GOOD[:-1], "truncated IDX file(.|\n)*expected 40 bytes: 2 x 3 x 4 of uint8(.|\n)*found"),
    "too long": (GOOD + b"x", "bytes after its end"),
    "absurd sizes": (GOOD[:4] + b"\x7f\xff\xff\xff" * 3 + GOOD[16:], "truncated IDX file"),
    "gzip truncated": (PACKED[:-9], "corrupt gzip file(.|\n)*mend"),
    "gzip header only": (b"\x1f\x8b", "corrupt gzip file"),
    "gzip wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "corrupt gzip file(.|\n)*CRC"),
    "gzip of a truncated file": (gzip.compress(GOOD[:-1]), "truncated IDX(.|\n)*40 bytes(.|\n)*39 bytes"),
    "gzip of absurd sizes": (gzip.compress(GOOD[:4] + b"\x7f\xff\xff\xff" * 3 + GOOD[16:]), "truncated IDX"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_read_idx_refuses_damage(tmp_path, damage):
    data, message = DAMAGE[damage]
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DataError, match=message) as info:
        read_idx(tmp_path / "file")
    assert str(info.value).startswith(str(tmp_path / "file"))


def test_read_idx_survives_every_flipped_bit_of_a_gzip(tmp_path):
    """Either the same array or a DataError: never another array, never another exception."""
    packed = gzip.compress(GOOD, mtime=0)
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "file").write_bytes(damaged)
        try:
            found = read_idx(tmp_path / "file")
        except DataError:
            continue
        assert np.array_equal(found, np.arange(24).reshape(2, 3, 4)), f"bit {bit}"


@pytest.mark.parametrize(
    "code, dtype", [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
def test_read_idx_knows_every_dtype(tmp_path, code, dtype):
    array = np.arange(-3, 3).astype(dtype).reshape(3, 2)
    (tmp_path / "file").write_bytes(idx_bytes(array, code))
    found = read_idx(tmp_path / "file")
    assert found.dtype == np.dtype(dtype) and found.dtype.isnative and np.array_equal(found, array)


def test_read_idx_missing_or_directory(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_idx(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def spoil(key, change):
    def make(data):
        data[key] = change(data[key])

    return make


SPOILT = {
    "counts": (
        spoil("y_train", lambda y: y[:-1]),
        "train-labels.*not one label for each image(.|\n)*12 labels(.|\n)*11",
    ),
    "label out of range": (spoil("y_test", lambda y: y + np.uint8(10)), "out of range(.|\n)*0 to 9"),
    "labels are images": (spoil("y_train", lambda y: np.zeros((12, 3, 3), np.uint8)), "column of labels"),
    "images are labels": (spoil("x_train", lambda x: x[:, 0, 0]), "train-images.*not images"),
    "sizes differ": (spoil("x_test", lambda x: x[:, :2]), "another size(.|\n)*1, 3, 3(.|\n)*1, 2, 3"),
    "no pixels": (spoil("x_train", lambda x: x[:, :0]), "without pixels"),
    "five axes": (spoil("x_train", lambda x: x.reshape(12, 1, 1, 3, 3)), "too many axes"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_load_refuses_inconsistent_files(tmp_path, case):
    make, message = SPOILT[case]
    data = arrays()
    make(data)
    with pytest.raises(DataError, match=message):
        datasets.load(write_set(tmp_path, data), classes=tuple("0123456789"))


def test_load_refuses_a_negative_label_a_float_label_and_an_empty_split(tmp_path):
    for key, value, message in [
        ("y_train", np.full(12, -1), "out of range(.|\n)*-1 at index 0 .12 such"),
        ("y_train", np.zeros(12), "not a column of labels(.|\n)*float64"),
        ("y_train", np.zeros((12, 10), int), "argmax"),
        ("x_train", np.full((12, 3, 3), 256), "pixels out of range(.|\n)*256 to 256"),
        ("x_train", np.full((12, 3, 3), True), "integers or floats"),
    ]:
        np.savez(tmp_path / "a.npz", **{**arrays(), key: value})
        with pytest.raises(DataError, match=message):
            datasets.load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{**arrays(n_test=0)})
    with pytest.raises(DataError, match="no images"):
        datasets.load(tmp_path / "a.npz")
    with pytest.raises(DataError, match="more than 12 images"):
        datasets.load(write_set(tmp_path / "idx", arrays()), validation=12)


def test_load_npz_damage(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **arrays())
    good = path.read_bytes()
    for damaged in (good[:-30], good[:100], b"not a zip", good.replace(b"x_train.npy", b"x_trail.npy")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="a.npz") as info:
            datasets.load(path)
        assert "expected" in str(info.value)
    np.savez(path, **{**arrays(), "x_train": np.array([{}], object)}, allow_pickle=True)
    with pytest.raises(DataError, match="not a readable .npz"):
        datasets.load(path)


def test_load_npz_survives_flipped_bytes(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **arrays())
    good, whole = path.read_bytes(), datasets.load(path)
    for place in range(0, len(good), 3):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            data = datasets.load(path)
        except DataError:
            continue
        assert np.array_equal(data.train.images, whole.train.images), f"byte {place}"


def test_load_wrong_paths(tmp_path):
    with pytest.raises(DataError, match="no such file or directory"):
        datasets.load(tmp_path / "missing")
    with pytest.raises(DataError, match="no such file"):
        datasets.load(tmp_path / "missing.npz")
    with pytest.raises(DataError, match="not a whole data set(.|\n)*none of them"):
        datasets.load(tmp_path)
    write_set(tmp_path, arrays())
    with pytest.raises(DataError, match="pass the directory"):
        datasets.load(tmp_path / "t10k-labels-idx1-ubyte.gz")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="mend     add t10k-labels-idx1-ubyte.gz"):
        datasets.load(tmp_path)
    write_set(tmp_path, arrays())
    (tmp_path / "other-t10k-labels-idx1-ubyte").touch()
    with pytest.raises(DataError, match="several files of test labels"):
        datasets.load(tmp_path)
    for name in "ab":
        (tmp_path / "two").mkdir(exist_ok=True)
        np.savez(tmp_path / "two" / f"{name}.npz", **arrays())
    with pytest.raises(DataError, match="several .npz files(.|\n)*a.npz, b.npz"):
        datasets.load(tmp_path / "two")


def test_lookup_order(nowhere, monkeypatch):
    tmp = nowhere
    places = {
        "data": tmp / "data/mnist",
        "itself": tmp / "data",
        "checkout": tmp / "no-checkout/mnist",
        "cache": tmp / "cache/mnist",
    }
    for n, directory in zip((1, 2, 3, 4), places.values(), strict=True):
        write_set(directory, arrays(n_test=n))
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in places["cache"].iterdir()}
    monkeypatch.setitem(fetch.SOURCES, "mnist", fetch.SOURCES["mnist"]._replace(sha256=sums))
    found = []
    with config(data=tmp / "data"):
        for directory in places.values():
            found.append(len(datasets.mnist(download=False).test))
            for file in directory.glob("*.gz"):
                file.unlink()
    assert found == [1, 2, 3, 4]
    with config(data=tmp / "not there"), pytest.raises(DataError, match="not there(.|\n)*SYMCONV_DATA"):
        datasets.mnist()


def test_absent_data_says_where_to_put_it(nowhere):
    with pytest.raises(DataError, match="fashion_mnist is not on this(.|\n)*download=False") as info:
        datasets.fashion_mnist(download=False)
    for part in (str(nowhere / "cache/fashion_mnist"), "t10k-labels-idx1-ubyte.gz", "https://"):
        assert part in str(info.value)
    assert not (nowhere / "cache").exists()


@pytest.fixture
def mirror(nowhere, monkeypatch):
    """Fashion-MNIST in miniature behind file-copying pooch; returns (directory, URLs asked for)."""
    pooch = pytest.importorskip("pooch")
    directory = write_set(nowhere / "mirror", arrays())
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}
    source = fetch.SOURCES["fashion_mnist"]._replace(sha256=sums)
    monkeypatch.setitem(fetch.SOURCES, "fashion_mnist", source)
    asked = []

    class Copier:
        def __init__(self, **options):
            pass

        def __call__(self, url, output_file, pooch_):
            asked.append(url)
            file = directory / url.rsplit("/", 1)[1]
            if not file.exists():
                raise OSError("404 Not Found")
            shutil.copyfile(file, output_file)

    monkeypatch.setattr(pooch, "HTTPDownloader", Copier)
    return directory, asked


def test_download_fills_the_cache_once(nowhere, mirror):
    _, asked = mirror
    assert datasets.fashion_mnist().classes[9] == "ankle boot"
    assert len(asked) == 4
    datasets.fashion_mnist()
    datasets.fashion_mnist(download=False)
    assert len(asked) == 4
    # A damaged file in the cache is noticed and fetched anew.
    file = nowhere / "cache/fashion_mnist/t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-1])
    datasets.fashion_mnist()
    assert len(asked) == 5


def test_download_refuses_a_wrong_checksum_and_leaves_nothing(nowhere, mirror):
    directory, asked = mirror
    (directory / "t10k-images-idx3-ubyte.gz").write_text("<html>Please log in</html>")
    with pytest.raises(DataError, match="t10k-images(.|\n)*no mirror gave it:(.|\n)*hash"):
        datasets.fashion_mnist()
    left = {p.name for p in (nowhere / "cache/fashion_mnist").iterdir()}
    assert left <= set(fetch.SOURCES["fashion_mnist"].sha256) - {"t10k-images-idx3-ubyte.gz"}
    assert sum("t10k-images" in url for url in asked) == len(fetch.SOURCES["fashion_mnist"].mirrors)


def test_download_reports_dead_mirrors(nowhere, mirror):
    directory, _ = mirror
    shutil.rmtree(directory)
    with pytest.raises(DataError, match="no mirror gave it:(.|\n)*404 Not Found"):
        datasets.fashion_mnist()


def test_download_without_pooch_names_the_extra(nowhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"not on this machine(.|\n)*pip install \"symconv\[data\]\""):
        datasets.mnist()


def test_download_into_an_unwritable_cache(nowhere):
    (nowhere / "file").touch()
    with config(cache_dir=nowhere / "file/cache"), pytest.raises(OutputError, match="SYMCONV_CACHE_DIR"):
        datasets.mnist()


def test_nothing_held_out_leaves_an_empty_validation_split():
    data = datasets.mnist(validation=0, limit=70)
    assert data.train.images.shape == (70, 784) and data.validation.images.shape == (0, 784)
    assert len(data.validation) == 0 and len(data.test) == 70
