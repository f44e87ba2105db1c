"""Every error agentevo raises on purpose.

    AgentEvoError
    ├── Misuse                  the call or the command is wrong; trying again cannot help (exit status 2)
    │   ├── UnknownName         lists the known names, the nearest first
    │   ├── MissingExtra        says what to install
    │   ├── MissingKey          says which variable holds the key
    │   └── ConfigError         a settings file or variable that cannot be used
    ├── ModelError              carries the reply, as far as there is one
    │   ├── ModelTimeout        the time budget of the call ran out
    │   ├── ModelUnavailable    rate limits, server errors or no connection, until retrying gave up
    │   ├── RequestRejected     the provider refused the request itself (4xx); never retried
    │   │   └── ContextTooLong  the prompt has more tokens than the model takes in
    │   ├── BadReply            a reply that cannot be used: empty, cut off, malformed
    │   │   └── SchemaMismatch  a reply that does not fit its schema after one repair turn
    │   ├── RequestsForbidden   a real request while they are switched off
    │   └── CassetteError       a recording that cannot be read, or lacks the request
    ├── BudgetExceeded          calls, tokens, cost or seconds ran out; ends the run
    ├── WeightsError            a weight file that is missing, corrupt, or cannot be fetched or stored
    ├── TrainingError           a training that cannot go on; what was there before is untouched
    │   ├── Untrainable         rows that nothing can be learned from (a Misuse, too)
    │   └── Diverged            the loss is no number any more: these rows at this rate lead nowhere
    ├── ExportError             an export that came out empty, or cannot be written; nothing of it is there
    ├── EmbedderError           an embedder that cannot be used, or not with this memory
    ├── RunError                a run folder that cannot be read or written; what it holds is safe
    └── LedgerError             a memory that cannot be opened, read or written
        ├── LedgerBusy          another process held the write lock for too long; nothing was written
        ├── LedgerCorrupt       the file is damaged; says how to save what is readable
        └── LedgerTooNew        written by a newer version of agentevo

A task that fails, or a command that exits with an error, is no exception: it is data in the trajectory.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentevo.types import Reply


_SHOWN = 120


class AgentEvoError(Exception):
    """The root of the tree; `exit_status` is what the command line exits with."""

    exit_status = 1


class Misuse(AgentEvoError, ValueError):
    """The caller asked for something that cannot be; the message says what was expected."""

    exit_status = 2


class UnknownName(Misuse):
    """A name that stands for nothing: the message lists what it could have been, the nearest first."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        shown = name if len(name) <= _SHOWN else name[:_SHOWN] + " [...]"
        near = difflib.get_close_matches(shown, known, n=5, cutoff=0.4)
        ordered = [*near, *(k for k in known if k not in near)]
        listed = ", ".join(ordered) if ordered else "none yet"
        super().__init__(f"unknown {what} {shown!r}; known: {listed}")
        self.what, self.name, self.known = what, name, tuple(ordered)


class MissingExtra(Misuse):
    """A feature whose packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs packages that are not installed: pip install 'agentevo[{extra}]'")
        self.extra = extra


class MissingKey(Misuse):
    """A provider that needs a key which is not set."""

    def __init__(self, model: str, variables: Iterable[str]) -> None:
        names = " and ".join(variables) or "the provider's API key"
        super().__init__(f"model {model!r} needs {names} in the environment; `local/...` models need no key")


class ConfigError(Misuse):
    """A settings file or an environment variable that cannot be used."""


class ModelError(AgentEvoError):
    """A model call that did not lead to a usable reply; `reply` is what came, or None."""

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class ModelTimeout(ModelError, TimeoutError):
    """The call's time budget ran out."""


class ModelUnavailable(ModelError):
    """The provider limited, failed or could not be reached until retrying gave up."""


class RequestRejected(ModelError):
    """The provider refused the request itself; the same request would be refused again."""


class ContextTooLong(RequestRejected):
    """The prompt has more tokens than the model takes in; shorten it, or choose another model."""


class BadReply(ModelError):
    """A reply came that cannot be used: no choices, cut off, or tool arguments that are not JSON."""


class SchemaMismatch(BadReply):
    """The reply does not fit the schema asked for, not even after one repair turn."""


class RequestsForbidden(ModelError):
    """A real model request while they are switched off."""


class CassetteError(ModelError):
    """A recording that cannot be read or written, or that does not hold the request."""


class BudgetExceeded(AgentEvoError):
    """A limit on calls, tokens, cost or seconds was reached; `meter` is the one that counted it."""

    def __init__(self, message: str, meter: object = None) -> None:
        super().__init__(message)
        self.meter = meter


class WeightsError(AgentEvoError):
    """Weights that are missing or corrupt, or that cannot be fetched or stored."""


class TrainingError(AgentEvoError):
    """A training that failed on the way: memory ran out or a library gave up; its kinds are due to the rows."""


class Untrainable(TrainingError, Misuse):
    """Rows that nothing can be learned from: there is none, all teach one answer, or too few are real."""

    exit_status = 2


class Diverged(TrainingError):
    """A training whose loss, or gradient, became no number: more steps on these rows cannot mend that."""


class ExportError(AgentEvoError):
    """An export that came out empty, or that cannot be written; `dropped` counts what was left out, by reason."""

    def __init__(self, message: str, dropped: Mapping[str, int] | None = None) -> None:
        super().__init__(message)
        self.dropped = dict(dropped or {})


class EmbedderError(AgentEvoError):
    """An embedder that cannot be used here."""


class RunError(AgentEvoError):
    """A run folder that cannot be read or written, or that another process is using."""


class LedgerError(AgentEvoError):
    """A memory that cannot be opened, read or written; what was acknowledged before is safe."""


class LedgerBusy(LedgerError):
    """Another process held the write lock for too long; nothing was written, and trying again is right."""


class LedgerCorrupt(LedgerError):
    """The ledger file is damaged."""


class LedgerTooNew(LedgerError, Misuse):
    """The ledger was written by a newer version."""

    exit_status = 2
