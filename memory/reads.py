"""The verbs that a memory and a draft share, and that change nothing: each asks a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from agentevo.blocking import threaded
from agentevo.errors import Misuse
from agentevo.memory.arguments import checked, known_names, must_be_known
from agentevo.memory.exact import Vector
from agentevo.memory.fields import ALL_KINDS, ALL_STATUSES, Hits, Items, Kinds, Statuses, VectorLike
from agentevo.memory.history import Change, children
from agentevo.memory.narrow import Filter
from agentevo.memory.overlay import as_vector
from agentevo.memory.rank import Weights, about_tokens
from agentevo.memory.recall import MODES, Mode, Question, recall
from agentevo.memory.source import ORDERS, Source
from agentevo.memory.where import Where, parse
from agentevo.shared_thread import SharedThread, sharing_thread
from agentevo.types import RECALLED_KINDS, Item, Transaction


class Reads(ABC):
    """What a memory or a draft of it can be asked."""

    @property
    @abstractmethod
    def namespace(self) -> str: ...

    @property
    @abstractmethod
    def _source(self) -> Source: ...

    @abstractmethod
    def _embedded(self, texts: Sequence[str]) -> list[Vector]: ...

    @abstractmethod
    def _dimensions(self) -> int | None: ...

    @abstractmethod
    def _now(self) -> float: ...

    @abstractmethod
    def _shared_thread(self) -> SharedThread | None:
        """Return where recalls take turns; None where one may take long, or leaves the interpreter to others."""

    @abstractmethod
    def history(self, id: str) -> list[Change] | list[Transaction]:
        """Return what was committed of an item, oldest first."""

    @checked
    def was_purged(self, attempt: str) -> bool:
        """Say whether the experience with this attempt was purged, or an experience item that was made of it."""
        return self._source.was_purged(attempt)

    @checked
    def made_from(self, id: str) -> Items:
        """Return what came directly from an item, an attempt or an experience."""
        return children(self._source, id)

    @checked
    def get(self, id: str) -> Item | None:
        """Return the item of this id, whatever its status; None where there is none."""
        found = self._source.find(id)
        return found[0] if found else None

    def _must(self, id: str) -> Item:
        item = self.get(id)
        if item is None:
            raise Misuse(f"no item {id!r:.80} in namespace {self.namespace!r}; list(status='all') shows what is here")
        return item

    @checked
    def list(
        self,
        *,
        where: Where | None = None,
        kind: Kinds = None,
        status: Statuses = "live",
        order: str = "newest",
        limit: int | None = None,
    ) -> Items:
        """Return items, the live ones unless another status is asked for ("all" or None: whatever theirs is)."""
        must_be_known("order", order, ORDERS)
        statuses = known_names("status", None if status == "all" else status, ALL_STATUSES, ALL_STATUSES)
        kinds = known_names("kind", kind, ALL_KINDS, ALL_KINDS)
        return self._source.listed(kinds, statuses, parse(where), order, limit)

    @checked
    def recall(
        self,
        query: str,
        k: int = 5,
        *,
        where: Where | None = None,
        kind: Kinds = None,
        mode: Mode = "hybrid",
        vector: VectorLike | None = None,
        now: float | None = None,
        weights: Weights | None = None,
        mmr: float | None = None,
        tokens: int | None = None,
        count: Callable[[str], int] = about_tokens,
    ) -> Hits:
        """Return the k items that answer a question best, best first; each hit's parts add up to its score.

        Facts, experiences, lessons and code are covered unless a kind is asked for. Recall changes nothing: use is
        counted by `reinforce`.
        """
        must_be_known("recall mode", mode, MODES)
        query = query.encode("utf-8", "replace").decode()  # half a character can be neither searched nor embedded
        kinds = known_names("kind", kind, ALL_KINDS, RECALLED_KINDS)
        only = Filter(kinds, parse(where), self._now() if now is None else now)
        asked = None
        if vector is not None:
            asked = as_vector(vector, self._dimensions(), "the vector asked with")
        elif mode != "bm25":
            asked = self._embedded([query])[0]
        question = Question(query, asked, k, mode, only, weights or Weights(), mmr, tokens, count)
        return recall(self._source, question)

    aget = threaded(get)
    awas_purged = threaded(was_purged)
    amade_from = threaded(made_from)
    alist = threaded(list)  # noqa: A003 -- the verb above, not the builtin
    arecall = sharing_thread(recall)
