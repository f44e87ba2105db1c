"""What modules want done at each fork: kept from our own forks, and put in place where a program may fork."""

from __future__ import annotations

import os
from collections.abc import Callable

Hooks = dict[str, Callable[[], object]]

_register = os.register_at_fork
_kept: list[Hooks] = []


def keep() -> None:
    """Only write down what modules ask for from now on.

    Whoever forks here has one thread and holds no lock, and what the hooks touch of memory would be copied each time.
    """
    os.register_at_fork = lambda **hooks: _kept.append(hooks)


def put_in_place() -> None:
    """Have all of it done from now on, when a program forks."""
    os.register_at_fork = _register
    for hooks in _kept:
        _register(**hooks)
