"""`fastgd info` and `fastgd warmup`: what there is, and what it has compiled."""

import argparse

from fastgd.cli.output import say


def warmup(_: argparse.Namespace) -> int:
    """Compile the kernels."""
    from fastgd import kernels
    from fastgd.cli.warmup import warmup

    say(f"compiled in {warmup():.1f} s; kept in {kernels.cache_directory()}")
    return 0


def info(_: argparse.Namespace) -> int:
    """Show what there is."""
    from fastgd.cli import machine

    for name, value in machine.describe().items():
        say(f"{name:15}{value}")
    return 0
