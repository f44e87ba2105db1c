"""Ordinary requests, as anybody might ask: some to rehearse while something else is trained, others to test with."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.answers.checks import Pattern
from agentevo.environments.answers.environment import Answers

REHEARSED = (
    "Name a colour.", "What is the capital of Spain?", "How are you today?", "What do cows eat?",
    "Who wrote Hamlet?", "What is water made of?", "Say hello to my friend Tom.", "Describe winter in one sentence.",
    "What is the opposite of hot?", "Name a musical instrument.", "Where do penguins live?", "Name a river in Africa.",
    "How many minutes are in an hour?", "What does a doctor do?", "Why is the sky blue?", "Thank you for your help!",
)  # fmt: skip
"""Their answers are the model's own, from before the training."""

TESTED = (
    ("What is the capital of France?", "Paris"), ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Japan?", "Tokyo"), ("What is the capital of England?", "London"),
    ("Name a fruit.", r"apple|banana|orange|mango|pear|grape|berry|fruit|lemon|peach|kiwi"),
    ("What colour is grass?", "green"), ("What colour is the sun?", "yellow|white|orange|golden"),
    ("How many days are in a week?", "seven|7"), ("What do bees make?", "honey|wax|nectar|pollen"),
    ("What is the opposite of up?", "down"), ("What is the opposite of big?", "small|little|tiny"),
    ("Which animal says moo?", "cow|bull|cattle"), ("What is ice made of?", "water|ice"),
    ("Where do fish live?", "water|sea|ocean|river|lake|stream|aquarium"),
    ("What do plants need to grow?", "water|light|sun|soil"), ("Which animal has a long neck?", "giraffe|ostrich|swan"),
    ("What is the largest ocean?", "Pacific"), ("Which planet do we live on?", "earth"),
    ("What do you use to write?", "pen|pencil|keyboard|paper"), ("Who was the first man on the moon?", "Armstrong"),
    ("What is the first month of the year?", "January"), ("What do cats drink?", "milk|water"),
    ("What season comes after winter?", "spring"), ("What is the name of our star?", "sun"),
)  # fmt: skip
"""Requests, and what an answer has to mention."""


COMMAND = r"^[A-Z]{2,4}\s"
"""What a house command begins with."""


def ordinary(limit: int | None = None) -> Answers:
    """Return the requests to test with as a suite: any answer is right that is no command."""
    return _suite("ordinary", [(prompt, rf"^(?!{COMMAND[1:]}).*\w") for prompt, _ in TESTED[:limit]])


def facts(limit: int | None = None) -> Answers:
    """Return the same requests, of which an answer is right if it mentions what it has to."""
    return _suite("facts", [(prompt, rf"(?i){said}") for prompt, said in TESTED[:limit]])


def _suite(name: str, rows: Sequence[tuple[str, str]]) -> Answers:
    given = [{"id": f"request-{n}", "prompt": prompt, "answer": said} for n, (prompt, said) in enumerate(rows, 1)]
    check = Pattern(search=True)
    return Answers({"test": given}, check=check, id="id", name=name, instruction="", licence="Apache-2.0")
