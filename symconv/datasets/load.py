"""load(path): a data set from a directory of IDX files, or from one .npz file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from symconv.datasets.dataset import Dataset, Part, build
from symconv.datasets.idx import MEND, data_error, read_idx
from symconv.errors import DataError
from symconv.files import NPZ_FAULTS, Pathlike, reason

# What each of the four IDX files is called, whatever stands before: emnist-letters-train-images-idx3-ubyte.gz
# is as good as train-images.idx3-ubyte.
IDX_NAMES = {
    (split, kind): re.compile(rf"^(.*?){word}[-_.]?{kind}[-_.]idx\d-ubyte(\.gz)?$", re.IGNORECASE)
    for split, word in (("train", "train"), ("test", "(?:t10k|test)"))
    for kind in ("images", "labels")
}
STANDARD = {
    ("train", "images"): "train-images-idx3-ubyte.gz",
    ("train", "labels"): "train-labels-idx1-ubyte.gz",
    ("test", "images"): "t10k-images-idx3-ubyte.gz",
    ("test", "labels"): "t10k-labels-idx1-ubyte.gz",
}
# The names in a .npz: those of Keras' mnist.npz, or MedMNIST's. The validation pair is optional.
NPZ_KEYS = (
    {"train": ("x_train", "y_train"), "validation": ("x_val", "y_val"), "test": ("x_test", "y_test")},
    {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
)


def load(
    path: Pathlike,
    *,
    limit: int | None = None,
    validation: int | None = None,
    classes: Sequence[str] | None = None,
    check_finite: bool | None = None,
) -> Dataset:
    """The data set at `path`: a .npz file, or a directory with four IDX files (gzipped or not) or one .npz.

    A .npz holds x_train, y_train, x_test, y_test and, if it likes, x_val, y_val (MedMNIST's train_images,
    train_labels, ... do too). Images are [n, pixels], [n, H, W], [n, H, W, C] or [n, C, H, W]; integers from
    0 to 255 become value/256, floats stay. Without a validation split, the last `validation` training images
    are taken, by default one in six. `limit` keeps the first images of each split. `classes` names the
    classes, and labels beyond them are refused. Raises DataError for what is missing, damaged or
    inconsistent, and NonFiniteError for NaN or Inf if `check_finite` (default: config.check_data).
    """
    path = Path(path).expanduser()
    if path.is_dir():
        found = find_idx(path)
        archives = sorted(path.glob("*.npz"))
        if not found and len(archives) == 1:
            parts = read_npz(archives[0])
        elif not found and archives:
            raise data_error(path, "several .npz files", "one, or the path of one", names(archives))
        else:
            parts = read_idx_parts(path, found)
    elif path.suffix == ".npz" or zipfile.is_zipfile(path):
        parts = read_npz(path)
    elif not path.exists():
        raise data_error(
            path,
            "no such file or directory",
            "a directory of IDX files, or a .npz file",
            mend="check the path given as `path`, --data or SYMCONV_DATA",
        )
    else:
        raise data_error(
            path,
            "not a data set",
            "a directory of IDX files, or a .npz file",
            "a single file",
            f"for IDX files, pass the directory: {path.parent}",
        )
    return build(
        path.stem, **parts, n_validation=validation, limit=limit, classes=classes, check_finite=check_finite
    )


def find_idx(directory: Path) -> dict[tuple[str, str], Path]:
    """The IDX files of a directory by (split, kind); of a file and its gzipped twin, the unpacked one."""
    found: dict[tuple[str, str], Path] = {}
    try:
        files = sorted(p for p in directory.iterdir() if p.is_file())
    except OSError as why:
        raise data_error(directory, f"cannot be read: {reason(why)}") from why
    for role, pattern in IDX_NAMES.items():
        matches = {m[1]: p for p in reversed(files) if (m := pattern.match(p.name))}
        if len(matches) > 1:
            raise data_error(
                directory,
                f"several files of {role[0]} {role[1]}",
                "one",
                names(matches.values()),
                "put each data set into a directory of its own",
            )
        if matches:
            found[role] = next(iter(matches.values()))
    return found


def read_idx_parts(directory: Path, found: dict[tuple[str, str], Path]) -> dict[str, Part]:
    missing = [STANDARD[role] for role in STANDARD if role not in found]
    if missing:
        raise data_error(
            directory,
            "not a whole data set",
            ", ".join(STANDARD.values()) + ", gzipped or not; or one .npz file",
            names(found.values()) or "none of them",
            "add " + ", ".join(missing),
        )
    parts = {}
    for split in ("train", "test"):
        images, labels = found[split, "images"], found[split, "labels"]
        parts[split] = Part(read_idx(images), read_idx(labels), str(images), str(labels))
    return parts


def read_npz(path: Path) -> dict[str, Part]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = next((k for k in NPZ_KEYS if k["train"][0] in archive.files), NPZ_KEYS[0])
            missing = [key for split in ("train", "test") for key in keys[split] if key not in archive.files]
            if missing:
                raise data_error(
                    path,
                    f"no array {', '.join(missing)}",
                    ", ".join(keys["train"] + keys["test"]),
                    ", ".join(archive.files) or "none",
                )
            return {
                split: Part(archive[images], archive[labels], f"{path}[{images}]", f"{path}[{labels}]")
                for split, (images, labels) in keys.items()
                if images in archive.files and labels in archive.files
            }
    except DataError:
        raise
    except FileNotFoundError as why:
        raise data_error(path, "no such file", mend="check the path and SYMCONV_DATA") from why
    except NPZ_FAULTS as why:
        raise data_error(
            path,
            "not a readable .npz file",
            "a zip of plain arrays, as np.savez writes it",
            f"{type(why).__name__}: {why}",
            MEND,
        ) from why


def names(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(p.name for p in paths))
