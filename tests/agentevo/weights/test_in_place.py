"""An adapter's item stands for one file: no other answers in its place, and where it is gone that is said."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from gguf_files import write_adapter
from moments import moment
from small_llama import install_llama
from small_training import trained

from agentevo import Agent
from agentevo.errors import Misuse, WeightsError
from agentevo.memory import Memory
from agentevo.models import as_model
from agentevo.models.installed import find
from agentevo.types import Item
from agentevo.weights.adapters import adapted, adapters, promote, rollback
from agentevo.weights.gguf import install_adapter
from agentevo.weights.policies import enrol
from agentevo.weights.train import Trained


@pytest.fixture
def one(whole: Trained, small: str) -> Path:
    """The file of an adapter that is installed."""
    install_adapter(whole.path, name="one")
    return find("small").path.parent / "adapters" / "one.gguf"


def kept(store: Memory, made: Trained) -> Item:
    enrol(store, "local/small+one", made, 0.0)
    return adapters(store)[0]


def memory() -> Memory:
    return Memory.open(":memory:", embedder="hash")


def answering(store: Memory) -> str:
    """Return the name of the model that answers with this memory."""
    return asyncio.run(adapted(moment(store, as_model("local/small")))).model.name


def test_an_adapter_that_is_in_its_place_is_promoted_and_answers(whole: Trained, one: Path) -> None:
    with memory() as store:
        asyncio.run(promote(store, kept(store, whole).id))
        assert answering(store) == "local/small+one"
        install_adapter(whole.path, name="one", replace=True)
        assert answering(store) == "local/small+one"


def test_an_adapter_whose_file_is_gone_is_not_promoted_and_a_run_says_how_to_go_on(whole: Trained, one: Path) -> None:
    with memory() as store:
        item, again = kept(store, whole), f"`agentevo models adapters install {whole.path} --name one`"
        file = one.rename(one.with_suffix(".away"))
        with pytest.raises(
            Misuse, match=rf"'one' is not promoted: .*one\.gguf is missing; install it again with {again}"
        ):
            asyncio.run(promote(store, "one", force=True))
        file.rename(one)
        asyncio.run(promote(store, "one"))
        one.unlink()
        rolled = f"or take it out of use with `agentevo models adapters rollback {item.id}`"
        with pytest.raises(WeightsError, match=rf"one\.gguf is missing; install it again with {again}; {rolled}"):
            Agent("local/small", memory=store).run("say 1")
        asyncio.run(rollback(store, item.id))
        assert answering(store) == "local/small"


def test_a_run_names_the_memory_whose_adapter_cannot_answer_and_where_that_lies(
    whole: Trained, one: Path, tmp_path: Path
) -> None:
    with Memory.open(tmp_path / "my notes", embedder="hash", namespace="team") as store:
        item = kept(store, whole)
        asyncio.run(promote(store, item.id))
        one.write_bytes(one.read_bytes()[:-500])
        with pytest.raises(WeightsError) as raised, store.draft() as draft:
            asyncio.run(adapted(moment(draft, as_model("local/small"))))
    assert f"`agentevo models adapters install {whole.path} --name one --replace`" in str(raised.value)
    assert f"rollback {item.id} --path '{tmp_path / 'my notes'}' --namespace team`" in str(raised.value)


def test_nothing_answers_with_a_file_that_came_in_the_place_of_what_was_promoted(
    whole: Trained, one: Path, tmp_path: Path
) -> None:
    other = trained(tmp_path / "other", seed=5)
    with memory() as store:
        item = kept(store, whole)
        asyncio.run(promote(store, "one"))
        install_adapter(other.path, name="one", replace=True)
        with pytest.raises(
            WeightsError, match=r"one\.gguf is another adapter by now, which came in its place; install"
        ):
            answering(store)
        store.edit(item.id, metadata={"name": "one", "base": "local/small", "role": "policy"})  # keeps the hash
        write_adapter(one)
        with pytest.raises(WeightsError, match=r"one\.gguf is another adapter by now"):
            answering(store)
        install_adapter(whole.path, name="one", replace=True)
        assert answering(store) == "local/small+one"


@pytest.mark.parametrize("change", ["cut", "for another base"])
def test_a_file_that_cannot_be_used_is_not_promoted(whole: Trained, one: Path, change: str, tmp_path: Path) -> None:
    if change == "cut":
        one.write_bytes(one.read_bytes()[:-500])
    else:
        install_llama(tmp_path / "later", seed=1)
        for name in ("model.gguf", "card.json"):
            shutil.copy(tmp_path / "later" / "models" / "small" / name, find("small").path.parent / name)
    with memory() as store:
        kept(store, whole)
        with pytest.raises(Misuse, match=r"is not promoted: .*one\.gguf (is cut off|was made for other weights)"):
            asyncio.run(promote(store, "one"))


def test_of_several_of_a_name_the_one_in_use_is_meant_and_never_first_what_is_forgotten(
    whole: Trained, one: Path
) -> None:
    with memory() as store:
        first = kept(store, whole)
        asyncio.run(promote(store, first.id))
        store.forget(store.insert("a later card", kind="adapter", metadata={**first.metadata, "role": "other"}).id)
        assert asyncio.run(rollback(store, "one")).items == (first.id,)
