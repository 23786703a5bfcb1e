"""The command ``kc``: its commands, and what all of them share: errors, ``-q``, ``-v``."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kc.cli.claims import claims_command
from kc.cli.compare import EXAMPLE, compare_command, layers_command
from kc.cli.config import config_check, config_schema
from kc.cli.docs import docs_command
from kc.cli.explain import explain_command
from kc.cli.plan import plan_command
from kc.cli.store import images_info, store_info, store_verify
from kc.cli.terminal import echo, loudness, prepare, silence
from kc.errors import ending, printable
from kc.provenance import versions


class Commands(TyperGroup):
    """All commands; any error is shown as one message without a traceback.

    Exit code 2: the user can fix it. 3: a fault of kc. 130: interrupted.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        prepare()
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt) as error:
            if _is_of_typer(error):
                raise
            told, code = ending(error)
            if told:
                echo(told, err=True)
            else:
                silence()
            raise typer.Exit(code) from None


def _is_of_typer(error: BaseException) -> bool:
    """Return whether typer handles the error; make the message it prints safe."""
    if type(error).__module__.partition(".")[0] not in ("click", "typer"):
        return False
    if isinstance(message := getattr(error, "message", None), str):
        plain = printable(message, keep="\n").removeprefix("Value error, ")
        error.message = plain  # type: ignore[attr-defined]
    return True


def _version(wanted: bool) -> bool:
    if wanted:
        echo(f"kc {versions()['kc']}")
        raise typer.Exit
    return wanted


def _start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    """Compare networks, check stores, plan a run. Snakemake runs the studies."""


def _with_loudness(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``-q`` and ``-v`` to a command."""

    @wraps(command)
    def run(*, quiet: bool, verbose: bool, **given: Any) -> None:
        with loudness(quiet, verbose):
            command(**given)

    kind = Parameter.KEYWORD_ONLY
    more = [
        Parameter("quiet", kind, default=False, annotation=Quiet),
        Parameter("verbose", kind, default=False, annotation=Verbose),
    ]
    # all that typer reads
    run.__signature__ = Signature(  # type: ignore[attr-defined]
        [*signature(command).parameters.values(), *more]
    )
    return run


Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="print results and errors only", rich_help_panel="Run"),
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="print kc's log too", rich_help_panel="Run")
]
app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0; 1: damage or differences were found; 2: an error that you can fix; 3: a "
        "fault of kc; 130: interrupted."
    ),
)
app.callback()(_start)
GROUPS: Mapping[str, tuple[str, Sequence[Callable[..., None]]]] = {
    "store": ("Stores of images, activations and components.", [store_info, store_verify]),
    "images": ("Stores of images.", [images_info]),
    "config": ("Settings.", [config_check, config_schema]),
}
COMMANDS: Mapping[str, Callable[..., None]] = {
    "compare": compare_command,
    "layers": layers_command,
    "plan": plan_command,
    "explain": explain_command,
    "claims": claims_command,
    "docs": docs_command,
}
EPILOGS = {"compare": EXAMPLE}
for name, command in COMMANDS.items():
    app.command(name, epilog=EPILOGS.get(name))(_with_loudness(command))
for name, (about, commands) in GROUPS.items():
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=about)
    app.add_typer(group, name=name)
    for command in commands:
        own = command.__name__.removeprefix(f"{name}_")
        group.command(own)(_with_loudness(command))
