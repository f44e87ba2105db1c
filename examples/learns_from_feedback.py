"""An agent writes commands of a made-up convention: wrongly, until it is corrected."""

from agentevo import Agent, Memory
from agentevo.recipes import load

COMMANDS = {
    "Remind Anna about the budget on Friday 3pm.": "RMD Anna | budget | Friday 3pm",
    "Remind Ben about the rent on Monday 9am.": "RMD Ben | rent | Monday 9am",
    "Remind Clara about the visa on Tuesday 4pm.": "RMD Clara | visa | Tuesday 4pm",
}

with Memory.open(":memory:") as memory:
    recipe = load("evo", temperature=0, max_tokens=32, stop=["\n"])
    agent = Agent("local/smollm2-135m", memory=memory, recipe=recipe)
    for request, command in COMMANDS.items():
        attempt = agent.run(request)
        print(f"{request}\n  with {len(attempt.used)} memories: {attempt.answer}")
        if attempt.answer == command:
            agent.feedback(attempt, score=1)
        else:
            agent.feedback(attempt, correction=command)
            print(f"  corrected: {command}")
