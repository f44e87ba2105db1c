"""Tools from plain Python functions: what a call must look like is read from signature, types and docstring."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from agentevo.environments.tool.aside import apart, aside
from agentevo.environments.tool.served import BadCall, Refused, Served, as_text
from agentevo.errors import Misuse
from agentevo.quote import cut
from agentevo.types import Json, Tool, why_invalid

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that every provider takes."""
_SECTION = re.compile(r"^(?:Args|Arguments|Parameters):\s*$")
_HEADING = re.compile(r"^(?:Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?):\s*$")
_GOOGLE = re.compile(r"^\s+(\w+)\s*(?:\([^)]*\))?:\s*(.+)$")
_SPHINX = re.compile(r"^\s*:param\s+(?:[^:]*\s)?(\w+):\s*(.+)$")
_PLAIN_VALUES = ("default", "examples", "enum", "const")


@dataclass(frozen=True)
class FunctionTool:
    """A function as a tool; name and description are the function's own unless they are given.

    Its parameters are described by annotations (also `Annotated[int, Field(ge=1, description=...)]`), defaults, and a
    docstring with `Args:` or `:param x:`. Arguments are checked before a call, and handed over as what was annotated.
    A function that waits is awaited in a task of its own, any other runs in a thread of its own; a thread, and a task
    that will not be cancelled, go on after a timeout.
    destructive: what it does cannot be taken back, so that a policy is asked first. trusted: nobody else has a hand in
    what it returns, so that it is shown as it is; what any other function brings is quoted, as data from it.
    """

    function: Callable[..., object]
    _: KW_ONLY
    name: str = ""
    description: str = ""
    destructive: bool = False
    trusted: bool = False

    def __post_init__(self) -> None:
        given: object = self.function
        if not callable(given) or isinstance(given, type):
            raise Misuse(f"{self.function!r:.80} is no function; expected one such as def search(query: str) -> str")
        name = self.name or getattr(self.function, "__name__", "")
        if not NAME.fullmatch(name):
            raise Misuse(f"{name!r:.80} is no name of a tool; expected letters, digits, _ and -, up to 64: give name=")
        object.__setattr__(self, "name", name)
        summary = self.description or _summary(inspect.getdoc(self.function) or "")
        object.__setattr__(self, "description", summary)
        self.served()  # a signature that cannot be described is told now

    def served(self) -> Served:
        """Return the tool with what runs it. Raise Misuse for a signature that cannot be described."""
        parameters = _parameters(self.function, self.name)
        model = _model(self.function, self.name, parameters)
        tool = Tool(
            name=self.name, description=self.description, parameters=_schema(model, self.name),
            destructive=self.destructive,
        )  # fmt: skip
        run = functools.partial(_run, self.function, self.name, parameters, model)
        return Served(tool, run, "" if self.trusted else self.name, functools.partial(_checked, self.name, model))


def over(served: Served, function: Callable[..., object]) -> Served:
    """Return a function's tool as that of another one with the same parameters: of another object's method, say."""
    run = served.run
    if not isinstance(run, functools.partial):
        raise Misuse(f"{served.tool.name!r} is no function's tool; expected one that FunctionTool made")
    return replace(served, run=functools.partial(run.func, function, *run.args[1:]))


async def _run(
    function: Callable[..., object],
    name: str,
    parameters: list[inspect.Parameter],
    model: type[BaseModel],
    arguments: Mapping[str, Json],
) -> str:
    given = _checked(name, model, arguments)
    values = [(p, getattr(given, f"p{n}")) for n, p in enumerate(parameters)]
    args = [value for p, value in values if p.kind is p.POSITIONAL_ONLY]
    kwargs = {p.name: value for p, value in values if p.kind is not p.POSITIONAL_ONLY}
    try:
        if _waits(function):
            return as_text(await apart(_held(name, lambda: _awaited(function(*args, **kwargs)))))
        found, text = await _held(name, lambda: aside(lambda: _called(function, args, kwargs)))
        return text if text is not None else as_text(await apart(_held(name, lambda: _awaited(found))))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BadCall(f"{name!r} failed: it was cancelled from within") from error


async def _held(name: str, begin: Callable[[], Awaitable[T]]) -> T:
    """Return what comes of it. Raise BadCall where it would end the app, or what calls it, which is no Exception."""
    try:
        return await begin()
    except (Exception, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except SystemExit as error:
        raise BadCall(f"{name!r} failed: it wanted to end the process, with {error.code!r:.80}") from error
    except BaseException as error:  # as Rust's panics are
        raise BadCall(f"{name!r} failed: {type(error).__name__}: {cut(f'{error}', 500)}") from error


def _called(
    function: Callable[..., object], args: list[object], kwargs: dict[str, object]
) -> tuple[object, str | None]:
    """Return what a function returned, and that as text, unless it is still to be awaited."""
    found = function(*args, **kwargs)
    return found, None if inspect.isawaitable(found) else as_text(found)


async def _awaited(found: object) -> object:
    return await found if inspect.isawaitable(found) else found


def _waits(function: Callable[..., object]) -> bool:
    return any(map(inspect.iscoroutinefunction, _kinds(function)))


def _kinds(function: Callable[..., object]) -> tuple[object, object]:
    """Return what tells which kind of callable a function, a partial or an object is."""
    inner = function.func if isinstance(function, functools.partial) else function
    return inner, getattr(inner, "__call__", None)  # noqa: B004 - which kind of callable


def _checked(name: str, model: type[BaseModel], arguments: Mapping[str, Json]) -> BaseModel:
    """Return the arguments as the function takes them. Raise Refused, with what was expected, where they do not fit."""
    try:
        return model.model_validate_json(json.dumps(arguments))
    except (ValidationError, ValueError, RecursionError) as error:
        why = why_invalid(error) if isinstance(error, ValidationError) else str(error)
        expected = json.dumps(_schema(model, name), ensure_ascii=False)
        raise Refused(
            f"the arguments of {name!r} do not fit: {cut(why, 800)}. Expected: {cut(expected, 2000)}"
        ) from error


# --- what a function takes


def _parameters(function: Callable[..., object], name: str) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise Misuse(
            f"the signature of {name!r} cannot be read ({error}); wrap it in a function of your own"
        ) from error
    if any(map(inspect.isasyncgenfunction, _kinds(function))):
        raise Misuse(f"{name!r} yields as it waits; expected a function that returns what it found, a list say")
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise Misuse(
                f"{name!r} takes {p}, which no schema can describe; expected named parameters, a list or a dict say"
            )
    return parameters


def _model(function: Callable[..., object], name: str, parameters: list[inspect.Parameter]) -> type[BaseModel]:
    """Return the arguments as a model. Its fields are numbered, as a parameter may have a name that no field can."""
    told = dict(_described(inspect.getdoc(function) or ""))
    hints = _hints(function, name)
    fields: dict[str, Any] = {}
    for n, p in enumerate(parameters):
        hint, default = _taken(p, hints.get(p.name, Any))
        if p.name in told:  # what the annotation says itself comes later, and wins
            hint = Annotated[hint, Field(description=told[p.name])] if not _says(hint) else hint
        fields[f"p{n}"] = (hint, Field(alias=p.name, **default))
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)
    except (PydanticUserError, TypeError) as error:
        raise Misuse(
            f"the parameters of {name!r} cannot be described ({error!s:.300}); expected types of JSON"
        ) from error


def _taken(p: inspect.Parameter, hint: Any) -> tuple[Any, dict[str, Any]]:
    """Return a parameter's annotation and its default, which may stand in a Field where others have the default."""
    if not isinstance(p.default, FieldInfo):
        return hint, {"default": ... if p.default is p.empty else p.default}
    if p.default.default_factory is not None:
        return Annotated[hint, p.default], {"default_factory": p.default.default_factory}
    return Annotated[hint, p.default], {"default": ... if p.default.is_required() else p.default.default}


def _says(hint: object) -> bool:
    return any(getattr(extra, "description", None) for extra in getattr(hint, "__metadata__", ()))


def _hints(function: Callable[..., object], name: str) -> dict[str, Any]:
    inner = function.func if isinstance(function, functools.partial) else function
    annotated = inner if inspect.isroutine(inner) else getattr(inner, "__call__", inner)  # noqa: B004 - its hints
    try:
        return get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError) as error:
        raise Misuse(f"an annotation of {name!r} cannot be read: {error}; name types that its module knows") from error


class _Plain(GenerateJsonSchema):
    """A default that JSON cannot hold is left out of the schema, and used all the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ignored_warning_kinds = {"non-serializable-default", "skipped-choice"}


def _schema(model: type[BaseModel], name: str) -> dict[str, Json]:
    try:
        schema = model.model_json_schema(by_alias=True, schema_generator=_Plain)
    except PydanticUserError as error:
        raise Misuse(
            f"the parameters of {name!r} cannot be described ({error!s:.300}); expected types of JSON"
        ) from error
    plain = _untitled(schema)
    return {"type": "object", "properties": {}, **plain} if isinstance(plain, dict) else {}


def _untitled(schema: Json, *, is_names: bool = False) -> Json:
    """Leave out the titles that pydantic makes of names: a model pays for each by the token."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value
        if key in _PLAIN_VALUES and not is_names
        else _untitled(value, is_names=not is_names and key in ("properties", "$defs"))
        for key, value in schema.items()
        if is_names or key != "title"
    }


# --- what a docstring says


def _summary(doc: str) -> str:
    """Return a docstring without what it says of parameters and results."""
    lines = []
    for line in doc.splitlines():
        if _HEADING.match(line) or line.lstrip().startswith((":param", ":return", ":raise")):
            break
        lines.append(line.rstrip())
    return "\n".join(lines).strip()


def _described(doc: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters that a docstring tells of, in the way of Google or of Sphinx."""
    is_inside = False
    for line in doc.splitlines():
        if sphinx := _SPHINX.match(line):
            yield sphinx[1], sphinx[2].strip()
        if _HEADING.match(line):
            is_inside = bool(_SECTION.match(line))
        elif is_inside and (google := _GOOGLE.match(line)):
            yield google[1], google[2].strip()
