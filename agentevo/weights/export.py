"""Export: experiences become rows to train on, in bounded memory and in the order in which they were made."""

from __future__ import annotations

import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, Unpack

from agentevo import __version__
from agentevo.errors import ExportError, Misuse
from agentevo.memory.masking import masked
from agentevo.memory.memory import Memory
from agentevo.memory.named_secrets import masked_within
from agentevo.overlap import Held
from agentevo.types import Attempt, Experience, Item
from agentevo.weights import export_pairing as pairing
from agentevo.weights.card import DataCard, What
from agentevo.weights.export_files import Out, Target, write_lines
from agentevo.weights.export_records import Records, Standing, is_judged
from agentevo.weights.export_rules import Options, Rules
from agentevo.weights.export_stage import Stage, Staged
from agentevo.weights.rows import Found, Left, Row, Said, correction_of, example, last_said, preference, said

Source: TypeAlias = Memory | Iterable[Experience]
Progress: TypeAlias = Callable[[str, int, int], None]


def export_sft(
    source: Source,
    out: Out,
    *,
    force: bool = False,
    items: Mapping[str, Item] | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
    **options: Unpack[Options],
) -> DataCard:
    """Write the answers worth learning as rows to train on; return the card that counts what was left out, and why.

    source is a memory, or experiences themselves, with the `items` that their attempts used (one that is missing was
    purged; without items none is looked at). out is a file ending in .jsonl, the name of a folder for `datasets`, or an
    open stream. The options are those of `Rules`. Raise ExportError where nothing is left, or nothing can be written.
    """
    return _export("sft", source, out, Rules(**options), force, items, progress or _silent, clock)


def export_pairs(
    source: Source,
    out: Out,
    *,
    force: bool = False,
    items: Mapping[str, Item] | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
    **options: Unpack[Options],
) -> DataCard:
    """Write preferences between attempts at one task as rows to train on; else the same as `export_sft`.

    An experience that names pairs gives those; any other the widest margins between its scored attempts.
    """
    return _export("pairs", source, out, Rules(**options), force, items, progress or _silent, clock)


def _silent(what: str, done: int, total: int) -> None:
    pass


class _Candidate(NamedTuple):
    """A row that may go out, and what decides about it."""

    row: Row
    core: str
    asked: list[str]
    others: list[str]
    """What else it holds, where a suite's prompt may stand too."""
    ability: str
    value: float | None
    is_synthetic: bool
    attempt: str
    """The attempt whose last judgement by a person decides whether it stands: what it teaches, or what it corrects."""
    is_correction: bool


class _Judged(NamedTuple):
    """What an experience speaks for."""

    attempts: list[str]
    """Those of its attempts that people judged."""
    candidates: list[_Candidate]
    passes: bool
    """Whether the filter lets it through; if not, it takes back what others said of the attempts, and adds nothing."""


@dataclass(slots=True)
class _Counts:
    """What was looked at, and what was left out."""

    experiences: int = 0
    attempts: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def _export(
    what: What,
    source: Source,
    out: Out,
    rules: Rules,
    force: bool,
    items: Mapping[str, Item] | None,
    progress: Progress,
    clock: Callable[[], float],
) -> DataCard:
    if what == "pairs" and rules.shape != "prompt":
        raise Misuse(f"pairs have one shape, prompt with chosen and rejected; shape={rules.shape!r} is for sft")
    target, counts = Target(out, force=force), _Counts()
    held = {name: Held(prompts) for name, prompts in rules.against.items()}
    with target.working() as folder, closing(Stage(folder / "stage.db", rules.near, rules.seed)) as stage:
        for found in _found(what, Records(source, rules, items), rules, counts, progress):
            _put(stage, target, found, held, rules.max_chars, counts.dropped)
        counts.dropped += Counter(stage.settle())
        if rules.per_ability is not None:
            counts.dropped += Counter({"above the number of an ability": stage.balance(rules.per_ability)})
        card = _card(what, source, rules, held, counts, stage).but(made_at=clock())
        if not card.rows:
            raise ExportError(_nothing(card), card.dropped)
        progress("writing rows", 0, card.rows)
        card = card.but(sha256=write_lines(folder, stage.lines()))
        target.put(folder, what, card)
    return card


def _found(what: What, records: Records, rules: Rules, counts: _Counts, progress: Progress) -> Iterator[_Judged]:
    """Yield what each experience speaks for; of those that pass the filter what is left out is counted."""
    for found, standing, passes in records.found():
        attempts = found.experience.attempts
        if passes:
            counts.experiences += 1
            counts.attempts += len(attempts)
            progress("reading experiences", counts.experiences, 0)
        told = [_told(attempt, standing, rules, must_be_right=what == "sft") for attempt in attempts]
        better = [_correction(attempt, standing, rules) for attempt in attempts]
        rows = _answers(found, [*told, *better], rules) if what == "sft" else _preferences(found, told, better, rules)
        made = list(rows) if attempts else [Left("no attempts")]
        if passes:
            counts.dropped.update(str(one) for one in made if isinstance(one, Left))
        judged = [_named(found, attempt) for attempt in attempts if is_judged(attempt)]
        yield _Judged(judged, [one for one in made if not isinstance(one, Left)], passes)


def _put(
    stage: Stage, target: Target, new: _Judged, held: Mapping[str, Held], max_chars: int, dropped: Counter[str]
) -> None:
    """Stage the rows of an experience, in place of what was said before of the attempts that people judged in it."""
    staged, left = list[Staged](), Counter[str]()
    for candidate in new.candidates:
        try:
            one = _staged(candidate, held, max_chars)
            target.must_read_back(one.line)
            staged.append(one)
        except Left as why:
            left[str(why)] += 1
    stage.withdraw(new.attempts, staged, by_value=new.passes)  # of what is hidden nothing comes in their place
    if new.passes:
        dropped.update(left)
        for one in staged:
            stage.add(one)


def _told(
    attempt: Attempt, standing: Standing, rules: Rules, *, must_be_right: bool, is_correction: bool = False
) -> Said | Left:
    try:
        if rules.turns == "all" and _length(attempt) > rules.max_chars:
            raise Left("too long")  # before anything reads it
        standing.must_be_good(attempt, is_correction=is_correction)
        if attempt.has_failed:
            raise Left("the model failed")
        if must_be_right:
            _must_be_right(attempt, rules.min_score)
        return said(attempt, rules.strip, rules.turns)
    except Left as left:
        return left


def _correction(attempt: Attempt, standing: Standing, rules: Rules) -> Said | Left | None:
    """Return what a person said would have been right, or why that is left out; None where nobody said so."""
    ended = correction_of(attempt)
    one = _told(ended, standing, rules, must_be_right=False, is_correction=True) if ended is not None else None
    if not isinstance(one, Said):
        return one
    if rules.shape == "messages" and len(one.completion) > 1:
        return Left("turns before a correction")  # they would be learned too
    return last_said(one)._replace(is_correction=True)


def _length(attempt: Attempt) -> int:
    return sum(len(said) for m in attempt.messages[attempt.prompt :] if isinstance(said := m.get("content"), str))


def _must_be_right(attempt: Attempt, min_score: float | None) -> None:
    if attempt.stopped:
        raise Left("stopped early")
    if min_score is None:
        return
    if attempt.score is None:
        raise Left("not scored")
    if attempt.score < min_score:
        raise Left("low score")


def _answers(found: Found, told: Iterable[Said | Left | None], rules: Rules) -> Iterator[_Candidate | Left]:
    ability = rules.ability_in(found.experience)
    for one in told:
        if isinstance(one, Left):
            yield one
        elif one is not None:
            yield _Candidate(
                example(found, one, ability, rules.shape), one.core, one.asked, one.told, ability, one.attempt.score,
                one.is_synthetic, _named(found, one.attempt), one.is_correction,
            )  # fmt: skip


def _preferences(
    found: Found, told: Sequence[Said | Left], better: Sequence[Said | Left | None], rules: Rules
) -> Iterator[_Candidate | Left]:
    ability, experience = rules.ability_in(found.experience), found.experience
    pairs = list(pairing.corrected(better, told))
    if experience.pairs:
        names = (attempt.id for attempt in experience.attempts)
        pairs += pairing.given(experience.pairs, dict(zip(names, told, strict=True)))
    else:
        yield from (one for one in told if isinstance(one, Left))
        fair = [one for one in told if not isinstance(one, Left)]
        pairs += pairing.widest(fair, rules.min_score, rules.min_margin, rules.per_task, or_none=bool(pairs))
    for pair in pairs:
        if isinstance(pair, Left):
            yield pair
            continue
        chosen, rejected = pair
        row = preference(found, chosen, rejected, ability)
        core, margin = f"{chosen.core}\n{rejected.core}", row["margin"]
        value = margin if isinstance(margin, float) else None
        is_synthetic, is_correction = row["synthetic"] is True, chosen.is_correction
        attempt = _named(found, chosen.attempt) if is_correction else ""  # of two attempts, neither alone decides
        asked, others = (list(dict.fromkeys(s)) for s in (chosen.asked + rejected.asked, chosen.told + rejected.told))
        yield _Candidate(row, core, asked, others, ability, value, is_synthetic, attempt, is_correction)


def _nothing(card: DataCard) -> str:
    if not card.experiences:
        return (
            "nothing to export: there is no experience that the filter lets through; experiences come of runs with a "
            "memory, and lie in the namespace of their run"
        )
    return f"nothing to export of {card.experiences} experiences; left out: {card.left_out}"


def _named(found: Found, attempt: Attempt) -> str:
    return json.dumps((found.namespace, attempt.task.id, attempt.id))


def _staged(candidate: _Candidate, held: Mapping[str, Held], max_chars: int) -> Staged:
    """Return a row as it goes out; raise Left where it must not."""
    line = _line(candidate.row)
    if len(line) > max_chars:
        raise Left("too long")
    for name, suite in held.items():
        if any(map(suite.has, candidate.asked)) or any(map(suite.stands_in, candidate.others)):
            raise Left(f"in {name}")
    row = masked_within(candidate.row)
    is_masked = row != candidate.row
    line = _line(row) if is_masked else line
    whole = line.encode("utf-8", "replace").decode()
    ability = masked(candidate.ability.encode("utf-8", "replace").decode())
    return Staged(
        whole, candidate.core, ability, candidate.attempt, candidate.value, candidate.is_correction,
        candidate.is_synthetic, is_masked, whole != line,
    )  # fmt: skip


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _card(
    what: What, source: Source, rules: Rules, held: Mapping[str, Held], counts: _Counts, stage: Stage
) -> DataCard:
    return DataCard(
        what=what, experiences=counts.experiences, attempts=counts.attempts,
        dropped=dict(sorted(counts.dropped.items())), abilities=stage.abilities(),
        against={name: len(suite) for name, suite in held.items()}, rules=masked_within(rules.as_json()),
        memory=source.id if isinstance(source, Memory) else None, **stage.totals()._asdict(),
        versions={"agentevo": __version__, "python": platform.python_version()},
    )  # fmt: skip
