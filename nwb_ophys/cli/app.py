"""The group of commands, of which each is imported when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

_COMMANDS = {
    "convert": "Convert recordings into an NWB file.",
    "demo": "Make a small recording and convert it.",
    "detect": "Say which formats files and folders are of.",
    "formats": "List the formats that can be converted.",
    "inspect": "Check an NWB file.",
    "metadata": "Write the metadata of recordings as YAML, to edit.",
    "repack": "Write an NWB file anew, with other chunks, compression or backend.",
}


class _LazyGroup(click.Group):
    """Commands by name; the help needs none of them imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"nwb_ophys.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


def _debug_option(command: Any) -> Any:
    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(command)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(package_name="nwb-ophys", prog_name="nwb-ophys")
@_debug_option
@click.pass_context
def app(ctx: click.Context, debug: bool) -> None:
    """Turn calcium- and voltage-imaging recordings into NWB files."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
