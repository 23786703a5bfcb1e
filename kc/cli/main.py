"""The command ``kc``: compare networks, check stores, plan a run. Snakemake runs the studies."""

from typing import Any

import typer
from typer.core import TyperGroup

from kc.cli.claims import claims_command
from kc.cli.compare import compare_command, layers_command
from kc.cli.config import config_check, config_schema
from kc.cli.explain import explain_command
from kc.cli.plan import plan_command
from kc.cli.store import images_info, store_info, store_verify
from kc.cli.terminal import echo, prepare, silence
from kc.errors import ending, printable


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
        error.message = printable(message, keep="\n")  # type: ignore[attr-defined]
    return True


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, help=__doc__)
store = typer.Typer(no_args_is_help=True, help="Image, activation and component stores.")
images = typer.Typer(no_args_is_help=True, help="Image stores.")
config = typer.Typer(no_args_is_help=True, help="Settings.")
app.add_typer(store, name="store")
app.add_typer(images, name="images")
app.add_typer(config, name="config")
store.command("info")(store_info)
store.command("verify")(store_verify)
images.command("info")(images_info)
config.command("schema")(config_schema)
config.command("check")(config_check)
app.command("plan")(plan_command)
app.command("compare")(compare_command)
app.command("layers")(layers_command)
app.command("explain")(explain_command)
app.command("claims")(claims_command)
