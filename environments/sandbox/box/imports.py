"""What tests import from a solution: modules whose every name is resolved over there."""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence, Set

from agentevo.environments.sandbox.box.peer import Peer


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the solution."""

    def __init__(self, peer: Peer, modules: Sequence[str]) -> None:
        self.peer, self.modules = peer, modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of the solution comes from, or None for any other."""
        if fullname not in self.modules:
            return None
        is_package = any(name.startswith(fullname + ".") for name in self.modules)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=is_package)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make the stand-in of a module."""
        return Solution(spec.name, self.peer)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run nothing: the module runs over there."""


class Solution(types.ModuleType):
    """A module of the solution."""

    def __init__(self, name: str, peer: Peer) -> None:
        super().__init__(name)
        self.__dict__["_peer"] = peer

    def __getattr__(self, name: str) -> object:
        peer: Peer = self.__dict__["_peer"]
        where = "" if self.__name__ == "solution" else self.__name__
        if name == "__all__":
            named = peer.ask("names", module=self.__name__)
            return [one for one in named if one not in _taken()] if isinstance(named, list) else []
        if name.startswith("__"):
            raise AttributeError(name)
        return peer.ask("resolve", module=where, name=name)


def _taken() -> Set[str]:
    """Return the names that a solution cannot give another meaning by being imported with a star."""
    return {*dir(builtins), *vars(sys.modules["tests"])}
