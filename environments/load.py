"""From the name of a suite to its environment and split: `house:level=2,convention=1@1/test`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Environment

if TYPE_CHECKING:
    from agentevo.models.placing import Progress

Option: TypeAlias = int | float | bool | str

ENVIRONMENTS = {
    "answers": "agentevo.environments.answers:Answers",
    "bfcl": "agentevo.environments.tool.bfcl:BFCL",
    "duo": "agentevo.environments.text.duo:Duo",
    "exercism": "agentevo.environments.code:Exercism",
    "house": "agentevo.environments.tool.house:House",
    "humaneval": "agentevo.environments.code:HumanEval",
    "leetcode": "agentevo.environments.code:LeetCode",
    "library": "agentevo.environments.code:HouseLibrary",
    "mbpp": "agentevo.environments.code:MBPP",
    "reasoning_gym": "agentevo.environments.text:ReasoningGym",
    "scienceworld": "agentevo.environments.text:ScienceWorld",
    "shop": "agentevo.environments.tool.shop:Shop",
    "textworld_express": "agentevo.environments.text:TextWorldExpress",
    "world": "agentevo.environments.text.world:World",
}
"""Where each environment is made: module and callable, imported when it is asked for. Packages may add their own."""

FETCHED = {"bfcl": "agentevo.environments.tool.bfcl:fetch"}
"""What gets the parts of an environment that are not in this package. Packages may add their own."""

_OPTION = r'[A-Za-z_]\w*=(?:"[^"]*"|[^",@/]*)'
_SUITE = re.compile(
    rf"(?P<name>[A-Za-z][\w.-]*)(?::(?P<options>{_OPTION}(?:,{_OPTION})*))?(?:@(?P<version>[\w.+-]+))?(?:/(?P<split>[\w.-]+))?"
)
_SHAPE = 'NAME, NAME/SPLIT or NAME:OPTION=VALUE,...@VERSION/SPLIT; quote a value with , @ or / in it: path="a/b.csv"'


def names() -> list[str]:
    """Return the names of the environments that need nothing but their name; others need an option, a file say."""
    return [name for name in sorted(ENVIRONMENTS) if not _missing(_parameters(_maker(name)), {})]


def fetcher(name: str) -> Callable[[Progress], Path] | None:
    """Return what fetches the parts of an environment, and says where they are; None where nothing is missing."""
    if name not in ENVIRONMENTS:
        raise UnknownName("environment", name, ENVIRONMENTS)
    return _named(FETCHED[name]) if name in FETCHED else None


def load(suite: str) -> tuple[Environment, str]:
    """Return the environment of a suite, and its split: test where none is named, or else the first.

    Raise UnknownName for a name, option or split that is not there, Misuse for another version.
    """
    match = _SUITE.fullmatch(suite)
    if match is None:
        raise Misuse(f"{suite!r} is no name of a suite; expected {_SHAPE}")
    environment = _make(match["name"], _options(match["options"] or ""))
    version, card = match["version"], environment.card
    if version is not None and version != card.version:
        raise Misuse(f"{card.name} is at version {card.version!r}; {suite!r} asks for {version!r}")
    return environment, _split(environment, match["split"])


def _make(name: str, options: dict[str, Option]) -> Environment:
    make = _maker(name)
    parameters = _parameters(make)
    known = [p.name for p in parameters]
    strange = [] if any(p.kind is p.VAR_KEYWORD for p in parameters) else [o for o in options if o not in known]
    if strange:
        raise UnknownName(f"option of {name}", strange[0], known)
    if missing := _missing(parameters, options):
        raise Misuse(f"{name} needs the option {missing[0]!r}: write {name}:{missing[0]}=...")
    return make(**options)


def _maker(name: str) -> Callable[..., Environment]:
    if name not in ENVIRONMENTS:
        raise UnknownName("environment", name, ENVIRONMENTS)
    make: Callable[..., Environment] = _named(ENVIRONMENTS[name])
    return make


def _named(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _parameters(make: Callable[..., Environment]) -> list[inspect.Parameter]:
    return list(inspect.signature(make).parameters.values())


def _missing(parameters: list[inspect.Parameter], options: dict[str, Option]) -> list[str]:
    """Return the options that have no default and no value."""
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = (p.name for p in parameters if p.default is p.empty and p.kind not in open_ended)
    return [name for name in needed if name not in options]


def _split(environment: Environment, split: str | None) -> str:
    known = tuple(environment.splits())
    if split is None and known:
        return "test" if "test" in known else known[0]
    if split is None or split not in known:
        raise UnknownName(f"split of {environment.card.name}", split or "", known)
    return split


def _options(text: str) -> dict[str, Option]:
    """Return what `level=2,path="a/b.csv"` says: numbers and true and false as such, all else as text."""
    pairs = (option.partition("=") for option in re.findall(_OPTION, text))
    return {name: _value(value) for name, _, value in pairs}


def _value(text: str) -> Option:
    if text.startswith('"'):
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
