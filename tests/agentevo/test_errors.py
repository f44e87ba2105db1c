"""The error tree: as drawn, with statuses a shell can tell apart and messages that help."""

from __future__ import annotations

import re

import pytest

from agentevo import errors
from agentevo.errors import AgentEvoError, MissingExtra, MissingKey, Misuse, ModelError, UnknownName
from agentevo.types import Reply


def drawn() -> dict[str, str | None]:
    """Return each error of the module's drawing with the one it hangs from."""
    tree: dict[str, str | None] = {}
    above: list[str] = []
    for branch, name in re.findall(r"^    ([ │├└─]*)([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(branch) // 4
        tree[name] = above[depth - 1] if depth else None
        above[depth:] = [name]
    return tree


def defined() -> dict[str, type[AgentEvoError]]:
    everything = vars(errors).values()
    return {e.__name__: e for e in everything if isinstance(e, type) and issubclass(e, AgentEvoError)}


def test_the_tree_is_drawn_as_it_is() -> None:
    tree, classes = drawn(), defined()
    assert sorted(tree) == sorted(classes)
    assert len(tree) >= 15
    for name, parent in tree.items():
        first = classes[name].__bases__[0].__name__
        assert first == (parent or "Exception"), f"{name} is drawn under {parent}"


def test_misuse_exits_with_2_and_every_other_error_with_1() -> None:
    for error in defined().values():
        assert error.exit_status == (2 if issubclass(error, Misuse) else 1), error


def test_every_error_says_what_it_means() -> None:
    assert [name for name, error in defined().items() if not error.__doc__] == []


def test_an_unknown_name_lists_the_known_ones_nearest_first() -> None:
    error = UnknownName("model", "smollm", ["zebra", "smollm2-135m", "all-MiniLM-L6-v2"])
    assert str(error) == "unknown model 'smollm'; known: smollm2-135m, all-MiniLM-L6-v2, zebra"
    assert error.known == ("smollm2-135m", "all-MiniLM-L6-v2", "zebra")
    assert str(UnknownName("model", "x", [])) == "unknown model 'x'; known: none yet"


def test_a_missing_extra_says_the_line_that_installs_it() -> None:
    assert str(MissingExtra("training", "train")).endswith("not installed: pip install 'agentevo[train]'")


def test_a_missing_key_says_which_variable_holds_it() -> None:
    assert "needs OPENAI_API_KEY in the environment" in str(MissingKey("openai/gpt", ["OPENAI_API_KEY"]))
    assert "the provider's API key" in str(MissingKey("odd/model", []))


def test_a_model_error_carries_the_reply() -> None:
    reply = Reply(texts=("half a sen",))
    assert ModelError("cut off", reply).reply == reply
    assert ModelError("nothing came").reply is None


def test_built_in_kinds_catch_ours_too() -> None:
    with pytest.raises(ValueError):
        raise Misuse("wrong")
    with pytest.raises(TimeoutError):
        raise errors.ModelTimeout("late")
