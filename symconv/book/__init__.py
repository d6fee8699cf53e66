"""The experiments of chapter 6 of M. Nielsen, "Neural Networks and Deep Learning", by name."""

from __future__ import annotations

from symconv.book.experiments import EXPERIMENTS, Experiment, experiment
from symconv.book.report import read_results, report, table
from symconv.book.runner import Plan, run

__all__ = ["EXPERIMENTS", "Experiment", "Plan", "experiment", "read_results", "report", "run", "table"]
