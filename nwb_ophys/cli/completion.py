"""The command ``nwb-ophys completion``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say, say_lines
from nwb_ophys.errors import OutputExistsError
from nwb_ophys.storage.text_files import is_of_kind, kind_with, write_text

_NAME = "nwb-ophys"
_VARIABLE = "_NWB_OPHYS_COMPLETE"
_COMPLETION = kind_with(f"a completion of {_NAME}", _VARIABLE)
# Places from which each shell loads completions, below the user's folder.
_PLACES = {
    "bash": f".local/share/bash-completion/completions/{_NAME}",
    "zsh": f".zfunc/_{_NAME}",
    "fish": f".config/fish/completions/{_NAME}.fish",
}
_NEXT = {
    "bash": "Open a new shell to use it. It needs the package bash-completion.",
    "zsh": "Add these lines to ~/.zshrc and open a new shell: fpath+=~/.zfunc; autoload -Uz "
    "compinit; compinit",
    "fish": "Open a new shell to use it.",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_PLACES)))
@click.option(
    "--print", "is_printed", is_flag=True, help="Print the script in place of writing it."
)
@shared.debug
def completion(shell: str, is_printed: bool, debug: bool) -> None:
    """Install the completion of commands and options for SHELL: bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    from nwb_ophys.cli.app import app

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(app, {}, _NAME, _VARIABLE).source()
    if is_printed:
        say_lines(script, always=True)
        return
    place = Path.home() / _PLACES[shell]
    if place.is_file() and not is_of_kind(place, _COMPLETION):
        raise OutputExistsError(
            f"'{place}' exists and is not {_COMPLETION.name}; move it elsewhere, or use --print."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    write_text(place, script, replaces=_COMPLETION)
    say(f"Wrote {place}. {_NEXT[shell]}")
