"""What Chroma leaves in its files of memory that it had not filled yet: by chance a text that was purged since."""

from __future__ import annotations

import os
from pathlib import Path

_SAVED = "index_metadata.pickle"
_RESERVED = ("data_level0.bin", "length.bin")


def clear_reserved(folder: Path) -> None:
    """Write zeros over what is only reserved: as long as Chroma has saved no vectors there, nobody reads it.

    Not covered: the room that is left in an index which it has saved, every 10,000 vectors.
    """
    for path in (path for name in _RESERVED for path in folder.glob(f"*/{name}")):
        if not path.with_name(_SAVED).exists():
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
