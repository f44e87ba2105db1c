"""`agentevo memory`: see what is remembered, change it, look after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from agentevo.cli.memory import adding, changing, keeping, looking, past, tending
from agentevo.cli.memory.opening import NamespaceOption, PathOption

app = typer.Typer(
    help="See what is remembered, change it, look after it. The memory is the folder --path names (before or after "
    "the command), else $AGENTEVO_MEMORY, else AGENTEVO_HOME/memory; `add` makes one."
)
_COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": looking.list_,
    "show": looking.show_item,
    "search": looking.search,
    "add": adding.add,
    "edit": changing.edit,
    "pin": changing.pin,
    "unpin": changing.unpin,
    "forget": changing.forget,
    "restore": changing.restore,
    "release": changing.release,
    "purge": changing.purge,
    "undo": past.undo,
    "history": past.history,
    "lineage": past.lineage,
    "stats": looking.stats,
    "reflect": tending.reflect,
    "sweep": tending.sweep,
    "working": looking.working,
    "export": keeping.export,
    "import": keeping.import_,
    "backup": keeping.backup,
    "verify": keeping.verify,
    "reindex": keeping.reindex,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


@app.callback()
def _options(path: PathOption = None, namespace: NamespaceOption = None) -> None:
    pass
