"""mnist() and fashion_mnist(): looked up on disk, else fetched from a public mirror and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

from symconv.config import config
from symconv.datasets.dataset import Dataset
from symconv.datasets.idx import data_error
from symconv.datasets.load import find_idx, load
from symconv.errors import DataError, MissingExtraError, OutputError
from symconv.files import import_extra, reason


class Source(NamedTuple):
    """Where a data set is published, the SHA-256 of each file there, and the names of its classes."""

    mirrors: tuple[str, ...]
    sha256: dict[str, str]
    classes: tuple[str, ...]


# The checksums are those of the files as the mirrors hold them. The repository's own data/mnist is packed
# anew and differs as .gz; its contents are the same bytes.
SOURCES = {
    "mnist": Source(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
        tuple("0123456789"),
    ),
    "fashion_mnist": Source(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    ),
}
CHECKOUT = Path(__file__).resolve().parents[2] / "data"


def mnist(
    *,
    limit: int | None = None,
    validation: int | None = None,
    check_finite: bool | None = None,
    download: bool = True,
) -> Dataset:
    """MNIST in the book's split: 50,000 training, 10,000 validation and 10,000 test images of 28 x 28.

    images float32 [n, 784] = pixel/256; labels int32 [n]. Looked for in config.data (SYMCONV_DATA), in the
    checkout's data/, in config.cache_dir, then downloaded into that cache unless download=False. `limit`
    keeps the first images of each split; `validation` is the number held out from the end of the training
    images. Raises DataError, with the file's name, for missing or damaged data.
    """
    return named("mnist", limit, validation, check_finite, download)


def fashion_mnist(
    *,
    limit: int | None = None,
    validation: int | None = None,
    check_finite: bool | None = None,
    download: bool = True,
) -> Dataset:
    """Fashion-MNIST: pictures of clothes in MNIST's format, split and looked up as mnist() does.

    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017. MIT licence.
    """
    return named("fashion_mnist", limit, validation, check_finite, download)


def named(
    name: str, limit: int | None, validation: int | None, check_finite: bool | None, download: bool
) -> Dataset:
    directory = find(name) or cached(name, download)
    data = load(
        directory,
        limit=limit,
        validation=validation,
        classes=SOURCES[name].classes,
        check_finite=check_finite,
    )
    return Dataset(name, data.train, data.validation, data.test, data.image_shape, data.classes)


def find(name: str) -> Path | None:
    """The directory of a data set in config.data or the checkout, whether or not it is whole."""
    candidates = [CHECKOUT / name]
    if config.data is not None:
        if not config.data.is_dir():
            raise data_error(
                config.data,
                "no such directory",
                f"a directory that holds {name}/ or IDX files",
                mend="correct config.data or SYMCONV_DATA, or unset it",
            )
        candidates = [config.data / name, config.data, *candidates]
    for directory in candidates:
        if directory.is_dir() and find_idx(directory):
            return directory
    return None


def cached(name: str, download: bool) -> Path:
    """The cache's directory of a data set, with every file there and its checksum right."""
    directory, source = config.cache_dir / name, SOURCES[name]
    for file, sha256 in source.sha256.items():
        path = directory / file
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            continue
        if not download:
            raise absent(name, path, "download=False")
        fetch(name, path, sha256)
    return directory


def fetch(name: str, path: Path, sha256: str) -> None:
    """Download one file from the first mirror that has it. It appears under its name once it is whole."""
    try:
        pooch = import_extra("pooch", "data", f"downloading {name}")
    except MissingExtraError as why:
        raise MissingExtraError(f"{absent(name, path, 'no downloader')}\n  or: {why}") from why
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise OutputError(
            f"cannot make the cache directory {path.parent}: {reason(why)}"
            "\n  hint: choose another with config.cache_dir or SYMCONV_CACHE_DIR"
        ) from why
    failures = []
    for mirror in SOURCES[name].mirrors:
        downloader = pooch.HTTPDownloader(progressbar=progress_bar(), timeout=30)
        try:
            pooch.retrieve(
                mirror + path.name, f"sha256:{sha256}", path.name, path.parent, downloader=downloader
            )
            return
        # A dead mirror, a proxy's error page (the checksum differs), a full disk: say so, and try the next.
        except (OSError, ValueError) as why:
            failures.append(f"{mirror}{path.name}: {type(why).__name__}: {first_line(why)}")
    raise absent(name, path, "\n           ".join(["no mirror gave it:", *failures]))


def progress_bar() -> bool:
    """Whether to draw one: tqdm is installed and somebody watches."""
    return importlib.util.find_spec("tqdm") is not None and sys.stderr.isatty()


def first_line(why: BaseException) -> str:
    return (str(why).splitlines() or [""])[0][:200]


def absent(name: str, path: Path, why: str) -> DataError:
    return data_error(
        path,
        f"{name} is not on this machine",
        f"its IDX files in config.data (now {config.data}), {CHECKOUT / name} or {path.parent}",
        why,
        f"put the files {', '.join(SOURCES[name].sha256)} into one of these directories,"
        f" or connect to the network\n           they come from {SOURCES[name].mirrors[0]}",
    )
