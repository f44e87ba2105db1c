"""What one run may use."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from agentevo.errors import Misuse

OUTPUT_LIMIT = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one run, which count for all its processes together where that is not said otherwise.

    `wall_s` and with it every timeout stretches up to `stretch` times by what the run had to wait for a processor
    because the machine was busy; `stretch=1` means never. Zero or less is refused.
    """

    memory_mb: float = 512
    cpu_s: float = 20
    wall_s: float = 30
    processes: int = 32
    """Processes and threads together."""
    open_files: int = 64
    """By process."""
    disk_mb: float = 64
    files: int = 2048
    """Files and folders on the work disk."""
    output_bytes: int = 1_000_000
    """By stream; more is read and cut out of the middle."""
    file_size_mb: float = 32
    stretch: float = 3

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Misuse(f"limit {field.name} is {value!r}; expected a number")
            if not (math.isfinite(value) and value > 0):
                raise Misuse(f"limit {field.name} is {value!r}; expected a finite number above zero")
        for name, least in (("open_files", 8), ("memory_mb", 32), ("stretch", 1), ("disk_mb", 1), ("files", 8)):
            if getattr(self, name) < least:
                raise Misuse(f"limit {name} is {getattr(self, name)!r}; a worker itself needs at least {least}")

        if self.output_bytes > OUTPUT_LIMIT:
            raise Misuse(f"limit output_bytes is {self.output_bytes:,}; at most {OUTPUT_LIMIT:,}: write more to files")

    def within(self, timeout_s: float | None) -> Limits:
        """Return these limits with another wall time, or themselves for None."""
        return self if timeout_s is None else dataclasses.replace(self, wall_s=timeout_s)

    def as_dict(self) -> dict[str, float]:
        """Return the limits as they cross to a worker."""
        return {name: getattr(self, name) for name in self.__slots__}
