"""Where agentevo keeps things, and what the user has set: AGENTEVO_HOME and its config.toml.

    AGENTEVO_HOME/              default ~/.agentevo
        config.toml             the settings below, all optional
        models/NAME/            model.gguf, card.json, adapters/ADAPTER.gguf
        embedders/NAME/         a sentence-transformers folder, card.json
        adapters/NAME/          what recipes trained, in the format of peft, and its record
        environments/NAME/      what `agentevo env fetch` got
        memory/                 the memory of `agentevo memory` where --path and AGENTEVO_MEMORY name no other
        runs/NAME/              what a run did so far: a run that was ended goes on from it
        cache/                  model replies, by content; safe to delete
        downloads/NAME/         what a pull has fetched so far, and the next goes on with; safe to delete
        locks/                  held while something is installed

A variable AGENTEVO_<NAME> (AGENTEVO_MODEL, say) wins over the file.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, ValidationError

from agentevo.errors import ConfigError, UnknownName
from agentevo.types import why_invalid


class Settings(BaseModel):
    """What the user can set once instead of with every call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "local/smollm2-135m"
    embedder: str = "all-MiniLM-L6-v2"
    max_cost_usd: PositiveFloat | None = None
    timeout_s: PositiveFloat = 120.0
    concurrency: PositiveInt = 64
    threads: PositiveInt | None = None
    """Threads of the offline runtime; chosen by a short measurement when not set."""
    cache: bool = False
    """Answer a request that was made before from disk."""


def home() -> Path:
    """Return the folder agentevo keeps things in; it need not exist yet."""
    return Path(os.environ.get("AGENTEVO_HOME") or "~/.agentevo").expanduser()


def settings() -> Settings:
    """Read the settings; raise ConfigError, naming the file or variable, where they cannot be used."""
    path = home() / "config.toml"
    values = _read(path)
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise ConfigError(f"{path}: {UnknownName('setting', unknown[0], Settings.model_fields)}")
    from_file = _checked(values, str(path))
    variables = {n: os.environ[f"AGENTEVO_{n.upper()}"] for n in Settings.model_fields if _is_set(n)}
    if not variables:
        return from_file
    return _checked({**values, **variables}, "environment variables AGENTEVO_" + ", ".join(variables).upper())


def _is_set(name: str) -> bool:
    return bool(os.environ.get(f"AGENTEVO_{name.upper()}"))


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; correct it or move it away") from error


def _checked(values: dict[str, object], origin: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {why_invalid(error)}") from error
