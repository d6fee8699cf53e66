"""Executors: the NumPy reference (the oracle) and the C++ core."""
