"""Results as data and as text: the JSON file, the record of the machine, the printed table with ratios."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workers import ROOT, sigterm_unwinds

Row = dict[str, Any]
OURS = "symconv"
HIGHER_IS_BETTER = {"images/s", "GFLOP/s", "GB/s"}
# Rows compared with one another share these.
GROUP = ("workload", "batch", "metric", "unit")


def environment(device: str) -> dict[str, Any]:
    """Date, commit, machine: what a figure needs beside it."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "device": device if device == "cpu" else gpu_model() or device,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def command_output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit() -> str | None:
    """The commit of this checkout, "+" behind it if tracked files differ from it."""
    head = command_output("git", "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return head + ("+" if command_output("git", "status", "--porcelain", "-uno") else "")


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = dict(part.split(":", 1) for part in lines if ":" in part)
    facts = {k.strip(): v.strip() for k, v in facts.items()}
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts:
        name += f" (family {facts['cpu family']}, model {facts.get('model', '?')})"
    return name


def gpu_model() -> str | None:
    return command_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")


def progress(text: str) -> None:
    """One line that the next one overwrites; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r{text[:100]:<100}\r", end="", file=sys.stderr, flush=True)


def announce(text: str) -> None:
    """What begins now: like `progress`, and a line of its own in a log."""
    if sys.stderr.isatty():
        progress(text)
    else:
        print(text, file=sys.stderr, flush=True)


def write_json(
    path: Path, rows: Sequence[Row], settings: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """{...environment, settings, rows}; the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**record, "settings": dict(settings), "rows": list(rows)}, indent=1)
    part = path.with_name(path.name + ".part")
    part.write_text(text + "\n")
    part.replace(path)


class Results:
    """The rows of a run. Every finished group is written at once: an interrupted run keeps what it has."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        self.path, self.record = path, dict(record)
        self.settings = {k: v for k, v in settings.items() if k not in ("json", "python")}
        self.rows: list[Row] = []
        self.groups = 0

    def add(self, rows: Sequence[Row], versions: Mapping[str, Any]) -> None:
        """The rows of one group, and the versions of the peers that have started so far."""
        self.rows += rows
        self.groups += 1
        self.record["versions"] = dict(versions)
        self.write(complete=False)

    def write(self, complete: bool) -> None:
        if self.path:
            write_json(self.path, self.rows, self.settings, {**self.record, "complete": complete})

    def collect(self, measure: Callable[[], None]) -> int:
        """Run `measure`, print the rows that it added, also after Ctrl-C or SIGTERM: the exit code."""
        code, end = 0, ""
        try:
            with sigterm_unwinds():
                measure()
            self.write(complete=True)
        except (KeyboardInterrupt, SystemExit) as why:
            code = why.code if isinstance(why, SystemExit) and isinstance(why.code, int) else 130
            kept = f" and in {self.path}" if self.path else ""
            end = f"interrupted: the rows of the finished groups are above{kept}"
            if not self.groups:
                end = "interrupted before the first group was finished"
        progress("")
        if self.groups:
            print(text_table(self.rows))
        if end:
            print(end, file=sys.stderr)
        return code or int(any(r["note"].startswith("wrong") for r in self.rows))


def best(rows: Iterable[Row]) -> Row | None:
    """The fastest row that has figures."""
    timed = [r for r in rows if r["median"] is not None]
    if not timed:
        return None
    sign = -1 if timed[0]["unit"] in HIGHER_IS_BETTER else 1
    return min(timed, key=lambda r: sign * r["median"])


def ratio(ours: Row, other: Row) -> float:
    """How many times faster (or smaller) ours is."""
    if ours["unit"] in HIGHER_IS_BETTER:
        return float(ours["median"] / other["median"])
    return float(other["median"] / ours["median"])


def compared(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Per group and number of threads, and for the best of any: each peer's fastest form, and our ratio."""
    result = []
    for key in dict.fromkeys(tuple(r[k] for k in GROUP) for r in rows):
        group = [r for r in rows if tuple(r[k] for k in GROUP) == key]
        threads = sorted({r["threads"] for r in group})
        for choice in [[t] for t in threads] + ([threads] if len(threads) > 1 else []):
            chosen = [r for r in group if r["threads"] in choice]
            names = dict.fromkeys(r["peer"] for r in chosen)
            by_peer = {p: best(r for r in chosen if r["peer"] == p) for p in names}
            ours = by_peer.get(OURS)
            others = best(r for p, r in by_peer.items() if r is not None and p != OURS)
            result.append(
                {
                    **dict(zip(GROUP, key)),
                    "threads": choice[0] if len(choice) == 1 else "any",
                    "peers": by_peer,
                    "fastest": others,
                    "ratio": ratio(ours, others) if ours and others else None,
                }
            )
    return result


def figure(value: float | None, unit: str) -> str:
    """A number with three figures and a unit that suits it: 0.0123 s, 1,510 us, 17.7 ms."""
    if value is None:
        return "-"
    if unit == "us" and value >= 10_000:
        value, unit = (value / 1e3, "ms") if value < 1e6 else (value / 1e6, "s")
    if unit in ("us", "images/s") and value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f} {unit}"
    return f"{value:.3g} {unit}"


def cell(row: Row | None, total: bool) -> str:
    if row is None:
        return "-"
    spread = (row["max"] - row["min"]) / (2 * row["median"]) if row["median"] else 0.0
    text = f"{figure(row['median'], row['unit'])} +-{100 * spread:.0f}% {row['config']}"
    return text + (f"/{row['threads']}" if total else "")


def text_table(rows: Sequence[Row]) -> str:
    """Each peer's fastest form on each row, and how many times faster symconv is than the fastest peer."""
    lines = [line for line in compared(rows) if not line["metric"].startswith("build")]
    names = list(dict.fromkeys(p for line in lines for p in line["peers"]))
    table = [["workload", "batch", "metric", "threads", *names, "fastest peer / symconv"]]
    for line in lines:
        table.append(
            [
                str(line["workload"]),
                "-" if line["batch"] is None else str(line["batch"]),
                line["metric"],
                str(line["threads"]),
                *(cell(line["peers"].get(p), line["threads"] == "any") for p in names),
                f"{line['ratio']:.2f}" if line["ratio"] is not None else "-",
            ]
        )
    widths = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
    text = "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in table)
    notes = dict.fromkeys(note(r) for r in rows if r["note"] and r["median"] is None)
    return text + "".join(f"\n{n}" for n in notes)


def note(row: Row) -> str:
    form = f" {row['config']}" if row["config"] else ""
    return f"{row['peer']}{form} ({row['workload']}, threads {row['threads']}): {row['note']}"
