"""Benchmarks: training steps and inference (run.py), single operators (ops.py), README's table (table.py)."""
