"""What the journal keeps of an item as it was before a change: all of it, or its marks where no more was changed.

A sweep sets the status of tens of thousands of items. What else each was is what it still was after that, so it stands
in the item's next image, or in the item itself, and is not written once more.
"""

from __future__ import annotations

import itertools
import json
from typing import get_args

from agentevo.memory.rows import marked
from agentevo.types import Item, Status


def of(item: Item) -> str:
    """Return the image of a whole item: JSON without what is at its default."""
    return item.model_dump_json(exclude_defaults=True, exclude={"namespace"})


def _written(status: Status, pinned: bool) -> str:
    said = {"status": status, "pinned": pinned}
    usual = {"status": "live", "pinned": False}
    return json.dumps({name: value for name, value in said.items() if value != usual[name]}, separators=(",", ":"))


OF_MARKS = {marks: _written(*marks) for marks in itertools.product(get_args(Status), (False, True))}
"""The images of a status and a pin alone."""
_MARKS = {image: marks for marks, image in OF_MARKS.items()}


def is_marks(image: str) -> bool:
    return image in _MARKS


def was(image: str | None, after: Item | None, namespace: str) -> Item | None:
    """Return what an item was, by its image and by what it was after the change; None where it was not there."""
    if image is None:
        return None
    if image in _MARKS:
        status, pinned = _MARKS[image]
        return after and marked(after, status=status, pinned=pinned)
    return Item.model_validate_json(image).model_copy(update={"namespace": namespace})
