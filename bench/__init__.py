"""Benchmarks: `bench_*.py` for pytest-benchmark, `report.py` for the README's tables, `studies` for the rest."""
