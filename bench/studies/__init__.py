"""Programs that answer one question each, as `python -m bench.studies.NAME`."""
