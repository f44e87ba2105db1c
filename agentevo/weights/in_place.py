"""Whether the file that an adapter of a memory stands for is in its place: there, for this base, and the one it was."""

from __future__ import annotations

import shlex

from agentevo.errors import UnknownName
from agentevo.memory.trust import SHA256
from agentevo.models.adapter_files import MADE_OF, unfit
from agentevo.models.gguf_header import read_header
from agentevo.models.installed import LOCAL, Installed, find
from agentevo.types import Item


def out_of_place(item: Item) -> str:
    """Say why an adapter's base could not answer with it here, and what to do; empty where it can.

    Nothing is known of a base that is not installed on this machine; and where the item does not say the hash of its
    weights, as it does not where they were trained elsewhere, not whether the file is the one it was.
    """
    weights = base_here(str(item.metadata.get("base")))
    if weights is None:
        return ""
    name, made_of = str(item.metadata.get("name")), item.metadata.get(SHA256)
    file = weights.path.parent / "adapters" / f"{name}.gguf"
    folder = shlex.quote(str(item.metadata.get("path") or "FOLDER"))
    again = f"install it again with `agentevo models adapters install {folder} --name {name}"
    if not file.exists():
        return f"{file} is missing; {again}`"
    if why := unfit(file, weights, folder):
        return why
    if made_of is not None and read_header(file).get(MADE_OF) != made_of:
        return f"{file} is another adapter by now, which came in its place; {again} --replace`"
    return ""


def base_here(model: str) -> Installed | None:
    """Return the weights of `local/NAME` where they are installed on this machine."""
    try:
        return find(model.removeprefix(LOCAL), "model") if model.startswith(LOCAL) else None
    except UnknownName:
        return None
