"""The command line inside the process of the tests."""

from fastgd.cli import main

SMALL = ["--synthetic", "2000x10", "--quiet"]


def run(capsys, *arguments):
    """Exit status, stdout and stderr of a command."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as error:
        status = error.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err
