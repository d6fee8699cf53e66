"""Measured choices of kernels: a file that says which kernel was the fastest for (op, types) on a machine.

The file is JSON, {"format": 1, "machines": {machine: {node: {"kernel": name, "us": {name: microseconds}}}}}.
A machine is a device's model, instruction set, threads and the version of symconv; a node an op's label with
its operands' types. Files are merged by adding what is new, and of two records of one node the one with the
lower time is kept. With config.autotune off the file is not even read.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from symconv.config import config
from symconv.errors import DataError, OutputError
from symconv.files import atomic_path, locked
from symconv.graph import Apply

FORMAT = 1
Records = dict[str, dict[str, dict[str, Any]]]  # machine -> node -> record

_lock = threading.Lock()
_known: dict[Path, tuple[tuple[int, int], Records]] = {}  # what a file held, and its time and size then


def tuning_file() -> Path:
    return config.tuning_file or config.cache_dir / "tuning.json"


@lru_cache(maxsize=1)
def cpu_model() -> str:
    """The processor's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def machine(device: str, detail: str = "") -> str:
    """What a measurement holds for: the device and its model, the version of symconv, and `detail`."""
    version = getattr(sys.modules.get("symconv"), "__version__", "?")
    model = cpu_model() if device == "cpu" else ""
    return " | ".join(part for part in (device, model, detail, f"symconv {version}") if part)


def node_key(node: Apply) -> str:
    ins = ", ".join(str(v.type) for v in node.inputs)
    return f"{node.op.label()}({ins}) -> {', '.join(str(o.type) for o in node.outputs)}"


def read(path: Path) -> Records:
    """The records of a file, none if there is no file. Raises DataError for a damaged one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the tuning file {path} cannot be read: {error}") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the tuning file {path} is damaged: {error}") from None
    if (fault := _fault(data)) is not None:
        raise DataError(f"the tuning file {path} is damaged: {fault}")
    records: Records = data["machines"]
    return records


def _fault(data: Any) -> str | None:
    """What is wrong with the contents of a file."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return f"its format is not {FORMAT}"
    machines = data.get("machines")
    if not isinstance(machines, dict):
        return "it has no machines"
    for name, nodes in machines.items():
        if not isinstance(nodes, dict):
            return f"the records of {name!r} are no table"
        for node, record in nodes.items():
            times = record.get("us") if isinstance(record, dict) else None
            if not isinstance(times, dict) or not isinstance(record.get("kernel"), str):
                return f"the record of {node!r} is no kernel with times"
            if not all(type(t) in (int, float) and 0 <= t < float("inf") for t in times.values()):
                return f"the times of {node!r} are no numbers"
            if record["kernel"] not in times:
                return f"{node!r} has no time for its kernel"
    return None


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> Records:
    """All records of both; of two for one node the one whose kernel took less time."""
    result: Records = {name: dict(nodes) for name, nodes in first.items()}
    for name, nodes in second.items():
        mine = result.setdefault(name, {})
        for node, record in nodes.items():
            if node not in mine or _time(record) < _time(mine[node]):
                mine[node] = record
    return result


def _time(record: Mapping[str, Any]) -> float:
    return float(record["us"][record["kernel"]])


def add(new: Records, path: Path | None = None) -> Records:
    """Merge records into the file, which other processes may be doing too; what it holds then.

    A damaged file is moved aside and reported by a warning. Raises OutputError where it cannot be written.
    """
    path = path or tuning_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the tuning file {path} cannot be written: {error}") from error
    with _lock, locked(path):
        try:
            records = read(path)
        except DataError as error:
            aside = _aside(path)
            os.replace(path, aside)
            warnings.warn(f"{error}\n  it has been moved to {aside}", stacklevel=2)
            records = {}
        records = merged(records, new)
        with atomic_path(path) as temporary:
            temporary.write_text(
                json.dumps({"format": FORMAT, "machines": records}, indent=1, sort_keys=True)
            )
        _known.pop(path, None)
    return records


def _aside(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.damaged{number}")).exists():
        number += 1
    return found


def record_of(node: Apply, machine_name: str) -> dict[str, Any] | None:
    """What was measured for a node on this machine. A damaged file is reported once and left as it is."""
    records = _cached(tuning_file())
    return records.get(machine_name, {}).get(node_key(node))


def _cached(path: Path) -> Records:
    try:
        status = path.stat()
        stamp = status.st_mtime_ns, status.st_size
    except OSError:
        return {}
    with _lock:
        if path not in _known or _known[path][0] != stamp:
            try:
                records = read(path)
            except DataError as error:
                warnings.warn(f"{error}\n  nothing of it is used", stacklevel=2)
                records = {}
            _known[path] = stamp, records
        return _known[path][1]
