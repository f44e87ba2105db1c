"""Programs are judged in the real sandbox: gold, nothing, wrong and cheating ones; and what is told of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from tiny import call, now, tiny, told

from agentevo.environments import check_environment
from agentevo.environments.code import Code, CodeTask, HouseLibrary, HumanEval
from agentevo.environments.code.judging import SHOWN_OUTPUT, SHOWN_TEST
from agentevo.environments.sandbox import Sandbox
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Outcome, Task

SOAK = bool(os.environ.get("AGENTEVO_SOAK"))
CHEATS = {
    "equal to everything": "class Any:\n    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\n"
    "    def __hash__(self): return 0\n    def __bool__(self): return True\ndef {name}(*args, **kwargs): return Any()",
    "leaves with success": "import sys\ndef {name}(*args, **kwargs): sys.exit(0)",
    "drops out": "import os\ndef {name}(*args, **kwargs):\n    print('1 passed', flush=True)\n    os._exit(0)",
    "patches what tests use": "import builtins, unittest, sys\nbuiltins.all = builtins.any = lambda *a: True\n"
    "builtins.isinstance = lambda *a: True\nunittest.TestCase.assertEqual = lambda *a: None\n"
    "builtins.AssertionError = type('Fine', (Exception,), {{}})\nsys.excepthook = lambda *a: None\n"
    "def {name}(*args, **kwargs): raise AssertionError",
    "looks for the tests": "import ast, gc, os, re, sys\ndef {name}(*args, **kwargs):\n    said = []\n"
    "    for frame in sys._current_frames().values():\n        while frame:\n"
    "            said.append(repr(frame.f_locals)); said.append(repr(frame.f_globals)); frame = frame.f_back\n"
    "    said += [o for o in gc.get_objects() if isinstance(o, str)]\n"
    "    for folder, _, names in os.walk('.'):\n        for one in names:\n"
    "            said.append(open(os.path.join(folder, one), errors='replace').read())\n"
    "    for one in said:\n        found = re.search(r'assert \\w+\\(.*?\\) == (.+)', one)\n"
    "        if found:\n            return ast.literal_eval(found[1])\n    return None",
}  # fmt: skip
"""Programs that try to pass without doing what is asked for."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


async def scores(environment: Code, answers: dict[str, str]) -> dict[str, float | None]:
    """Return the scores of answers by the id of their task, judged at once."""
    attempts = [Attempt(id="a", task=environment.task(name), answer=answer) for name, answer in answers.items()]
    told = await asyncio.gather(*(environment.verify(one.task, one) for one in attempts))
    return {name: feedback.score for name, feedback in zip(answers, told, strict=True)}


def said_gold(environment: Code, task: Task) -> str:
    return str(environment.gold(task)[-1]["content"])


def some(environment: Code, count: int) -> list[Task]:
    """Return every task where all are to be tried, else so many of them, from all splits."""
    tasks = [task for split in environment.splits() for task in environment.tasks(split)]
    return tasks if SOAK else tasks[:: max(1, len(tasks) // count)][:count]


def house(sandbox: Sandbox, level: int) -> Code:
    return HouseLibrary(level=level, sandbox=sandbox)


MAKERS: dict[str, Callable[[Sandbox], Code]] = {
    "level 1": partial(house, level=1), "level 2": partial(house, level=2), "level 3": partial(house, level=3),
    "humaneval": lambda sandbox: HumanEval(sandbox=sandbox),
}  # fmt: skip


@pytest.fixture(scope="module", params=MAKERS)
def environment(request: pytest.FixtureRequest, sandbox: Sandbox) -> Code:
    return MAKERS[request.param](sandbox)


def test_gold_is_right(environment: Code) -> None:
    answers = {task.id: said_gold(environment, task) for task in some(environment, 24)}
    found = now(scores(environment, answers))
    assert {name for name, score in found.items() if score != 1} == set()


def test_nothing_scores_nothing(environment: Code) -> None:
    answers = {task.id: "" for split in environment.splits() for task in environment.tasks(split)}
    assert set(now(scores(environment, answers)).values()) == {0.0}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_never_right(environment: Code, cheat: str) -> None:
    answers = {task.id: CHEATS[cheat].format(name=task.data["entry_point"]) for task in some(environment, 6)}
    found = now(scores(environment, answers))
    assert {name for name, score in found.items() if score == 1} == set()
    if environment.card.name == "library":  # where None is never all that a test asks for
        assert set(found.values()) == {0.0}


def verdict(environment: Code, answer: str) -> Feedback:
    task = environment.tasks("test")[0]
    return now(environment.verify(task, Attempt(id="a", task=task, answer=answer)))


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("def add(a, b): return a + b", 1.0),
        ("def add(a, b): return a + b if a < 3 else 0", 0.75),
        ("def add(a, b):\n    import os\n    return a + b if a else os._exit(0)", 0.0),
        ("def add(a, b): return -1", 0.0),
        ("def add(a, b): raise ValueError(a)", 0.0),
        ("def add(a, b): return (", 0.0),
        ("def add(a, b):\n    while a == 3: pass\n    return a + b", 0.75),
        ("raise SystemExit\ndef add(a, b): return a + b", 0.0),
        ("I cannot.", 0.0),
    ],
)
def test_the_score_is_the_share_of_hidden_tests(sandbox: Sandbox, answer: str, score: float) -> None:
    told = verdict(tiny(sandbox, timeout_s=4), answer)
    assert (told.score, told.verdict) == (score, "right" if score == 1 else "wrong")
    assert told.evidence == {"passed": score * 4, "of": 4}
    assert told.text == ""


@pytest.mark.parametrize("is_plain", [True, False])
def test_an_object_that_decides_its_own_test_counts_only_where_objects_are_asked_for(
    sandbox: Sandbox, is_plain: bool
) -> None:
    """Where the answers are plain values, one that says that it is true, or equal, is a lie."""
    test = "assert truth(3)"
    task = CodeTask(Task(id="t", prompt="Tell."), "test", "truth", (test,), (test,), is_plain=is_plain)
    environment = Code([task], name="truth", description="d", licence="l", sandbox=sandbox)
    lie = CHEATS["equal to everything"].format(name="truth")
    told = verdict(environment, lie)
    assert (told.score, "decided by the solution" in str(told.evidence["weak"])) == (float(not is_plain), True)
    assert verdict(environment, "def truth(n): return True").evidence == {"passed": 1, "of": 1}


def ended(environment: Code, answer: str, feedback: FeedbackLevel) -> Outcome:
    async def one() -> Outcome:
        episode = await environment.open(environment.tasks("test")[0], feedback=feedback)
        try:
            return await episode.step({"role": "assistant", "content": answer})
        finally:
            await episode.close()

    return now(one())


def test_the_step_tells_what_the_level_of_feedback_allows(sandbox: Sandbox) -> None:
    environment, wrong = tiny(sandbox), "def add(a, b): return a"
    assert ended(environment, wrong, "none") == Outcome(observation="", terminated=True)
    assert ended(environment, wrong, "weak") == Outcome(observation="wrong", terminated=True)
    told = ended(environment, wrong, "strong").observation
    assert told.startswith("wrong\nassert add(1, 2) == 3\n")
    assert told.endswith("What would have been right:\ndef add(a, b): return a + b")
    assert "What would" not in ended(tiny(sandbox, gold=None), wrong, "strong").observation
    right = Outcome(observation="right", reward=1.0, terminated=True)
    assert ended(environment, said_gold(environment, environment.tasks("test")[0]), "strong") == right


@pytest.mark.parametrize("mode", ["answer", "workspace"])
def test_a_hidden_test_is_in_nothing_that_is_told(sandbox: Sandbox, mode: Any) -> None:
    environment = tiny(sandbox, mode=mode)
    task = environment.tasks("test")[0]
    loud = "import sys\ndef add(*args):\n    print(args)\n    print(args, file=sys.stderr)\n    raise ValueError(args)"
    told = [verdict(environment, loud).model_dump_json(), task.model_dump_json(), environment.card.model_dump_json()]
    told += [ended(environment, loud, level).model_dump_json() for level in ("weak", "strong")]
    told += [one.model_dump_json() for one in now(environment.run_tests(task, loud))]
    assert not [one for one in told if "7041" in one or "7042" in one]


@pytest.mark.parametrize("mode", ["answer", "workspace"])
def test_a_program_that_reads_and_prints_is_told_inputs_and_judged_by_its_output(sandbox: Sandbox, mode: Any) -> None:
    task = CodeTask(
        Task(id="sum", prompt="Print the sum of the numbers."), "test", "",
        hidden=(("1 2\n", "3\n"), ("20 22", "42"), ("7041 1", "7042")), visible=(("1 1", "2"),),
        gold="print(sum(map(int, input().split())))",
    )  # fmt: skip
    environment = Code([task], name="sums", description="d", licence="l", mode=mode, sandbox=sandbox)
    assert check_environment(environment, tasks=1, episodes=2)[-1] == "gold"
    if mode == "answer":
        assert verdict(environment, "print(3)").evidence == {"passed": 1, "of": 3}
        (told,) = now(environment.run_tests(environment.tasks("test")[0], "print(3)"))
        assert told.text.startswith("Given:\n1 1\nit should print:\n2\n")
        assert "7041" not in verdict(environment, "import sys\nraise ValueError(input())").model_dump_json()


def test_visible_tests_are_run_on_demand_and_say_what_went_wrong(sandbox: Sandbox) -> None:
    environment = tiny(sandbox)
    first, second = now(environment.run_tests(environment.tasks("test")[0], "def add(a, b): return b"))
    assert (first.score, first.verdict, first.source) == (0.0, "failed", "rule")
    assert first.text.startswith("assert add(1, 2) == 3\n")
    assert second == Feedback(score=1.0, verdict="passed", source="rule")


def test_tests_that_a_model_wrote_are_run_each_for_itself(sandbox: Sandbox) -> None:
    environment = tiny(sandbox)
    tests = [
        "assert add(1, 1) == 2",
        "assert add(",
        "assert add(2, 2) == 5",
        "",
        "def test_it():\n    assert add(0, 0) == 0",
    ]
    found = now(environment.run_tests(environment.tasks("test")[0], "def add(a, b): return a + b", tests))
    assert [one.score for one in found] == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_what_a_test_says_is_bounded(sandbox: Sandbox) -> None:
    environment = tiny(sandbox)
    long = "def add(a, b): raise ValueError('x' * 100_000)"
    found = now(environment.run_tests(environment.tasks("test")[0], long))
    assert all(len(one.text) <= SHOWN_TEST for one in found)


def test_an_answer_without_the_program_fails_what_is_run_on_it(sandbox: Sandbox) -> None:
    environment = tiny(sandbox)
    found = now(environment.run_tests(environment.tasks("test")[0], "no idea"))
    assert [one.score for one in found] == [0.0, 0.0]
    assert found[0].text == "assert add(1, 2) == 3\nThere is no program that defines add."


# --- workspaces


def test_a_workspace_goes_from_a_failing_test_to_a_program_that_is_right(sandbox: Sandbox) -> None:
    said = told(
        tiny(sandbox, mode="workspace"),
        call("test"),
        call("read", path="notes.txt"),
        call("write", path="sums.py", content="def plus(a, b): return a - b"),
        call("write", path="solution.py", content="from sums import plus as add"),
        call("test"),
        call("run", code="import sums\nprint(sums.plus(3, 1))\nraise SystemExit(3)"),
        call("edit", path="sums.py", old="a - b", new="a + b"),
        call("test"),
        {"role": "assistant", "content": "It adds now."},
    )
    assert said[0].startswith("0 of 2 visible tests pass.\nassert add(1, 2) == 3\nThere is no program")
    assert said[1:4] == ["Add, I say.", "wrote sums.py", "wrote solution.py"]
    assert said[4].startswith("0 of 2 visible tests pass.\nassert add(1, 2) == 3\n")
    assert said[5] == "2\n(ended: error, exit status 3)"
    assert said[6:] == ["edited sums.py", "2 of 2 visible tests pass.", "right"]


def test_output_is_bounded(sandbox: Sandbox) -> None:
    long = call("write", path="long.txt", content="x" * 100_000)
    printed, _, read = told(
        tiny(sandbox, mode="workspace"), call("run", code="print('x' * 500_000)"), long, call("read", path="long.txt")
    )
    assert SHOWN_OUTPUT // 4 < len(printed) < SHOWN_OUTPUT
    assert SHOWN_OUTPUT // 4 < len(read) <= SHOWN_OUTPUT


def test_tools_that_are_misused_say_so(sandbox: Sandbox) -> None:
    wrong: Any = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "run", "arguments": "["}}]}
    said = told(tiny(sandbox, mode="workspace"), call("fly"), call("run"), wrong)
    assert said[0] == "Error: there is no tool 'fly'; there are: read, write, edit, run, test"
    assert said[1] == "Error: run needs 'code' as a text; got None."
    assert said[2] == "Error: the arguments of 'run' are not JSON."


def test_the_files_of_an_attempt_are_judged_as_they_were_written(sandbox: Sandbox) -> None:
    environment = tiny(sandbox, mode="workspace")
    task = environment.tasks("test")[0]
    gold = list(environment.gold(task))
    done: list[Message] = [gold[0], {"role": "tool", "tool_call_id": "write", "content": "wrote"}, gold[1]]
    attempt = Attempt(id="a", task=task, messages=tuple(done), answer="Done.")
    assert now(environment.verify(task, attempt)).score == 1.0
    assert [one.score for one in now(environment.run_tests(task, attempt))] == [1.0, 1.0]
    travelled = Attempt.model_validate_json(attempt.model_dump_json())
    assert now(environment.verify(travelled.task, travelled)).score == 1.0
    shown_only = attempt.but(prompt=len(done))
    assert now(environment.verify(task, shown_only)).score == 0.0


def test_the_library_lies_in_a_workspace_with_its_readme_and_cannot_be_changed(sandbox: Sandbox) -> None:
    environment = HouseLibrary(level=2, tasks=10, mode="workspace", sandbox=sandbox)
    name = environment.card.instruction
    assert "`test` runs the visible tests" in name
    said = told(
        environment,
        call("read", path="README.md"),
        call("run", code="import vol\nprint(len(dir(vol)) > 8)"),
        call("write", path="vol.py", content="x = 1"),
    )
    assert said[0].startswith("# vol\n")
    assert said[1] == "True"
    assert said[2] == "Error: vol.py is given, and stays as it is."


# --- the contract


@pytest.mark.parametrize("mode", ["answer", "workspace"])
def test_the_contract_of_environments_holds(sandbox: Sandbox, mode: Any) -> None:
    def make() -> Code:
        return HouseLibrary(level=3, tasks=10, mode=mode, sandbox=sandbox)

    count = 8 if SOAK else 1
    checked = check_environment(make(), again=make, tasks=count, episodes=4 * count)
    assert {"deterministic", "cancelled", "together", "null", "gold"} <= set(checked)


def test_tasks_of_another_environment_are_refused(sandbox: Sandbox) -> None:
    environment = tiny(sandbox)
    with pytest.raises(Misuse, match="has no task 'sub'; its first is 'add'"):
        environment.task("sub")
    with pytest.raises(Misuse, match="it says 'Subtract"):
        now(environment.open(environment.tasks("test")[0].but(prompt="Subtract.")))
    with pytest.raises(UnknownName, match="unknown split of tiny 'train'; known: test"):
        environment.tasks("train")
    with pytest.raises(UnknownName, match="feedback level"):
        now(environment.open(environment.tasks("test")[0], feedback="loud"))  # type: ignore[arg-type]


def test_a_step_after_the_end_is_refused(sandbox: Sandbox) -> None:
    async def steps(mode: Any) -> None:
        environment = tiny(sandbox, mode=mode)
        episode = await environment.open(environment.tasks("test")[0], feedback="none")
        assert (await episode.step({"role": "assistant", "content": "done"})).terminated
        with pytest.raises(Misuse, match="open another one"):
            await episode.step({"role": "assistant", "content": "done"})
        await episode.close()
        with pytest.raises(Misuse, match="is closed"):
            await episode.step({"role": "assistant", "content": "done"})

    for mode in ("answer", "workspace"):
        now(steps(mode))


def test_an_environment_needs_tasks_with_names_of_their_own_and_a_sandbox_that_is_one(sandbox: Sandbox) -> None:
    task = CodeTask(Task(id="a", prompt="p"), "test", "f", ("assert f()",))
    with pytest.raises(Misuse, match="none has no tasks"):
        Code([], name="none", description="d", licence="l")
    with pytest.raises(Misuse, match="twice has the task 'a' twice"):
        Code([task, task], name="twice", description="d", licence="l")
    with pytest.raises(Misuse, match="timeout_s is 0; expected the seconds"):
        Code([task], name="n", description="d", licence="l", timeout_s=0)
    with pytest.raises(Misuse, match="sandbox is 'x'; expected a Sandbox"):
        Code([task], name="n", description="d", licence="l", sandbox="x")  # type: ignore[arg-type]
