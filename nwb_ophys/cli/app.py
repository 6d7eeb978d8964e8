"""The group of commands; each is imported when it is called."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path
from typing import Any

import click

from nwb_ophys.cli.terminal import escape_foreign_output, say_lines
from nwb_ophys.shell_words import quoted

_COMMANDS = {
    "batch": "Convert many sessions by a specification, and only the rest when run again.",
    "check": "List what the DANDI archive requires or advises of recordings.",
    "clean": "Remove the hidden files that killed conversions left in a folder.",
    "completion": "Install the completion of commands for a shell.",
    "convert": "Convert recordings into an NWB file.",
    "demo": "Simulate a small recording and convert it.",
    "detect": "Detect the formats of files and folders.",
    "edit": "Change metadata of an NWB file in its place.",
    "formats": "List the supported formats.",
    "gui": "Convert recordings in a local web page, step by step.",
    "inspect": "Validate an NWB file.",
    "metadata": "Write the metadata of recordings to a YAML file for editing.",
    "repack": "Rewrite an NWB file with other chunks, compression or backend.",
    "report": "Show NWB files as HTML pages.",
    "verify": "Compare an NWB file with the hashes of its writing, and with its source files.",
}


# Read before the command runs, in ``failures``, so that errors obey them, too.
_OF_ALL = (
    click.Option(
        ["--quiet"], is_flag=True, expose_value=False, help="Print only errors, and JSON."
    ),
    click.Option(
        ["--log-file"],
        metavar="FILE",
        expose_value=False,
        help="Add everything that is printed, with the time, to a file.",
    ),
)


class _LazyGroup(click.Group):
    """Group whose help imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"nwb_ophys.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        known = {each.name for each in command.params}
        command.params += [each for each in _OF_ALL if each.name not in known]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            raise click.UsageError(_unknown(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


def _unknown(name: str) -> str:
    """Return the message for a command that does not exist, with the one that is meant."""
    if Path(name).exists():
        return (
            f"'{name}' is a path; give a command before it, as in: nwb-ophys detect "
            f"{quoted(name)}. 'nwb-ophys --help' lists the commands."
        )
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"No such command '{name}'.{meant} 'nwb-ophys --help' lists the commands."


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
    """Convert calcium- and voltage-imaging recordings to NWB files."""
    escape_foreign_output()
    if ctx.invoked_subcommand is None:
        say_lines(ctx.get_help())
