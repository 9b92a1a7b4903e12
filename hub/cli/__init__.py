"""The command line. Each module adds its commands with `register(app)`; heavy imports happen when a command runs.

Data goes to stdout, progress and messages to stderr. The exit codes are in `hub.cli.common.Exit`.
"""

import sys
from typing import Annotated

import typer

from hub.cli import accounts, backup, common, data, doctor, index, keys, serve, verify

_MODULES = (data, serve, accounts, verify, index, keys, backup, doctor)


def build() -> typer.Typer:
    """The application with every command."""
    app = typer.Typer(
        name="hub",
        help="电子证照共享平台。 Certificate hub.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for module in _MODULES:
        module.register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        common.emit(f"hub {version('certificate-hub')}")
        raise typer.Exit


def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="显示版本。 Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `hub` itself."""


def main() -> None:
    """Run one command and exit with its code; an error is reported in one line, without a traceback."""
    try:
        build()(prog_name="hub")
    except Exception as error:  # noqa: BLE001 (the outermost layer: every error becomes a line and an exit code)
        sys.exit(common.report(error))
