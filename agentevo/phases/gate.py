"""The gate: whether a drafted memory may replace the one there is, from what both did on the same held-out tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import fmean

from agentevo.errors import Misuse
from agentevo.statistics import Interval, paired_bootstrap, power_note
from agentevo.types import Decision, Report, Task
from agentevo.types.work import SUITE


@dataclass(frozen=True)
class HeldOut:
    """Accept what is not worse: the lower end of the interval of after - before lies above -margin.

    Scores are paired task by task (a task answered several times counts once, by its mean); tasks that only one
    report has are left out. Where no task scored lower there is nothing to hold against the draft, and it is accepted
    however few the tasks. `splits` names what the evaluation uses; none named stands for "dev" where
    the environment has such a split, else for "test".
    A margin below 0 is a gain that must be shown: what changes nothing is then rejected. The reason also says how
    many tasks it would take to see a difference as large as the margin; with 60 tasks it takes 3 that got better to
    make up for 1 that got worse, and 5 for 2.
    What this does not cover: a harm smaller than the margin each turn, or one that shows on other tasks only.
    """

    margin: float = 0.02
    splits: Sequence[str] = ()
    confidence: float = 0.9
    _: KW_ONLY
    seed: int = 0

    def __post_init__(self) -> None:
        if not -1 < self.margin <= 1:
            raise Misuse(f"margin is {self.margin!r}; expected how much worse is no harm, to 1, or a gain as -0.05")
        if isinstance(self.splits, str) or not all(isinstance(name, str) for name in self.splits):
            raise Misuse(f"splits is {self.splits!r}; expected a list of names, such as ('dev',)")
        if not 0 < self.confidence < 1:
            raise Misuse(f"confidence is {self.confidence!r}; expected a share between 0 and 1, such as 0.9")
        object.__setattr__(self, "splits", tuple(self.splits))

    def __call__(self, before: Report, after: Report) -> Decision:
        old, new, left_out = _paired(before, after)
        found = paired_bootstrap(old, new, confidence=self.confidence, seed=self.seed)
        nothing_worse = self.margin >= 0 and all(b <= a for b, a in zip(old, new, strict=True))
        accepted = nothing_worse or found.low > -self.margin
        said = [_figures(old, new, found), self._compared(found, accepted)]
        if left_out:
            said.append(f"{left_out} tasks that only one report has were left out")
        if self.margin and old != new:
            said.append(power_note(old, new, abs(self.margin), confidence=self.confidence).sentence)
        return Decision(accepted=accepted, reason="; ".join(said))

    def _compared(self, found: Interval, accepted: bool) -> str:
        if found.low > -self.margin:
            return f"accepted: the lower end is above {-self.margin:+.3f}"
        if accepted:
            return f"accepted: no task scored lower, though {found.n} cannot rule out {found.low:+.3f}"
        return f"rejected: the lower end is not above {-self.margin:+.3f}"


@dataclass(frozen=True)
class Gains:
    """Accept what surely does better at its aim, and does not do worse by more than `margin` at anything it keeps.

    Of the tasks of the target splits the lower end of the interval of after - before must lie above `gain`. Of each
    split in `retention`, whose tasks name it as data["suite"] (`environments.beside.Beside`), it must lie above
    -margin, unless no task scored lower. It is for weights: what makes a model better at one thing can cost others.
    """

    gain: float = 0.0
    target: Sequence[str] = ()
    retention: Sequence[str] = ()
    margin: float = 0.05
    confidence: float = 0.9
    _: KW_ONLY
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "retention"):
            HeldOut(splits=getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        HeldOut(self.margin, confidence=self.confidence)
        if not 0 <= self.gain < 1 or self.margin < 0:
            raise Misuse(f"Gains(gain={self.gain!r}, margin={self.margin!r}): expected both to be 0 or more, below 1")
        if self.retention and not self.target:
            raise Misuse("a gate with retention= must name its target= too, such as target=('dev',)")
        if both := set(self.target).intersection(self.retention):
            raise Misuse(f"split {min(both)!r} is target and retention at once; name it in one of them")

    @property
    def splits(self) -> tuple[str, ...]:
        return (*self.target, *self.retention)

    def must_tell_apart(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raise Misuse where the tasks of the splits, given by split, cannot be compared split by split."""
        if self.target and not any(tasks[split] for split in self.target):
            raise Misuse(f"target split {self.target[0]!r} has no tasks; name one that has in Gains(target=...)")
        for split in self.retention:
            stray = next((task for task in tasks[split] if task.data.get(SUITE) != split), None)
            if stray is None and tasks[split]:
                continue
            said = f"{stray.id!r:.80} says {stray.data.get(SUITE)!r:.80}" if stray else "it has none"
            raise Misuse(
                f"each task of the retention split {split!r} must say data[{SUITE!r}] = {split!r}, and {said}; give"
                f" its tasks that, or take it from another environment: Beside(environment, {split}=(other, 'test'))"
            )

    def __call__(self, before: Report, after: Report) -> Decision:
        said, accepted = list[str](), True
        for name in ("", *self.retention):
            old, new, _ = _paired(*(self._of(report, name) for report in (before, after)))
            found = paired_bootstrap(old, new, confidence=self.confidence, seed=self.seed)
            nothing_worse = name != "" and all(b <= a for b, a in zip(old, new, strict=True))
            passes = found.low > (-self.margin if name else self.gain) or nothing_worse
            accepted &= passes
            said.append(f"{name or 'target'} {'passes' if passes else 'fails'}: {_figures(old, new, found)}")
        return Decision(accepted=accepted, reason=f"{'accepted' if accepted else 'rejected'}; {'; '.join(said)}")

    def _of(self, report: Report, name: str) -> Report:
        """Return the part of a report that is about a retention split, or about what is none."""
        named = [(x, str(x.task.data.get(SUITE, ""))) for x in report.experiences]
        wanted = (x for x, suite in named if suite == name or (not name and suite not in self.retention))
        return report.but(experiences=tuple(wanted))


def _paired(before: Report, after: Report) -> tuple[list[float], list[float], int]:
    """Return the scores of the tasks that both reports have, in order, and how many tasks only one of them has."""
    old, new = _by_task(before), _by_task(after)
    common = [name for name in old if name in new]
    if not common:
        had = f"{len(old)} before ({_some(old)}), {len(new)} after ({_some(new)})"
        raise Misuse(f"the two reports have no task in common: {had}; evaluate both on the same splits")
    return [old[name] for name in common], [new[name] for name in common], len(old.keys() ^ new.keys())


def _by_task(report: Report) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for experience in report.experiences:
        scores.setdefault(experience.task.id, []).append(experience.score)
    return {name: fmean(values) for name, values in scores.items()}


def _some(names: dict[str, float]) -> str:
    return ", ".join([*list(names)[:3], *(["..."] if len(names) > 3 else [])]) or "none"


def _figures(old: Sequence[float], new: Sequence[float], found: Interval) -> str:
    interval = f"{found.confidence:.0%} interval {found.low:+.3f} to {found.high:+.3f}"
    return f"{fmean(old):.3f} before, {fmean(new):.3f} after: {found.estimate:+.3f} ({interval}, n={found.n})"
