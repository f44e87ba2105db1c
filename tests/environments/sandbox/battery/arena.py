"""Where attacks are carried out: an agent with a sandbox, and a world around it for each attack."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from battery.listeners import Listeners
from battery.program import Forgery, Outcome, Program
from battery.protocol import COMPANION
from battery.users import as_user
from battery.watcher import Watcher, tagged
from battery.world import World, new_secret

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[3]
ANSWER_S = 90.0
RIVALS = 5


class Arena:
    """One agent and its surroundings. `uid` is whom the agent runs as; only root can choose another than itself."""

    def __init__(self, tier: str, uid: int | None = None) -> None:
        self.tier, self.uid = tier, os.geteuid() if uid is None else uid
        self.secret = new_secret()
        self._listeners, self._watcher = Listeners(), Watcher()
        self._waiting: dict[str, Future[dict[str, object]]] = {}
        self._lock = threading.Lock()
        self._asked = 0

    def __enter__(self) -> Arena:
        self._root = Path(tempfile.mkdtemp(prefix="attacked-", dir="/var/tmp"))
        self._root.chmod(0o755)
        for name in ("home", "worlds"):
            (self._root / name).mkdir()
            os.chown(self._root / name, self.uid, -1)
        self._inherited = self._root / "inherited"
        self._inherited.write_text(self.secret)
        os.chown(self._inherited, self.uid, -1)
        self._agent = subprocess.Popen(
            [*as_user(self.uid), sys.executable, str(HERE / "agent.py"), self.tier, str(self._inherited)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._root / "home", env=self._environment(),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._listeners.__enter__()
        self._watcher.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # an agent that is gone
            if self._agent.stdin:
                self._agent.stdin.close()
        self._agent.wait()
        self._reader.join()
        if self._agent.stdout:
            self._agent.stdout.close()
        self._watcher.__exit__(kind, error, at)
        self._listeners.__exit__(kind, error, at)
        shutil.rmtree(self._root)

    @property
    def pid(self) -> int:
        """Return the number of the agent's process."""
        return self._agent.pid

    def run(self, code: str) -> Outcome:
        """Have the agent run a program."""
        return self._ask(code=code)

    def attack_all(self, attacks: Sequence[Program | Forgery], at_once: int) -> dict[str, list[str]]:
        """Carry out attacks, several at once; return what each achieved, for those that achieved something."""
        with ThreadPoolExecutor(at_once) as pool:
            achieved = list(pool.map(self.attack, attacks))
        return {
            f"{attack.area}: {attack.name}": found for attack, found in zip(attacks, achieved, strict=True) if found
        }

    def attack(self, attack: Program | Forgery) -> list[str]:
        """Carry out one attack; return what it achieved."""
        return self._forge(attack) if isinstance(attack, Forgery) else self._break_out(attack)

    def _forge(self, forgery: Forgery) -> list[str]:
        secret = new_secret()
        outcome = self._ask(
            candidate=forgery.candidate, tests=forgery.tests.replace("@secret@", secret), entry=forgery.entry
        )
        return [
            *(["passed"] if outcome.passed else []),
            *(["the tests came out"] if secret in outcome.text else []),
            *self._common(outcome),
        ]

    def _break_out(self, program: Program) -> list[str]:
        world = World(program, self._root / "worlds", self.uid, self._listeners)
        world.build(self.tier)
        self._watcher.follow(world.tag, world.seen)
        try:
            outcome, achieved = (
                self._beside_rival(world, RIVALS) if program.rival else (self.run(program.source(world.facts)), [])
            )
            achieved += [*filter(None, [program.oracle(outcome)]), *self._common(outcome)]
            if program.then:
                second = self.run(program.second(world.facts))
                achieved += (
                    [] if (second.kind, second.stdout) == ("ok", "42\n") else [f"the next run ended as {second}"]
                )
            return achieved + world.breaches(outcome)
        finally:
            self._watcher.leave(world.tag)
            world.clear()

    def _beside_rival(self, world: World, tries: int) -> tuple[Outcome, list[str]]:
        """Attack a run that is under way; return what came of the attack, and what it did to the other.

        On a busy machine the other may be over before it was seen: then there is another to attack.
        """
        rival = Program("rival", "rivals", COMPANION.replace("@secret@", world.secret))
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self.run, rival.source({**world.facts, "tag": f"{world.tag}R"}))
            until = time.monotonic() + ANSWER_S / 3
            while not (found := [pid for pid, name in tagged({world.tag}).get(world.tag, []) if name.endswith("R")]):
                if running.done() and tries > 1:
                    return self._beside_rival(world, tries - 1)
                if running.done() or time.monotonic() > until:
                    return running.result(), [f"no rival to attack: {running.result()}"]
                time.sleep(0.02)
            outcome = self.run(world.program.source({**world.facts, "rival": int(found[0])}))
            other = running.result()
        return outcome, [] if (other.kind, other.stdout) == ("ok", "intact\n") else [f"the rival ended as {other}"]

    def _common(self, outcome: Outcome) -> list[str]:
        """Return what no attack may do to the agent."""
        found = [f"the sandbox broke: {outcome.stderr}"] if outcome.kind == "broken" else []
        if self.secret in outcome.text:
            found.append("a secret of the agent came out")
        if self._inherited.read_text("utf-8", "replace") != self.secret:
            self._inherited.write_text(self.secret)
            found.append("the agent's file changed")
        return found

    def _environment(self) -> dict[str, str]:
        paths = os.pathsep.join([str(CHECKOUT), str(HERE.parent)])
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self._root / "home"), "PYTHONPATH": paths, "API_KEY": self.secret}

    def _ask(self, **request: str) -> Outcome:
        """Ask the agent; an agent that is gone, or does not answer, is what came of it."""
        answer: Future[dict[str, object]] = Future()
        with self._lock:
            self._asked += 1
            number = str(self._asked)
            self._waiting[number] = answer
            try:
                assert self._agent.stdin
                self._agent.stdin.write(json.dumps({"id": number, **request}) + "\n")
                self._agent.stdin.flush()
            except OSError:
                return Outcome("broken", stderr="the agent is gone")
        try:
            told = answer.result(ANSWER_S)
        except TimeoutError:
            return Outcome("broken", stderr="the agent does not answer")
        return Outcome(**{name: value for name, value in told.items() if name != "id"})  # type: ignore[arg-type]  # as it was written

    def _read(self) -> None:
        assert self._agent.stdout
        for line in self._agent.stdout:
            told = json.loads(line)
            self._waiting.pop(told["id"]).set_result(told)
