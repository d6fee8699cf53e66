"""The clocks of a GPU and the measured peaks that times are held against."""

import json
import types

import numpy as np
import pytest

import symconv as sc
from symconv.backends.gpu.cuda import EventStopwatch
from symconv.graph.params import pack
from symconv.see import roofline
from symconv.see.roofline import peaks

core = pytest.importorskip("symconv._core")


def test_events_of_a_gpu_are_recorded_around_every_launch():
    log = []

    class Event:
        def __init__(self):
            self.time = 0.0

        def record(self, stream):
            log.append("event")
            self.time = stream.now

        def synchronize(self):
            log.append("wait")

    class Stream:
        now = 0.0

    class Cupy:
        class cuda:  # noqa: N801
            Event = None

            @staticmethod
            def get_elapsed_time(a, b):
                return b.time - a.time  # milliseconds

    Cupy.cuda.Event = Event
    stream = Stream()

    def launch(ms):
        def run():
            log.append("launch")
            stream.now += ms

        return run

    watch = EventStopwatch(Cupy, stream, [launch(2.0), launch(0.5)])
    watch.run()
    assert list(watch.elapsed_ns()) == [2e6, 0.5e6]
    assert log == ["event", "launch", "event", "launch", "event", "wait"]


def test_peaks_of_a_gpu_come_from_its_clock_and_from_copies(monkeypatch):
    """An H100's figures, and a stream on which a copy takes a microsecond and then 2 TB/s."""

    class Event:
        def record(self, stream):
            self.at = stream.now

        def synchronize(self):
            pass

    class Stream:
        ptr = 0

        def __init__(self, non_blocking):
            Stream.now = 0.0

    def copy(to, source, nbytes, kind, stream):
        assert kind == 3
        Stream.now += 1e-6 + 2 * nbytes / 2e12

    attributes = {"MultiProcessorCount": 132, "ClockRate": 1_980_000}
    cuda = types.SimpleNamespace(
        Device=lambda: types.SimpleNamespace(compute_capability="90", id=0, attributes=attributes),
        Stream=Stream, Event=Event, alloc=lambda n: types.SimpleNamespace(ptr=1),
        get_elapsed_time=lambda a, b: 1e3 * (b.at - a.at),
        runtime=types.SimpleNamespace(memcpyAsync=copy, getDeviceProperties=lambda i: {"name": b"H100"}),
    )  # fmt: skip
    monkeypatch.setattr(roofline, "import_extra", lambda *_: types.SimpleNamespace(cuda=cuda))
    flops, bandwidth = roofline._measure_cuda(1)
    assert flops["float32"] == pytest.approx(66.9e12, rel=0.01) and flops["float64"] == flops["float32"] / 2
    assert bandwidth[-1][1] == pytest.approx(2e12, rel=0.05)
    assert [rate for _, rate in bandwidth] == sorted((rate for _, rate in bandwidth), reverse=True)


def test_peak_kernels_do_what_they_are_timed_for():
    out = np.zeros(2)
    core.call_kernel("peak_fma", pack("PeakParams", count=0, rounds=10, itemsize=4), [], [out])
    single = out[0]
    core.call_kernel("peak_fma", pack("PeakParams", count=0, rounds=10, itemsize=8), [], [out])
    assert single == 2 * out[0] and single % (2 * 12 * 10 * core.num_threads()) == 0 and np.isfinite(out[1])
    core.call_kernel("peak_handover", pack("PeakParams", count=0, rounds=50, itemsize=4), [], [out])
    assert out[0] in range(51) if core.num_threads() > 1 else out[0] == 0
    rng = np.random.default_rng(0)
    for count in (0, 1, 7, 64, 1003):
        a, b = rng.standard_normal((2, count), np.float32)
        c = np.full(count, np.nan, "float32")
        core.call_kernel("peak_stream", pack("PeakParams", count=count, rounds=3, itemsize=4), [a, b], [c])
        assert np.allclose(c, a + 0.5 * b, rtol=1e-6)


@pytest.mark.parametrize(
    "entry, change, message",
    [
        ("peak_fma", {"itemsize": 2}, "itemsize is 2"),
        ("peak_fma", {"rounds": -1}, "rounds is -1"),
        ("peak_handover", {"rounds": -1}, "rounds is -1"),
        ("peak_stream", {"count": -1}, "count is -1"),
        ("peak_stream", {"count": 5}, "has 16 bytes, the params need 20"),
    ],
)
def test_peak_kernels_refuse(entry, change, message):
    params = pack("PeakParams", **{"count": 4, "rounds": 1, "itemsize": 4, **change})
    a = np.zeros(4, "float32")
    with pytest.raises(ValueError, match=message):
        core.call_kernel(entry, params, [a, a] if entry == "peak_stream" else [], [a.copy()])


def test_peaks_are_measured_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "SECONDS", 1e-4)
    monkeypatch.setattr(roofline, "SIZES", (1 << 14, 1 << 16))
    with sc.config(cache_dir=tmp_path):
        for device in ("cpu", "reference"):
            first = peaks(device, 1)
            assert first.flops["float32"] > 1e8 and first.bandwidth[0][1] >= first.bandwidth[1][1] > 1e7
            assert peaks(device, 1) == first
        assert peaks("emulated", 1) is None
        threads = core.num_threads()
        assert peaks("cpu", 2).threads == 2 and core.num_threads() == threads
        kept = json.loads((tmp_path / "peaks.json").read_text())
        assert len(kept) == 3
        for broken in ("{", "[1]", ""):
            (tmp_path / "peaks.json").write_text(broken)
            assert peaks("reference", 1).flops["float64"] > 0
        key = next(iter(json.loads((tmp_path / "peaks.json").read_text())))
        (tmp_path / "peaks.json").write_text(json.dumps({key: {"flops": 3}}))
        assert peaks("reference", 1).flops["float64"] > 0
    with sc.config(cache_dir=tmp_path / "peaks.json" / "no_directory"):
        assert peaks("reference", 1) is not None
