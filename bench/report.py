"""Measure a part of `bench/README.md` and write it there, between its markers.

python bench/report.py [training] [--dry-run] [--seconds 10]
python bench/report.py peers [--dry-run] [--functions] [--seconds 10] [--threads one|all|both] [--workloads neuron]
python bench/report.py few-rows [--dry-run] [--seconds 10]
python bench/report.py roofline [--dry-run] [--seconds 5]
python bench/report.py quality [--dry-run] [--json FILE] [--estimators] [--rows 4000]
python bench/report.py learning [--dry-run] [--picture bench/learning.svg]
python bench/report.py scaling [--dry-run] [--repeats 9] [--without-cluster]
python bench/report.py replicas [--dry-run] [--epochs 8]
python bench/report.py sparse [--dry-run] [--rows 1000000] [--repeats 5]
python bench/report.py summary [--dry-run]               the lines of these that the README shows

`--help` after the name of a part says more.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
# As a script, Python looks for modules beside it.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.readme import README, TABLES, replace_between_markers

# Each has MARKERS, `add_arguments(parser)` and `report(options)`, which gives the text.
PARTS = {
    "training": "bench.cases.training_table",
    "peers": "bench.peers.table",
    "few-rows": "bench.cases.few_rows",
    "roofline": "bench.limits.roofline",
    "quality": "bench.studies.quality_table",
    "learning": "bench.peers.learning",
    "scaling": "bench.cases.scaling",
    "replicas": "bench.cases.replica_losses",
    "sparse": "bench.peers.sparse",
    "summary": "bench.summary",
}


def main(arguments: list[str]) -> None:
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return
    name, *rest = arguments if arguments and not arguments[0].startswith("-") else ["training", *arguments]
    if name not in PARTS:
        raise SystemExit(f"{name} is no part of the tables; expected one of {', '.join(PARTS)}\n\n{__doc__}")
    part = importlib.import_module(PARTS[name])
    parser = argparse.ArgumentParser(
        prog=f"report.py {name}", description=part.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="print the text and leave the file as it is")
    place = README if name == "summary" else TABLES
    parser.add_argument("--readme", type=Path, default=place, help="where to write the text between its markers")
    part.add_arguments(parser)
    options = parser.parse_args(rest)
    if options.dry_run:
        print(part.report(options))
        return
    markers = getattr(options, "markers", part.MARKERS)
    # Without its markers, nothing is measured.
    replace_between_markers(markers, "", options.readme.read_text(encoding="utf-8"))
    text = part.report(options)
    readme = replace_between_markers(markers, text, options.readme.read_text(encoding="utf-8"))
    options.readme.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
