"""The trainers of trl, fed with tokens of our own making, and told to keep quiet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentevo.errors import Diverged, Misuse
from agentevo.types import Json
from agentevo.weights.checkpoints import WHOLE
from agentevo.weights.config import TrainConfig
from agentevo.weights.dataset import Prepared
from agentevo.weights.load import adapted
from agentevo.weights.losses import divergence, is_plain, of_labels, tokens_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

_NEEDED = {"peft_type", "r", "lora_alpha", "target_modules"}
"""Settings without which peft would take others."""
_OF_PLACES = {"base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version"}
"""Settings that say where and by what an adapter was written."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a trainer is made of."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prepared: Prepared
    folder: Path
    """Where checkpoints go."""
    start: Path | None
    """The adapter to go on from."""
    precision: str
    has_gpu: bool
    on_step: Callable[[int, int, float], None]
    """Hears how many steps are done, how many there are, and the loss of the last one."""


def trainer(config: TrainConfig, parts: Parts) -> Trainer:
    """Return a trainer that has everything; raise Misuse where the model lacks the modules asked for."""
    from transformers.trainer_callback import PrinterCallback

    made = _answers(config, parts) if config.method == "sft" else _pairs(config, parts)
    made.remove_callback(PrinterCallback)  # it would write to stdout
    made.add_callback(_watch(parts))
    return made


def _arguments(config: TrainConfig, parts: Parts) -> dict[str, Any]:
    return {
        "output_dir": str(parts.folder),
        "learning_rate": config.rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,
        "per_device_train_batch_size": config.batch,
        "gradient_accumulation_steps": config.accumulate,
        "num_train_epochs": config.epochs,
        "max_steps": config.steps or -1,
        "max_length": None,  # rows fit already
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": parts.precision == "bfloat16",
        "use_cpu": not parts.has_gpu,
        "dataloader_pin_memory": parts.has_gpu,
        "seed": config.seed,
        "data_seed": config.seed,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,  # while one is being written, another is whole
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would hide that the loss is no number
        "disable_tqdm": True,
        "report_to": [],
    }


def _adapted(config: TrainConfig, parts: Parts) -> tuple[Any, Any]:
    """Return the model, with the adapter to go on from if there is one, and else how a new one is made."""
    if parts.start is not None:
        model = adapted(parts.model, parts.start, is_trainable=True)
        model.peft_config["default"].base_model_name_or_path = parts.model.name_or_path  # else it is looked up online
        return model, None
    return parts.model, _lora(config)


def _lora(config: TrainConfig) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        task_type="CAUSAL_LM",
    )


def changed(shape: Mapping[str, Json], config: TrainConfig) -> list[str]:
    """Return what peft's settings of an adapter say otherwise than it was trained with, by name."""
    made = _lora(config).to_dict()
    said = (_NEEDED | (made.keys() & shape.keys())) - _OF_PLACES
    return sorted(name for name in said if _plain(shape.get(name)) != _plain(made[name]))


def _plain(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, list | set | tuple) else value


def _answers(config: TrainConfig, parts: Parts) -> Trainer:
    from trl import SFTConfig, SFTTrainer, pack_dataset

    class Answers(SFTTrainer):  # type: ignore[misc]  # trl's types are not followed
        read = 0

        def create_model_card(self, *_: object, **__: object) -> None:
            """Write none with a checkpoint."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any) -> Any:
            whole = self.accelerator.unwrap_model(model)
            items = given.get("num_items_in_batch")
            if parts.has_gpu or not is_plain(whole):
                loss = super().compute_loss(model, inputs, return_outputs, **given)
            else:
                loss = of_labels(whole, inputs, items)
                self.read += tokens_of(inputs)
            if not config.kl:
                return loss
            # the last step of an epoch may have fewer batches; without `items` the trainer divides by itself
            batches = 1 if items is None else self.current_gradient_accumulation_steps
            return loss + config.kl / batches * divergence(whole, inputs)

        def log(self, logs: dict[str, float], *given: Any) -> None:
            """Say how many tokens were read, too, where trl does not."""
            super().log({"num_tokens": self.read, **logs}, *given)

    dataset = parts.prepared.dataset()
    if config.packing:
        dataset = pack_dataset(dataset, parts.prepared.limit, "bfd")
    arguments = SFTConfig(
        **_arguments(config, parts), packing=config.packing, dataset_kwargs={"skip_prepare_dataset": True}
    )
    return _made(Answers, config, parts, args=arguments, train_dataset=dataset)


def _pairs(config: TrainConfig, parts: Parts) -> Trainer:
    from trl import DPOConfig, DPOTrainer

    class Pairs(DPOTrainer):  # type: ignore[misc]  # trl's types are not followed
        def create_model_card(self, *_: object, **__: object) -> None:
            """Write none with a checkpoint."""

        def _prepare_dataset(self, dataset: Any, *_: object, **__: object) -> Any:
            return dataset  # it is tokens already

    arguments = DPOConfig(**_arguments(config, parts), beta=config.beta, remove_unused_columns=False)
    collate = _collator(parts.tokenizer)
    return _made(Pairs, config, parts, args=arguments, train_dataset=parts.prepared.dataset(), data_collator=collate)


def _collator(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    whole = DataCollatorForPreference(pad_token_id=_padding(tokenizer))

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Keep loss off what others say within an answer of several turns, such as results of tools."""
        batch = dict(whole(rows))
        mask = batch["completion_mask"]
        said = [(len(row["prompt_ids"]), row[f"{side}_said"]) for side in ("chosen", "rejected") for row in rows]
        for line, (begins, marks) in zip(mask, said, strict=True):
            line[begins : begins + len(marks)] = line.new_tensor(marks)
        return batch

    return collate


def _padding(tokenizer: PreTrainedTokenizerBase) -> int:
    for number in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if number is not None:
            return int(number)
    raise Misuse("the tokenizer has neither a padding token nor an end of sequence; set one in tokenizer_config.json")


def _made(kind: Any, config: TrainConfig, parts: Parts, **given: Any) -> Trainer:
    model, adapter = _adapted(config, parts)
    _padding(parts.tokenizer)
    try:
        return kind(model=model, peft_config=adapter, processing_class=parts.tokenizer, **given)
    except ValueError as error:
        if "lm_head" in str(error):
            raise Misuse("targets: the head of a model, lm_head, gets no matrices of its own; leave it out") from error
        if str(error).startswith("Target module") and "is not supported" in str(error):
            raise Misuse(f"targets: {' '.join(str(error).split())[:200]}") from error
        if "arget modules" not in str(error):
            raise
        names = sorted({name.rpartition(".")[2] for name, module in parts.model.named_modules() if _is_linear(module)})
        raise Misuse(
            f"the model has none of {', '.join(config.targets)}; its modules are {', '.join(names)}"
        ) from error


def _is_linear(module: object) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def _watch(parts: Parts) -> Any:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]  # nor are those of transformers
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: object) -> None:
            for name in ("loss", "grad_norm"):
                if not math.isfinite(float(logs.get(name, 0.0))):
                    raise Diverged(
                        f"the {name.replace('_norm', 'ient')} of step {state.global_step} is {logs[name]}: training "
                        "cannot go on, and no adapter was made; lower learning_rate, or look at the longest rows"
                    )
            if "loss" in logs:
                parts.on_step(state.global_step, state.max_steps, float(logs["loss"]))

        def on_save(self, args: Any, state: Any, control: Any, **_: object) -> None:
            (parts.folder / f"checkpoint-{state.global_step}" / WHOLE).touch()

    return Watch()
