"""Which kernel the CPU takes for a convolution, by estimates of all that can do it; the script of the fit."""

from __future__ import annotations

import itertools
import json
import math

import pytest

import symconv as sc
from benchmarks import conv_costs
from symconv.graph.kernel import Slower
from symconv.ops.conv_cpu_costs import NANOSECONDS, VECTORS, cost_name, quickest
from symconv.ops.conv_cpu_work import work_of

SIZES = {
    "book": dict(n=10, c=20, h=12, w=12, k=40, r=5, s=5, p=8, q=8, stride_h=1, stride_w=1, groups=1),
    "strided": dict(n=2, c=3, h=224, w=224, k=64, r=7, s=7, p=112, q=112, stride_h=2, stride_w=2, groups=1),
    "strided 3x3": dict(n=1, c=8, h=9, w=9, k=4, r=3, s=3, p=4, q=4, stride_h=2, stride_w=2, groups=1),
    "1x1": dict(n=8, c=256, h=14, w=14, k=256, r=1, s=1, p=14, q=14, stride_h=1, stride_w=1, groups=1),
    "grouped": dict(n=1, c=8, h=30, w=5, k=12, r=1, s=9, p=30, q=5, stride_h=1, stride_w=1, groups=4),
    "one output": dict(n=1, c=1, h=3, w=3, k=1, r=3, s=3, p=1, q=1, stride_h=1, stride_w=1, groups=1),
    "no images": dict(n=0, c=1, h=3, w=3, k=1, r=3, s=3, p=1, q=1, stride_h=1, stride_w=1, groups=1),
}


def _form_and_kind(name: str) -> tuple[str, str]:
    name = name.removesuffix("_strided")
    if name.endswith("conv_pool"):
        return name, "fprop"
    form, _, kind = name.rpartition("_")
    return form, kind


@pytest.mark.parametrize("isa", VECTORS)
def test_every_kernel_has_costs_of_work_that_it_does(isa: str) -> None:
    kernels = [f"{form}_{kind}" for form in ("direct_rows", "direct_channels", "gemm_gather", "winograd")
               for kind in ("fprop", "dgrad", "wgrad")]  # fmt: skip
    kernels += [f"winograd_columns_{kind}" for kind in ("fprop", "dgrad", "wgrad")]
    kernels += [f"winograd_{kind}_strided" for kind in ("fprop", "dgrad", "wgrad")]
    kernels += ["gemm_scatter_dgrad", "direct_conv_pool", "winograd_conv_pool", "winograd_columns_conv_pool"]
    assert sorted(NANOSECONDS[isa]) == sorted(kernels)
    for name, costs in NANOSECONDS[isa].items():
        assert all(cost > 0 for cost in costs.values())
        form, kind = _form_and_kind(name)
        for g in SIZES.values():
            work = work_of(form, kind, g, VECTORS[isa])
            assert set(costs) <= set(work), name
            assert all(math.isfinite(count) and count >= 0 for count in work.values()), (name, work)


@pytest.mark.parametrize("isa", VECTORS)
@pytest.mark.parametrize("kind", ["fprop", "dgrad", "wgrad"])
def test_the_quickest_is_the_one_with_the_least_sum(isa: str, kind: str, rules_of) -> None:
    rules_of(isa)
    for g in SIZES.values():
        forms = ["direct_rows", "direct_channels", "gemm_gather", "winograd_columns"]
        times = {}
        for form in forms:
            work = work_of(form, kind, g, VECTORS[isa])
            costs = NANOSECONDS[isa][cost_name(f"{form}_{kind}", g)]
            times[form] = sum(work[key] * cost for key, cost in costs.items())
        assert quickest([(form, g) for form in forms], kind) == min(forms, key=times.__getitem__)


@pytest.mark.parametrize("isa", ["", "avx2", "avx512"])
def test_one_kernel_takes_a_convolution_and_the_others_name_it(isa: str, rules_of) -> None:
    rules_of(isa)
    for c, k, r, stride, padding in itertools.product((1, 20), (3, 64), (1, 3, 5), (1, 2), (0, 1)):
        x, w = sc.tensor("float32", (4, c, 14, 14)), sc.tensor("float32", (k, c, r, r))
        node = sc.conv2d(x, w, stride=stride, padding=padding).owner
        found = {k.name: k.supports(node) for k in node.op.kernels if k.device == "cpu"}
        (taken,) = (name for name, refusal in found.items() if refusal is None)
        slower = {refusal for refusal in found.values() if isinstance(refusal, Slower)}
        assert slower == {f"{taken} is estimated faster"}


def test_costs_are_fitted_to_measured_times(tmp_path, capsys) -> None:
    pytest.importorskip("scipy")
    times, g = {}, SIZES["book"]
    for n in (1, 10, 100):
        for form, kind in (("direct_rows", "fprop"), ("gemm_gather", "fprop")):
            work = work_of(form, kind, {**g, "n": n}, VECTORS["avx2"])
            times.setdefault(n, {})[f"{form}_{kind}"] = 2 * work["products"] + 500 * (form == "gemm_gather")
    rows = [{"shape": (n, 20, 12, 40, 5, 1, 0, 2), "kind": "fprop", "times": own} for n, own in times.items()]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    assert conv_costs.main(["fit", "--isa", "avx2", str(file)]) == 0
    said = capsys.readouterr()
    assert "choice 1.0000" in said.err and "direct_rows_fprop: 0 % off" in said.err
    assert '"gemm_gather_fprop": dict(' in said.out
    assert conv_costs.main(["check", "--isa", "avx2", str(file)]) == 0
    assert capsys.readouterr().out.startswith("choice 1.")


def test_all_kernels_of_random_shapes_are_measured(monkeypatch, core) -> None:
    monkeypatch.setattr(conv_costs, "SECONDS", 0)
    monkeypatch.setattr(conv_costs, "TIMINGS", 1)
    monkeypatch.setattr(conv_costs, "TYPICAL", conv_costs.TYPICAL[:1])
    monkeypatch.setattr(conv_costs, "MOST_FLOPS", 2e6)
    rows = conv_costs.measure(3, 5)
    assert {row["kind"] for row in rows} >= {"fprop", "dgrad", "wgrad"}
    for row in rows:
        assert len(row["times"]) >= 2 and all(ns > 0 for ns in row["times"].values())
