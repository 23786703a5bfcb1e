"""The command ``kc``: look at stores, check them, plan a run. Everything else is Snakemake's."""

from typing import Any

import typer
from typer.core import TyperGroup

from kc.cli.compare import compare_command, layers_command
from kc.cli.config import config_check, config_schema
from kc.cli.explain import explain_command
from kc.cli.plan import plan_command
from kc.cli.store import images_info, store_info, store_verify
from kc.errors import KCError


class Commands(TyperGroup):
    """All commands; what the user can mend is one message without a traceback, and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KCError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(2) from None


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
