"""The file of an adapter beside an offline model: what it says of itself, and whether it can be used there."""

from __future__ import annotations

from pathlib import Path

from agentevo.errors import WeightsError
from agentevo.models.gguf_header import check_whole
from agentevo.models.installed import Installed

BASE = "agentevo.base_sha256"
"""The field in which an adapter's file says what the weights hash to that it was made for."""
MADE_OF = "agentevo.adapter_sha256"
"""The field in which it says what the trained weights hash to that it was made of."""


def unfit(file: Path, weights: Installed, folder: str = "FOLDER") -> str:
    """Say why an adapter's file cannot be used beside a model, and what to do; empty where nothing in it tells.

    folder: where the adapter lies that it was made of, as a shell takes it.
    """
    try:
        header = check_whole(file)
    except WeightsError as error:
        return f"{error}; {way_out(file, folder)}"
    if header.get("general.type") != "adapter" or header.get("adapter.type") != "lora":
        return f"{file} is no LoRA adapter; move it out of the adapters folder"
    if header.get(BASE) in (None, weights.sha256):  # files of other programs do not say
        return ""
    return (
        f"{file} was made for other weights than those that local/{weights.name} has now (SHA-256"
        f" {weights.sha256[:12]}...); train it on these, or remove it"
    )


def way_out(file: Path, folder: str = "FOLDER") -> str:
    """Say how a file comes to be whole again."""
    again = f"agentevo models adapters install {folder} --name {file.stem} --replace"
    return f"install it again with `{again}`, or remove it"
