"""A command whose options may have several values: `--scope A B` as well as `--scope A --scope B`."""

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

from hub.domain.caller import SCOPES
from hub.domain.numbers import is_uscc

_REPEATED: dict[str, Callable[[str], bool]] = {"--scope": SCOPES.__contains__, "--acts-for": is_uscc}


class Listing(TyperCommand):
    """A command that accepts `--scope A B` as well as `--scope A --scope B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further value that can only belong to it."""
        spread: list[str] = []
        option = ""
        for arg in args:
            if option and spread[-1] != option and _REPEATED[option](arg):
                spread += [option, arg]
                continue
            if arg.startswith("-"):
                option = arg if arg in _REPEATED else ""
            elif not option or spread[-1] != option:
                option = ""
            spread.append(arg)
        return super().parse_args(ctx, spread)
