"""A little world for tests of the cycle: sums to learn by heart, an agent that only knows what its memory holds."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.anything import Answering
from agentevo.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.position import attempt_id
from agentevo.protocols import Episode, FeedbackLevel, Recipe, State
from agentevo.types import Attempt, Card, Experience, Feedback, Item, Op, Task

NOW = 1_000_000.0


def memory() -> Memory:
    return Memory.open(":memory:", embedder="hash", clock=lambda: NOW)


class Sums:
    """Tasks such as 3+4: right is the sum; train and dev share their tasks, so what is learned helps."""

    card = Card(name="sums", version="1", ability="math", splits={"train": 4, "dev": 4})

    def splits(self) -> Sequence[str]:
        return ("train", "dev")

    def tasks(self, split: str) -> Sequence[Task]:
        return [self.task(f"{n}+{n + 1}") for n in range(4)]

    def task(self, id: str) -> Task:
        return Task(id=id, prompt=f"What is {id}?")

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return Answering(task.prompt)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        a, b = task.id.split("+")
        right = attempt.answer == str(int(a) + int(b))
        return Feedback(score=float(right), verdict="right" if right else "wrong", source="environment")


async def by_heart(state: State, task: Task) -> list[Attempt]:
    """Answer what memory holds for the task, else what the model says."""
    known = [item for item in await state.memory.alist(kind="experience") if item.metadata["prompt"] == task.prompt]
    if known:
        answer, used = str(known[0].metadata["answer"]), (known[0].id,)
        return [Attempt(id=attempt_id(), task=task, answer=answer, used=used)]
    reply = await state.model.complete([{"role": "user", "content": task.prompt}])
    return [Attempt(id=attempt_id(), task=task, answer=reply.text, usage=reply.usage)]


async def verify(state: State, experience: Experience) -> Experience:
    told = [a.told(await state.environment.verify(experience.task, a)) for a in experience.attempts]
    return experience.but(attempts=tuple(told))


async def remember(state: State, experiences: Sequence[Experience]) -> list[Op]:
    """Insert what was right; ids by attempt, so that equal runs make equal items."""
    right = [x for x in experiences if x.score == 1 and not x.attempts[0].used]
    return [_insert(state, x) for x in right]


def _insert(state: State, experience: Experience) -> Op:
    attempt = experience.attempts[0]
    item = Item(
        id=f"item-{attempt.id}", kind="experience", text=f"{attempt.task.prompt} {attempt.answer}", source="agent",
        created_at=state.now, metadata={"prompt": attempt.task.prompt, "answer": attempt.answer},
        derived_from=(attempt.id,),
    )  # fmt: skip
    return Op(verb="insert", id=item.id, item=item)


LEARNING = Recipe(act=by_heart, judge=[verify], update=[remember], name="learning")


def answers(messages: Sequence[object]) -> str:
    """Answer as somebody who can add."""
    question = str(messages[-1]["content"]).removeprefix("What is ").removesuffix("?")  # type: ignore[index]
    return str(sum(int(part) for part in question.split("+")))


def moment(memory: Memory, recipe: Recipe = LEARNING, model: object = None) -> State:
    from agentevo.models import FunctionModel

    chosen = FunctionModel(answers) if model is None else model
    assert isinstance(chosen, FunctionModel | ScriptedModel)
    return State(model=chosen, memory=memory, environment=Sums(), recipe=recipe)
