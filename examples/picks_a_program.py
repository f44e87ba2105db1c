"""CodeT: a model's programs and a model's tests are tried on each other, and what agrees is the answer."""

from agentevo import Agent, ScriptedModel, Task
from agentevo.environments.code import Code, CodeTask
from agentevo.recipes import load

PROGRAMS = ["def area(a, b): return a + b", "def area(a, b): return a * b", "def area(a, b): return b * a"]
TESTS = ["assert area(2, 3) == 6\nassert area(1, 4) == 4", "assert area(2, 2) == 4\nassert area(0, 9) == 9"]

task = Task(id="area", prompt="area(a, b): the area of a rectangle.", data={"entry_point": "area"})
known = CodeTask(task, split="test", entry_point="area", hidden=("assert area(4, 5) == 20",))
shapes = Code([known], name="shapes", description="Small programs", licence="CC0-1.0")

# A real model goes here, such as "openai/gpt-4o-mini"; this one says what is written above.
agent = Agent(
    ScriptedModel([PROGRAMS, TESTS]), environment=shapes, recipe=load("codet", n=3, tests=2), memory=":memory:"
)
attempt = agent.run(task)
agent.close()
print(f"{attempt.answer}   # {attempt.feedback[-1].verdict}; {attempt.usage.calls} calls")
