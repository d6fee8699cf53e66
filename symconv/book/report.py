"""The chapter's table from the files of results: the book's figure beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symconv.book.ensemble import COMMITTEE
from symconv.book.experiments import EXPERIMENTS, Experiment
from symconv.book.runner import read_json
from symconv.book.speedrun import read_speedruns, speedrun_table
from symconv.errors import DataError, OutputError
from symconv.files import Pathlike, atomic_path, reason

BEGIN, END = "<!-- book:begin -->", "<!-- book:end -->"
SPEED_BEGIN, SPEED_END = "<!-- speedrun:begin -->", "<!-- speedrun:end -->"
NOT_RUN = "not run"
HEAD = ("experiment", "network", "book", "best", "mean", "spread", "runs", "epochs", "images")
Result = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """Several runs of one network: test accuracies at the epoch that counts, in percent."""

    runs: Sequence[Result]

    @property
    def accuracies(self) -> list[float]:
        return [100 * r["test_accuracy"] for r in self.runs]

    @property
    def mean(self) -> float:
        return sum(self.accuracies) / len(self.runs)

    @property
    def validation(self) -> float:
        """0 for runs that hold no validation images out."""
        if any(r["validation_accuracy"] is None for r in self.runs):
            return 0.0
        return sum(100 * r["validation_accuracy"] for r in self.runs) / len(self.runs)

    @property
    def spread(self) -> float:
        """The best less the worst."""
        return max(self.accuracies) - min(self.accuracies)


def read_results(out: Pathlike) -> dict[str, dict[str, list[Result]]]:
    """{experiment: {variant: results of its runs by seed}} of all that is in the directory.

    Raises DataError for a file that holds no results.
    """
    found: dict[str, dict[str, list[Result]]] = {}
    for name, e in EXPERIMENTS.items():
        for variant in e.variants():
            if e.members:
                continue
            results = []
            for path in (Path(out) / name / variant).glob("run-*.json"):
                result = read_json(path)
                if result is None or not {"seed", "epochs", "test_accuracy", "history"} <= set(result):
                    raise DataError(f"{path}: not the results of a run\n  hint: remove it")
                if result["test_accuracy"] is not None:
                    results.append(result)
            if results:
                found.setdefault(name, {})[variant] = sorted(results, key=lambda r: r["seed"])
    return found


def table(out: Pathlike) -> str:
    """The table as Markdown; a row for every experiment, run or not."""
    results = read_results(out)
    lines = [row(HEAD), row(["---"] * len(HEAD))]
    lines += [row(cells(e, results.get(name, {}), Path(out))) for name, e in EXPERIMENTS.items()]
    text = "\n".join(lines) + "\n"
    for name, e in EXPERIMENTS.items():
        if e.sweep and name in results:
            text += "\n" + sweep_table(e, results[name])
    return text


def cells(e: Experiment, results: Mapping[str, list[Result]], out: Path) -> list[str]:
    first = [e.name, e.net.about, "-" if e.book is None else f"{e.book:.2f}"]
    planned = [f"of {e.runs}", f"of {e.net.epochs}"]
    if e.members:
        return first + committee_cells(e, read_json(out / e.name / COMMITTEE), planned[0])
    if not results:
        return [*first, NOT_RUN, "", "", f"0 {planned[0]}", f"0 {planned[1]}", ""]
    best = chosen_variant(results)
    assert best is not None
    summary = Summary(results[best])
    runs = summary.runs
    label = f"{max(summary.accuracies):.2f}" + (f" ({best.replace('lmbda-', 'lambda ')})" if best else "")
    return [
        *first,
        label,
        f"{summary.mean:.2f}",
        f"{summary.spread:.2f}" if len(runs) > 1 else "-",
        f"{len(runs)} of {max(e.runs, len(runs))}",
        f"{min(r['epochs'] for r in runs)} {planned[1]}",
        f"{runs[0]['train_images']:,}",
    ]


def chosen_variant(results: Mapping[str, list[Result]]) -> str | None:
    """Of a sweep, the value that does best on the validation images; None where nothing was run."""
    return max(results, key=lambda variant: Summary(results[variant]).validation, default=None)


def committee_cells(e: Experiment, result: Result | None, planned: str) -> list[str]:
    if result is None:
        return [NOT_RUN, "", "", f"0 {planned}", "", ""]
    vote, members = result["last"]["vote"], len(result["members"])
    wrong = len(result["errors"])
    label = f"{100 * vote:.2f} ({wrong} wrong of {result['test_images']:,})"
    return [label, "", "", f"{members} {planned}", f"as {e.members}", ""]


def sweep_table(e: Experiment, results: Mapping[str, list[Result]]) -> str:
    """lambda, validation and test accuracy of a sweep."""
    lines = [f"{e.name}, mean of the runs:", "", row(["lambda", "validation", "test", "runs"])]
    lines.append(row(["---"] * 4))
    for variant, net in e.variants().items():
        if variant in results:
            s = Summary(results[variant])
            lines.append(row([f"{net.lmbda:g}", f"{s.validation:.2f}", f"{s.mean:.2f}", str(len(s.runs))]))
        else:
            lines.append(row([f"{net.lmbda:g}", NOT_RUN, "", "0"]))
    return "\n".join(lines) + "\n"


def row(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def report(page: Pathlike, out: Pathlike) -> None:
    """Put the table of the results in `out` between the page's markers. Raises OutputError without them."""
    try:
        text = Path(page).read_text(encoding="utf-8")
    except OSError as why:
        raise OutputError(f"cannot read {page}: {reason(why)}") from why
    new = with_tables(text, page, out)
    with atomic_path(page) as temporary:
        temporary.write_text(new, encoding="utf-8")


def with_tables(text: str, page: Pathlike, out: Pathlike) -> str:
    """The page with the table of experiments, and that of speed runs where it has a place for it."""
    text = replaced(text, table(out), page)
    if SPEED_BEGIN in text:
        text = replaced(text, speedrun_table(read_speedruns(out)), page, SPEED_BEGIN, SPEED_END)
    return text


def replaced(text: str, new: str, page: Pathlike, begin: str = BEGIN, end: str = END) -> str:
    """`text` with what stands between the markers replaced by `new`."""
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise OutputError(f"{page} has no place for the table\n  hint: write {begin} and {end} into it")
    return f"{before}{begin}\n{new}{end}{after}"
