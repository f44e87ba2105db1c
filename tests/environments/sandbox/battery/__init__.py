"""Hostile programs, the world they attack, and the agents that run them."""

from __future__ import annotations

from battery import files, kernel, network, processes, protocol, resources, verdicts
from battery.program import Forgery, Program

BREAKOUTS: tuple[Program, ...] = (
    *files.PROGRAMS,
    *network.PROGRAMS,
    *processes.PROGRAMS,
    *kernel.PROGRAMS,
    *resources.PROGRAMS,
    *protocol.PROGRAMS,
)
FORGERIES: tuple[Forgery, ...] = tuple(verdicts.PROGRAMS)
ALL: tuple[Program | Forgery, ...] = (*BREAKOUTS, *FORGERIES)
