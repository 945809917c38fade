"""Benchmarks: `bench_*.py` for pytest-benchmark, `report.py` for the tables of `README.md`, `studies` for the rest."""
