"""What is shown while something takes long."""

from __future__ import annotations

from agentevo.cli.watching import training_shown
from agentevo.events import Piece, Trained, listening, tell


def test_the_steps_of_a_training_are_shown() -> None:
    shown: list[tuple[str, int, int]] = []
    with listening(training_shown(lambda *said: shown.append(said)), pieces=False):
        tell(Trained(adapter="house", step=2, steps=30, loss=1.5))
        tell(Piece(attempt="a", text="hi"))
    assert shown == [("training house", 2, 30)]
