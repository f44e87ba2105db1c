"""The lines of an export that are no items: what each may say, so that nothing unreadable gets into a journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator, model_validator

from agentevo.memory import images
from agentevo.memory.change import MARKING
from agentevo.types import Experience, Item, Record, Verb


def _text_of(shape: Any) -> Callable[[str], str]:
    """Return a check that a text is JSON of this shape; the text itself is what is kept."""
    adapter = TypeAdapter(shape)

    def check(text: str) -> str:
        adapter.validate_json(text)
        return text

    return check


_whole = _text_of(Item)


class _Detail(Record):
    changes: dict[str, Any] = Field(default_factory=dict)
    to: tuple[str, ...] = ()
    key: str | None = None


class Line(Record):
    """Numbers are numbers and texts are texts: what is nearly right was not written by an export."""

    model_config = ConfigDict(strict=True)


class Header(Line):
    format: int
    namespace: str = ""
    embedder: str | None = None
    fingerprint: str | None = None
    dimensions: Annotated[int, Field(gt=0)] | None = None


class TransactionLine(Line):
    id: str
    actor: str
    reason: str
    key: str | None
    at: float
    content: int
    undone_by: str | None
    skipped: Annotated[str, AfterValidator(_text_of(list[str]))]


class OpLine(Line):
    transaction: str
    verb: Verb | Literal["purge"]
    item: str
    reason: str
    detail: Annotated[str, AfterValidator(_text_of(_Detail))]
    before: str | None

    @field_validator("before")
    @classmethod
    def _is_an_image(cls, before: str | None, told: ValidationInfo) -> str | None:
        if before is None or (images.is_marks(before) and told.data.get("verb") in MARKING):
            return before
        return _whole(before)

    @model_validator(mode="after")
    def _adds_numbers(self) -> Self:
        if self.verb == "reinforce":
            TypeAdapter(dict[str, float]).validate_python(_Detail.model_validate_json(self.detail).changes)
        return self


class CreditLine(Line):
    key: str
    item: str
    changes: Annotated[str, AfterValidator(_text_of(dict[str, float]))]


class ExperienceLine(Line):
    id: str
    run: str
    task: str
    score: float
    at: float
    body: Annotated[str, AfterValidator(_text_of(Experience))]


class PurgedLine(Line):
    """An attempt whose experience was purged: it stands among what was derived, as the parent of nothing."""

    parent: str
    child: Literal[""]


OF: Mapping[str, type[Line]] = {
    "transaction": TransactionLine, "op": OpLine, "credit": CreditLine, "experience": ExperienceLine,
    "purged": PurgedLine,
}  # fmt: skip
