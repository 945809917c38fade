"""`python -m fastgd` is the same as `fastgd`."""

from fastgd.cli import main

raise SystemExit(main())
