"""Options as `argparse` has them, with errors in one line that say what may have been meant."""

import argparse
import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

# What other libraries call options.
_ALIASES = {
    **dict.fromkeys(("--lr", "--eta0", "--learning-rate-init"), "--learning-rate"),
    **dict.fromkeys(("--hidden-layer-sizes", "--layers"), "--hidden"),
    "--max-iter": "--epochs",
    "--random-state": "--seed",
}


class ArgumentParser(argparse.ArgumentParser):
    """Says what is wrong in one line, and takes no beginnings of options for them: `--lr` is not `--lr-decay`.

    commands : the parser of each, whose options may be meant
    """

    commands: Mapping[str, argparse.ArgumentParser] = MappingProxyType({})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """End with status 2, once what is wrong has been said."""
        if message.startswith("unrecognized arguments"):
            is_file = message.endswith(".npy")
            message += "; expected targets by --target" if is_file else self._meant(message.split()[2])
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _meant(self, given: str) -> str:
        """What follows the name of an option that no command has."""
        given = given.partition("=")[0].lower().replace("_", "-")
        names = {name for each in self.commands.values() for name in re.findall("--[a-z0-9-]+", each.format_usage())}
        near = [_ALIASES[given]] if given in _ALIASES else difflib.get_close_matches(given, sorted(names), 1, 0.75)
        return f". Did you mean {near[0]}? See fastgd COMMAND --help" if near else "; see fastgd COMMAND --help"


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but none where there is none, or the help has said it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_none = action.default is None or action.default is False or action.default == ()
        return action.help if has_none else super()._get_help_string(action)
