"""The library of the house as an environment: small programs that call what nobody can know without examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentevo.environments.code.environment import Code, Mode
from agentevo.environments.code.library.convention import Convention
from agentevo.environments.code.library.requests import requests
from agentevo.environments.made_up import sizes

if TYPE_CHECKING:
    from agentevo.environments.sandbox import Sandbox

LEVELS = ("verbatim", "marks and units", "two steps")
MOST_TASKS = 240


class HouseLibrary(Code):
    """Programs for a house: `pay(dollars): Pay Anna for the rent.` becomes, say, a call of `vol.gol`.

    The library (its name, functions, order of arguments) is made up from the number of the convention. Level 1 takes
    values as they stand; level 2 marks words and counts in units of its own; level 3 asks for two steps, and for what
    happens when the library refuses one, which it does with a word of its own. There are so many `tasks` in train and
    in test, three tenths of that in dev. Splits share the library and no task; half of test is phrased, and in level 3
    also paired, in ways that the others never are, which `task.data["group"]` tells.

    In mode "workspace" the library lies there with its README, which names functions and arguments, and says nothing
    of marks, units and refusals. In mode "answer" nothing of it is shown.
    """

    def __init__(
        self,
        convention: int = 0,
        level: int = 1,
        tasks: int = 200,
        mode: Mode = "answer",
        *,
        sandbox: Sandbox | None = None,
    ) -> None:
        counts = sizes(convention, level, tasks, LEVELS, MOST_TASKS)
        library = Convention.of(convention, level).library
        super().__init__(
            [task for split, count in counts.items() for task in requests(convention, level, split, count)],
            name="library", version="1", licence="Apache-2.0", mode=mode, sandbox=sandbox,
            description=f"A small program by a library of the house; convention {convention}, level {level}",
            instruction=f"Write the Python function with the library {library}.",
        )  # fmt: skip
