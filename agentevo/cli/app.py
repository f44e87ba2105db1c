"""The `agentevo` command: its groups put together, and every error turned into one line and an exit status."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Annotated

import typer
from typer.main import get_command

import agentevo
from agentevo.cli import (
    adapters,
    bench,
    demo,
    doctor,
    env,
    evolve,
    export,
    memory,
    models,
    recipes,
    run,
    sandbox,
    train,
)
from agentevo.cli.output import one_line, plain_streams, settle_stdout, tell
from agentevo.errors import AgentEvoError

INTERRUPTED = 130
BROKEN_PIPE = 141

app = typer.Typer(
    name="agentevo",
    help="Agents that get better at their work by remembering it.",
    epilog="Results go to stdout, talk to stderr. Exit status: 0 done, 1 failed, 2 misuse, 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("evolve")(evolve.evolve)
app.command("train")(train.train)
app.add_typer(bench.app, name="bench")
app.add_typer(memory.app, name="memory")
app.add_typer(recipes.app, name="recipes")
app.add_typer(env.app, name="env")
app.add_typer(export.app, name="export")
models.app.add_typer(adapters.app, name="adapters")
app.add_typer(models.app, name="models")
app.add_typer(sandbox.app, name="sandbox")
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentevo {agentevo.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that stands on the command line and exit with its status."""
    plain_streams()
    code = status(sys.argv[1:])
    gc.freeze()  # or the collections at the end look through all that torch made, for nothing: 2 s of a core
    sys.exit(code)


def status(arguments: list[str]) -> int:
    """Run one command; return its exit status, having said in one line what went wrong."""
    try:
        code = _run(arguments or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:
        settle_stdout()
        return BROKEN_PIPE
    except (KeyboardInterrupt, typer.Abort):
        tell("interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place where an error can become one readable line
        return _explain(error)
    return code


def _run(arguments: list[str]) -> int:
    command = get_command(app)
    try:
        # Not command.main(): that one has its own ways with broken pipes and interrupts.
        with command.make_context("agentevo", arguments) as context:
            command.invoke(context)
    except typer.Exit as left:
        return left.exit_code
    return 0


def _explain(error: Exception) -> int:
    if os.environ.get("AGENTEVO_DEBUG"):
        tell("".join(traceback.format_exception(error)).rstrip())
    text = one_line(error)
    match error:
        case AgentEvoError():
            tell(f"error: {text}")
            return error.exit_status
        case typer.TyperException():
            tell(f"error: {text.rstrip('.')}; see {_help_command(error)}")
            return error.exit_code
        case OSError():
            tell(f"error: {_os_error(error)}")
        case _:
            tell(f"error: {type(error).__name__}: {text} (a defect; AGENTEVO_DEBUG=1 shows where)")
    return 1


def _help_command(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'agentevo'} --help"


def _os_error(error: OSError) -> str:
    reason = error.strerror or one_line(error)
    return f"{reason}: {error.filename}" if error.filename else reason
