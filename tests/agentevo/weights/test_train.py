"""Training a small model for a few steps: what comes out, what it goes on from, and what is refused."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import load_file
from small_training import PAIRS, ROWS, SETTINGS, trained

from agentevo.errors import Diverged, Misuse, WeightsError
from agentevo.weights.config import ADAPTER, TrainConfig, Training
from agentevo.weights.dataset import Row
from agentevo.weights.load import base, quiet
from agentevo.weights.train import Trained, train


def weights(made: Trained) -> dict[str, torch.Tensor]:
    return load_file(made.path / ADAPTER)


def same(one: Trained, other: Trained) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def losses(made: Trained) -> list[float]:
    return [loss for _, loss in made.outcome.losses]


# --- what comes out


def test_training_lowers_the_loss_and_leaves_adapter_record_and_picture(small: str, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    made = trained(tmp_path / "a", progress=lambda *told: heard.append(told))
    assert losses(made)[-1] < losses(made)[0] - 0.5
    assert [step for step, _ in made.outcome.losses] == [1, 2, 3, 4, 5, 6]
    assert heard[-6:] == [("training", step, 6) for step in range(1, 7)]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "adapter_config.json", ADAPTER, "loss.svg", "training.json",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "home"]
    assert Training.read(tmp_path / "a") == made.training
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["base_model_name_or_path"] == small
    assert made.tokens_per_second > 0


def test_the_record_says_everything_that_it_takes_to_make_it_again(small: str, tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "long " * 300, "completion": "x"}, {"prompt": "m", "completion": "y", "synthetic": True}]
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)))
    lines.with_suffix(".card.json").write_text('{"what": "sft", "rows": 18}')
    config = TrainConfig(steps=1, max_length=200)
    found = train(lines, model=small, out=tmp_path / "a", config=config).training
    assert (found.config, found.base, found.base_sha256) == (config, small, base(small).sha256)
    assert (found.rows, found.synthetic, found.dropped) == (17, 1, {"too long": 1})
    assert (found.device, found.precision) == ("cpu", "float32")
    assert found.card == {"what": "sft", "rows": 18}
    assert found.versions["torch"] == torch.__version__
    assert len(found.data_sha256) == 64


@pytest.mark.soak
def test_another_seed_gives_another_adapter(whole: Trained, small: str, tmp_path: Path) -> None:
    assert not same(whole, trained(tmp_path / "other", seed=2))


def test_the_picture_is_an_image_with_a_point_a_step(whole: Trained) -> None:
    lines = ElementTree.parse(whole.path / "loss.svg").getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [6, 6]


def test_rows_packed_together_do_not_see_each_other(small: str, tmp_path: Path) -> None:
    alone = trained(tmp_path / "alone", ROWS[:4], steps=1)
    packed = trained(tmp_path / "packed", ROWS[:4], steps=1, packing=True, max_length=512)
    assert losses(packed) == pytest.approx(losses(alone), abs=1e-5)


@pytest.mark.soak
def test_checkpointed_gradients_and_collected_batches_change_only_what_they_cost(
    whole: Trained, small: str, tmp_path: Path
) -> None:
    plain = losses(whole)
    assert losses(trained(tmp_path / "twice", gradient_checkpointing=True)) == pytest.approx(plain, abs=1e-5)
    assert losses(trained(tmp_path / "halves", batch=2, accumulate=2)) == pytest.approx(plain, abs=1e-2)


def test_divergence_from_the_base_holds_the_adapter_back(whole: Trained, small: str, tmp_path: Path) -> None:
    assert drift(trained(tmp_path / "held", kl=20.0)) < drift(whole) / 2


def test_divergence_weighs_as_much_in_a_step_of_fewer_batches(small: str, tmp_path: Path) -> None:
    full = trained(tmp_path / "full", batch=8, steps=2, kl=20.0, accumulate=2)
    assert same(trained(tmp_path / "fewer", batch=8, steps=2, kl=20.0, accumulate=8), full)


def drift(made: Trained) -> float:
    """Return how far the adapted model's predictions are from the base's, on what it was trained on."""
    from peft import PeftModel

    on = base("local/small")
    ids = on.tokenizer()("<|im_start|>user\nsay 1<|im_end|>\n<|im_start|>assistant\n", return_tensors="pt").input_ids
    with quiet():
        model = PeftModel.from_pretrained(on.model(), str(made.path)).eval()
    with torch.no_grad():
        adapted = model(ids).logits.log_softmax(-1)
        with model.disable_adapter():
            plain = model(ids).logits.log_softmax(-1)
    return float((adapted.exp() * (adapted - plain)).sum(-1).mean())


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_the_head_of_a_model_is_no_target(method: str, small: str, tmp_path: Path) -> None:
    rows = ROWS if method == "sft" else PAIRS
    with pytest.raises(Misuse, match="lm_head, gets no matrices of its own; leave it out"):
        trained(tmp_path / "a", rows, method=method, targets=("q_proj", "lm_head"))


def test_preferences_are_learnt_from_the_base_or_from_an_adapter(whole: Trained, small: str, tmp_path: Path) -> None:
    from_base = trained(tmp_path / "base", PAIRS, method="dpo")
    from_whole = trained(tmp_path / "on", PAIRS, method="dpo", start=whole.path)
    for made in (from_base, from_whole):
        assert losses(made)[0] == pytest.approx(0.6931, abs=1e-3)  # it begins as its own reference
        assert losses(made)[-1] < 0.6
    assert (from_base.training.start_sha256, len(from_whole.training.start_sha256)) == ("", 64)
    assert not same(from_base, from_whole)
    assert [path.name for path in from_whole.path.iterdir() if path.is_dir()] == []


def test_an_adapter_can_be_trained_on(whole: Trained, small: str, tmp_path: Path) -> None:
    second = trained(tmp_path / "second", start=whole.path)
    assert losses(second)[0] == pytest.approx(losses(whole)[-1], abs=0.3)
    assert losses(second)[0] < losses(whole)[0] - 0.5


def test_the_threads_of_torch_are_as_they_were(small: str, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    try:
        trained(tmp_path / "a", steps=1, threads=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


# --- stopped on the way


class Stop(Exception):
    pass


def stopped(out: Path, at: int, rows: Sequence[Row] = ROWS, start: Path | None = None, **changes: object) -> None:
    """Train until some step, and break off."""

    def stop(label: str, done: int, total: int) -> None:
        if (label, done) == ("training", at):
            raise Stop

    with pytest.raises(Stop):
        trained(out, rows, start, progress=stop, **changes)


def steps_of(
    out: Path, rows: Sequence[Row] = ROWS, start: Path | None = None, **changes: object
) -> tuple[list[int], Trained]:
    """Train to the end; return which steps it took."""
    begun: list[int] = []
    made = trained(out, rows, start, progress=lambda label, done, total: begun.append(done), **changes)
    return [step for step in begun if step], made


def test_what_was_stopped_goes_on_and_ends_just_as_what_was_not(whole: Trained, small: str, tmp_path: Path) -> None:
    stopped(tmp_path / "a", 5)
    assert not (tmp_path / "a").exists()
    steps, rest = steps_of(tmp_path / "a")
    assert steps == [5, 6]
    assert rest.outcome.losses == whole.outcome.losses
    assert same(rest, whole)


@pytest.mark.soak
def test_a_training_on_an_adapter_goes_on_too(whole: Trained, small: str, tmp_path: Path) -> None:
    unbroken = trained(tmp_path / "unbroken", PAIRS, whole.path, method="dpo")
    stopped(tmp_path / "a", 3, PAIRS, method="dpo", start=whole.path)
    steps, rest = steps_of(tmp_path / "a", PAIRS, whole.path, method="dpo")
    assert steps == [3, 4, 5, 6]
    assert same(rest, unbroken)


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_gone_on_from(
    whole: Trained, small: str, tmp_path: Path
) -> None:
    stopped(tmp_path / "a", 5)
    last = tmp_path / ".a.training" / "checkpoint-4"
    (last / "whole").unlink()
    (last / "optimizer.pt").write_bytes(b"")
    steps, rest = steps_of(tmp_path / "a")
    assert steps == [3, 4, 5, 6]
    assert rest.outcome.losses == whole.outcome.losses


@pytest.mark.parametrize(("rows", "seed"), [(ROWS, 1), pytest.param(ROWS[::-1], 0, marks=pytest.mark.soak)])
def test_other_settings_or_rows_begin_anew(small: str, tmp_path: Path, rows: list[Row], seed: int) -> None:
    stopped(tmp_path / "a", 3)
    assert steps_of(tmp_path / "a", rows, seed=seed, steps=2)[0] == [1, 2]


def test_the_same_rows_exported_again_are_gone_on_with(small: str, tmp_path: Path) -> None:
    data, begun = tmp_path / "rows.jsonl", list[int]()
    data.write_text("\n".join(map(json.dumps, ROWS)))

    def stop(label: str, done: int, total: int) -> None:
        begun.append(done)
        if done == 3:
            raise Stop

    for made_at in (1, 2):
        (tmp_path / "rows.card.json").write_text(json.dumps({"made_at": made_at}))
        with pytest.raises(Stop):
            train(data, model=small, out=tmp_path / "a", config=TrainConfig.of(**SETTINGS), progress=stop)
    assert [step for step in begun if step] == [1, 2, 3, 3]


# --- what is refused


def test_a_loss_that_is_no_number_ends_the_training_and_leaves_nothing(small: str, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"of step \d is (nan|inf): training cannot go on, and no adapter was made"):
        trained(tmp_path / "a", learning_rate=1e38, save_every=1)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("out", [".", "", "/"])
def test_what_names_no_folder_is_refused(small: str, out: str) -> None:
    with pytest.raises(Misuse, match="is no name for a new folder; give the adapter one, such as"):
        trained(Path(out))


def test_a_folder_that_exists_is_left_alone(small: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(Misuse, match="a exists; choose another folder"):
        trained(tmp_path / "a")


def test_a_training_that_was_killed_before_it_could_tidy_up_is_whole(small: str, tmp_path: Path) -> None:
    made = trained(tmp_path / "a")
    work = tmp_path / ".a.training"
    (work / "checkpoint-6").mkdir(parents=True)
    (work / "checkpoint-6" / "whole").touch()
    with pytest.raises(Misuse, match="a exists; choose another folder"):
        trained(tmp_path / "a", seed=1)
    assert trained(tmp_path / "a") == made
    assert not work.exists()


def test_a_folder_that_another_process_has_made_meanwhile_is_left_alone_and_nothing_trained(
    small: str, tmp_path: Path
) -> None:
    told = list[str]()

    def meanwhile(label: str, done: int, total: int) -> None:
        told.append(label)
        (tmp_path / "a").mkdir(exist_ok=True)

    with pytest.raises(Misuse, match="a exists; choose another folder"):
        trained(tmp_path / "a", progress=meanwhile)
    assert told == ["reading rows"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "home"]


def test_an_adapter_of_another_base_or_shape_is_not_gone_on_from(whole: Trained, small: str, tmp_path: Path) -> None:
    first = shutil.copytree(whole.path, tmp_path / "first")
    with pytest.raises(Misuse, match=r"has rank 4, and going on cannot change that to 8; ask for 4"):
        trained(tmp_path / "a", start=first, rank=8)
    whole.training.but(base_sha256="0" * 64).write(first)
    with pytest.raises(Misuse, match="first is an adapter for local/small, not for local/small, or for other weights"):
        trained(tmp_path / "a", start=first)
    with pytest.raises(WeightsError, match=r"home is no adapter of `agentevo train`: it has no readable training.json"):
        trained(tmp_path / "a", start=tmp_path / "home")
    for file in (ADAPTER, "adapter_config.json"):
        broken = shutil.copytree(whole.path, tmp_path / f"without {file}")
        (broken / file).write_bytes((broken / file).read_bytes()[:40])
        with pytest.raises(WeightsError, match=f"the adapter in .*without {file} cannot be read"):
            trained(tmp_path / "a", start=broken)
        (broken / file).unlink()
        with pytest.raises(WeightsError, match=f"the adapter in .*without {file} cannot be read"):
            trained(tmp_path / "a", start=broken)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"r": 8}, {"lora_alpha": -1}, {"rank_pattern": {"q_proj": 2}}, {"use_rslora": True}, {"peft_type": "IA3"},
        {"target_modules": ["q_proj"]}, {"layers_to_transform": [0]}, {"init_lora_weights": "pissa"},
    ],
)  # fmt: skip
def test_an_adapter_whose_settings_were_changed_is_not_gone_on_from(
    change: dict[str, object], whole: Trained, small: str, tmp_path: Path
) -> None:
    start = shutil.copytree(whole.path, tmp_path / "start")
    shape = json.loads((start / "adapter_config.json").read_bytes())
    (start / "adapter_config.json").write_text(json.dumps(shape | change), "utf-8")
    (name,) = change
    with pytest.raises(WeightsError, match=f"adapter_config.json does not say what training.json .* says of {name}:"):
        trained(tmp_path / "a", start=start)
    assert not (tmp_path / "a").exists()


def test_matrices_of_another_shape_are_not_gone_on_from(whole: Trained, small: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    start = shutil.copytree(whole.path, tmp_path / "start")
    save_file(
        {name: matrix[:, :1].contiguous() for name, matrix in load_file(start / ADAPTER).items()}, start / ADAPTER
    )
    with pytest.raises(WeightsError, match=r"the adapter in .*start does not fit its model: .*size mismatch"):
        trained(tmp_path / "a", start=start)


def test_modules_that_the_model_lacks_are_named_with_those_it_has(small: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="the model has none of query; its modules are down_proj, gate_proj"):
        trained(tmp_path / "a", targets=("query",))
    with pytest.raises(Misuse, match=r"targets: Target module .* is not supported"):
        trained(tmp_path / "a", targets=("input_layernorm",))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_half_precision_needs_a_device_that_has_it(small: str, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(Misuse, match="bfloat16 needs a GPU"):
        trained(tmp_path / "a", precision="bfloat16")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_without_room_is_said_and_with_room_again_it_goes_on(whole: Trained, small: str, tmp_path: Path) -> None:
    with room_for(10_000), pytest.raises(WeightsError, match=r"cannot write .*a: the disk is full \(or a limit is"):
        trained(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert trained(tmp_path / "a").outcome.losses == whole.outcome.losses


@pytest.mark.parametrize("size", [60_000, 1_000])
def test_a_checkpoint_for_which_there_is_no_room_takes_no_earlier_one_along(
    whole: Trained, small: str, tmp_path: Path, size: int
) -> None:
    limited = ExitStack()

    def limit(label: str, done: int, total: int) -> None:
        if done == 3:
            limited.enter_context(room_for(size))

    with limited, pytest.raises(WeightsError, match=r"the disk is full \(or a limit is reached\); make room"):
        trained(tmp_path / "a", progress=limit)
    steps, rest = steps_of(tmp_path / "a")
    assert (steps, rest.outcome.losses) == ([3, 4, 5, 6], whole.outcome.losses)


def test_a_place_that_cannot_be_written_is_said_as_the_system_says_it(small: str) -> None:
    with pytest.raises(WeightsError, match=r"cannot write /proc/a: No such file or directory; choose a place"):
        trained(Path("/proc/a"))


def test_two_processes_do_not_train_one_adapter(small: str, tmp_path: Path) -> None:
    from filelock import FileLock

    work = tmp_path / ".a.training"
    work.mkdir()
    with FileLock(work / "lock"), pytest.raises(WeightsError, match="another process is training"):
        trained(tmp_path / "a")
    assert work.exists()
