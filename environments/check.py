"""The contract of an environment as a function: what every environment, and every wrapper of one, must do."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from agentevo.blocking import blocking
from agentevo.environments.clauses import CLAUSES, Case
from agentevo.errors import Misuse
from agentevo.protocols import Environment

LIMIT_S = 120.0
Report: TypeAlias = Callable[[str, int], None]


class BrokenContract(AssertionError):
    """An environment does not do what it must; `clause` names what."""

    def __init__(self, environment: str, clause: Callable[[Case], Awaitable[bool]], why: str) -> None:
        self.clause = clause.__name__
        super().__init__(f"{environment} breaks {self.clause!r} ({clause.__doc__}): {why}")


async def acheck_environment(
    environment: Environment,
    *,
    again: Callable[[], Environment] | None = None,
    tasks: int = 8,
    episodes: int = 32,
    limit_s: float = LIMIT_S,
    patience_s: float = 5.0,
    report: Report | None = None,
) -> tuple[str, ...]:
    """Check the contract, clause by clause, and return the names of the clauses that were checked and hold.

    `again` makes the environment anew, to see that it comes out the same. All tasks are listed, so many of each split
    are tried, and so many episodes run at once. Each clause may take `limit_s` seconds, and what was closed or
    cancelled `patience_s` to be gone. `report` is told the clause, and how many episodes it has taken so far. What
    cannot be checked is not in the result: actions where no step is taken, null and gold where the card does not say
    what they score.
    Raises BrokenContract, an AssertionError, at the first clause that is broken.
    """
    if isinstance(environment, type) or not isinstance(environment, Environment):
        raise Misuse(f"{environment!r:.80} is no environment; expected one with the methods of agentevo's Environment")
    if tasks < 1 or episodes < 2:
        raise Misuse(f"tasks is {tasks!r} and episodes {episodes!r}; expected 1 or more tasks, 2 or more episodes")
    case = Case(environment, again, tasks, episodes, patience_s)
    return tuple([clause.__name__ for clause in CLAUSES if await _holds(clause, _told(case, clause, report), limit_s)])


check_environment = blocking(acheck_environment)


def _told(case: Case, clause: Callable[[Case], Awaitable[bool]], report: Report | None) -> Case:
    """Return the case for a clause, whose episodes are reported from now on."""
    if report is None:
        return case
    count = itertools.count()
    report(clause.__name__, next(count))
    return replace(case, played=lambda: report(clause.__name__, next(count)))


async def _holds(clause: Callable[[Case], Awaitable[bool]], case: Case, limit_s: float) -> bool:
    """Return whether a clause applies, and holds."""
    name = getattr(getattr(case.environment, "card", None), "name", "") or repr(case.environment)
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await clause(case)
    except AssertionError as error:
        raise BrokenContract(name, clause, str(error)) from error
    except Exception as error:  # whatever a stranger's code raises is what we want to tell
        late = isinstance(error, TimeoutError) and limit.expired()
        why = f"it took longer than {limit_s:g} s" if late else f"it raised {type(error).__name__}: {error}"
        raise BrokenContract(name, clause, why) from error
