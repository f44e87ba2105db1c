"""What a training is made of: the settings, and the record that lies beside the adapter and says all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.types import Json, Record, why_invalid

Method: TypeAlias = Literal["sft", "dpo"]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]

RECORD = "training.json"
ADAPTER, SHAPE = "adapter_model.safetensors", "adapter_config.json"
"""The files in an adapter's folder: how it was made, and, as peft names them, its matrices and what they are like."""
"""The file in an adapter's folder that holds its Training."""

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_RATES: dict[Method, float] = {"sft": 1e-3, "dpo": 1e-4}
_OF_OTHERS: dict[Method, set[str]] = {"sft": {"beta"}, "dpo": {"packing", "kl"}}
"""Settings that a method knows nothing of."""
_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets")


class TrainConfig(Record):
    """Every setting of a training. What is not here is as the libraries have it, whose versions are recorded."""

    method: Method = "sft"
    """sft: learn to write the answers of the rows. dpo: learn to prefer the chosen answer to the rejected one."""
    rank: PositiveInt = 16
    alpha: PositiveFloat = 32.0
    dropout: Share = 0.0
    targets: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = _LINEAR
    """The modules that get matrices of their own."""
    learning_rate: PositiveFloat | None = None
    """By default 1e-3 for sft and 1e-4 for dpo."""
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """So great a share of the steps until the full learning rate is reached."""
    batch: PositiveInt = 8
    accumulate: PositiveInt = 1
    """So many batches to a step."""
    epochs: PositiveFloat = 1.0
    steps: PositiveInt | None = None
    """So many steps, whatever `epochs` says."""
    max_length: Annotated[int, Field(ge=2)] = 1024
    """In tokens; never more than the model takes in."""
    too_long: Literal["drop", "truncate"] = "drop"
    """What is done with longer rows; either way they are counted."""
    packing: bool = False
    """Fill each sequence of `max_length` with several rows, which do not see each other."""
    gradient_checkpointing: bool = False
    """Compute activations twice rather than keep them: less memory, slower."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a GPU that has it, else float32."""
    beta: PositiveFloat = 0.1
    """dpo: how dear it is to move away from the reference."""
    kl: NonNegativeFloat = 0.0
    """sft: weight of the divergence from the base, over all tokens of the rows; costs two more passes."""
    weight_decay: NonNegativeFloat = 0.0
    """Pull of the adapter's matrices towards nothing, which is the base."""
    max_grad_norm: PositiveFloat = 1.0
    min_real: Share = 0.1
    """Refuse rows of which a smaller share is real, that is, not marked as synthetic."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    save_every: PositiveInt = 25
    """Steps between two checkpoints, from which a training that was killed goes on."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """By default as many as there are idle cores."""

    @classmethod
    def of(cls, **values: object) -> Self:
        """Return the settings; raise Misuse, naming the field, where they cannot be, or do not go together."""
        for name in values:
            if name not in cls.model_fields:
                raise UnknownName("setting of a training", name, cls.model_fields)
        try:
            made = cls.model_validate(values)
        except ValidationError as error:
            raise Misuse(f"training: {why_invalid(error)}") from error
        others = _OF_OTHERS[made.method] & {name for name in values if getattr(made, name) != _default(name)}
        if others:
            raise Misuse(f"training: method {made.method} has no {', '.join(sorted(others))}; leave it out")
        return made

    @property
    def rate(self) -> float:
        """The learning rate, chosen by method where none was given."""
        return self.learning_rate or _RATES[self.method]


def fitting(settings: Mapping[str, Json], method: Method) -> dict[str, Json]:
    """Return settings without those that a method knows nothing of, for who trains by both."""
    return {name: value for name, value in settings.items() if name not in _OF_OTHERS[method]}


def _default(name: str) -> object:
    return TrainConfig.model_fields[name].default


class Outcome(Record):
    """How a training went."""

    steps: int
    tokens: int
    """Tokens that were seen since the training was last started."""
    seconds: float
    peak_bytes: int
    """Most memory that was held, by the process or on the GPU."""
    losses: tuple[tuple[int, float], ...]
    """Step and loss."""


class Training(Record):
    """What an adapter was made from, and how: enough to make it again."""

    config: TrainConfig
    base: str
    base_sha256: str
    data_sha256: str
    rows: int
    """Rows that were trained on."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows that were left out, by reason; `truncated` ones were shortened and kept."""
    synthetic: int = 0
    """Those of `rows` that were marked as synthetic."""
    card: dict[str, Json] = Field(default_factory=dict)
    """The card that came with the data."""
    start_sha256: str = ""
    """The adapter that it went on from."""
    device: str = "cpu"
    precision: str = "float32"
    versions: dict[str, str] = Field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def key(self) -> str:
        """A hash of what decides about the outcome: a training is gone on with only where this is the same.

        The card is no part of it: it says when the rows were exported, which may be the same ones again.
        """
        return hashlib.sha256(self.but(outcome=None, card={}).model_dump_json().encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write this record into an adapter's folder."""
        (folder / RECORD).write_text(self.model_dump_json(indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of an adapter's folder; raise WeightsError if there is none, or it is damaged."""
        try:
            return cls.model_validate_json((folder / RECORD).read_bytes())
        except OSError as error:
            raise WeightsError(f"{folder} is no adapter of `agentevo train`: it has no readable {RECORD}") from error
        except ValidationError as error:
            raise WeightsError(f"{folder / RECORD} is damaged: {why_invalid(error)}") from error


def versions() -> dict[str, str]:
    """Return the versions of what trains."""
    return {package: version(package) for package in _PACKAGES}
