"""What `import agentevo` costs over an empty Python, interleaved, as medians; the bar is 0.3 s."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

BAR_S = 0.3
CASES = {
    "python -c pass": "pass",
    "import agentevo": "import agentevo",
    "from agentevo import Task": "from agentevo import Task",
    "import agentevo.cli.app": "import agentevo.cli.app",
}


def seconds(code: str) -> float:
    """Return how long a fresh interpreter takes to run the code."""
    since = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - since


def measure(rounds: int) -> dict[str, float]:
    """Return the median seconds of each case, run in turns so that a busy moment hits all alike."""
    for code in CASES.values():
        seconds(code)  # the first run writes byte code
    times = [[seconds(code) for code in CASES.values()] for _ in range(rounds)]
    return {name: statistics.median(column) for name, column in zip(CASES, zip(*times, strict=True), strict=True)}


def main() -> None:
    """Print the medians; exit with 1 if importing agentevo costs more than the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    medians = measure(options.rounds)
    empty = medians["python -c pass"]
    over = medians["import agentevo"] - empty
    if options.json:
        print(json.dumps({"median_s": medians, "import_agentevo_over_empty_s": over, "bar_s": BAR_S}))
    else:
        for name, median in medians.items():
            print(f"{name:<28} {median * 1000:7.1f} ms   +{(median - empty) * 1000:6.1f} ms")
        print(f"bar: import agentevo under {BAR_S * 1000:.0f} ms in all: {'met' if over + empty < BAR_S else 'missed'}")
    sys.exit(over + empty >= BAR_S)


if __name__ == "__main__":
    main()
