"""What an export writes, read back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from agentevo.weights import DataCard, export_sft


def rows(source: Any, export: Callable[..., DataCard] = export_sft, **options: Any) -> tuple[list[Any], DataCard]:
    """Export to a stream; return the rows and the card."""
    out = io.StringIO()
    card = export(source, out, **options)
    return [json.loads(line) for line in out.getvalue().splitlines()], card
