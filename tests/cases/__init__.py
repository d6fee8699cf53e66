"""Case tables: one module per op family, each with CASES."""
