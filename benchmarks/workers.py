"""Worker processes as the runner sees them: one per peer and number of threads, each with its interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import peers

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 900.0  # seconds; torch.compile of a large net on one busy core takes minutes


@contextlib.contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Within, SIGTERM unwinds the stack, so that workers end and temporary files go, as after Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class WorkerError(Exception):
    """A request failed, or the worker died or did not answer in time."""


def interpreter(peer: str, given: Mapping[str, str]) -> str:
    """The Python of a peer: --python PEER=PATH, else SYMCONV_BENCH_PYTHON_<PEER>, else this one."""
    return given.get(peer) or os.environ.get(f"SYMCONV_BENCH_PYTHON_{peer.upper()}") or sys.executable


class WorkerProcess:
    """One process. `call(command, ...)` sends a request and waits for the answer."""

    def __init__(self, peer: str, threads: int, device: str, folder: Path, python: str) -> None:
        self.peer, self.threads, self.folder = peer, threads, folder
        env = {
            **{k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"},  # run.py's own
            **peers.load(peer).environment(threads, device),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }
        self._log = tempfile.TemporaryFile("w+")
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", peer, str(threads), device, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=env,
            )  # fmt: skip
        except OSError as why:
            raise WorkerError(f"cannot start {python}: {why.strerror}") from why
        try:
            opened = self.call("open")
        except BaseException:
            self.close()
            raise
        self.reason: str | None = opened["reason"]
        self.versions: dict[str, str] = opened.get("versions", {})

    def call(self, command: str, timeout: float = TIMEOUT, **arguments: Any) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            process.stdin.flush()
        except OSError:
            raise WorkerError(self._obituary()) from None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.close()
                raise WorkerError(f"no answer to {command} within {timeout:.0f} s")
        line = process.stdout.readline()
        if not line:
            raise WorkerError(self._obituary())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _obituary(self) -> str:
        self._process.wait()
        self._log.seek(0)
        last = [line.strip() for line in self._log.read().splitlines() if line.strip()][-1:]
        return f"the worker ended with code {self._process.returncode}: {''.join(last) or 'no message'}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that it never read
                    pipe.close()
        self._log.close()


class Workers:
    """All workers of a run, started when first asked for and replaced when they die."""

    def __init__(self, folder: Path, device: str, pythons: Mapping[str, str]) -> None:
        self.folder, self.device, self.pythons = folder, device, dict(pythons)
        self.versions: dict[str, dict[str, str]] = {}
        self._running: dict[tuple[str, int], WorkerProcess] = {}
        self._missing: dict[str, str] = {}

    def start(self, peer: str, threads: int) -> WorkerProcess:
        """A new worker, the caller's to close. Raises WorkerError if the peer is not there."""
        if peer in self._missing:
            raise WorkerError(self._missing[peer])
        python = interpreter(peer, self.pythons)
        try:
            worker = WorkerProcess(peer, threads, self.device, self.folder, python)
        except WorkerError as why:
            self._missing[peer] = str(why)
            raise
        if worker.reason is not None:
            worker.close()
            self._missing[peer] = worker.reason
            raise WorkerError(worker.reason)
        self.versions[peer] = worker.versions
        return worker

    def get(self, peer: str, threads: int) -> WorkerProcess:
        """The worker of that peer and number of threads."""
        worker = self._running.get((peer, threads))
        if worker is None or not worker.alive:
            worker = self._running[peer, threads] = self.start(peer, threads)
        return worker

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._running.values():
            worker.close()
