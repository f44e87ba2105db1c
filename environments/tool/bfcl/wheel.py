"""The wheel with BFCL's data and simulators: fetched without its dependencies, checked, and a part of it unpacked."""

from __future__ import annotations

import re
from pathlib import Path

from agentevo.errors import Misuse
from agentevo.models.catalogue import Wheel
from agentevo.models.placing import Progress, alone, downloads, filled
from agentevo.models.wheels import extract, fetch_wheel
from agentevo.settings import home

WHEEL = Wheel(
    name="bfcl-2026.3.23",
    package="bfcl-eval",
    version="2026.3.23",
    wheel_sha256="3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
    wheel_bytes=1_925_664,
)
SIMULATORS = (
    "gorilla_file_system", "math_api", "message_api", "posting_api", "ticket_api", "trading_bot", "travel_booking",
    "vehicle_control",
)  # fmt: skip
_CODE = ("__init__", "long_context", *SIMULATORS)
_WANTED = re.compile(
    r"bfcl_eval/((eval_checker/(multi_turn_eval/)?|constants/)?__init__\.py|constants/executable_backend_config\.py"
    rf"|eval_checker/multi_turn_eval/(multi_turn_(checker|utils)|func_source_code/({'|'.join(_CODE)}))\.py"
    rf"|data/((possible_answer/)?BFCL_v4_multi_turn_\w+|multi_turn_func_doc/({'|'.join(SIMULATORS)}))\.json)"
)


def fetch(progress: Progress) -> Path:
    """Return the folder with what is needed of the wheel; it is fetched unless it is here. Raise WeightsError."""
    final = place()
    with alone(WHEEL.name, progress):
        if not final.is_dir():
            wheel = fetch_wheel(WHEEL, downloads(WHEEL.name), progress)
            with filled(final) as folder:
                extract(wheel, WHEEL, lambda name: name if _WANTED.fullmatch(name) else "", folder, progress)
    return final


def folder() -> Path:
    """Return where it was unpacked. Raise Misuse, which says how it is fetched, where it was not."""
    if not place().is_dir():
        raise Misuse(f"BFCL is not here, in {place()}; fetch it, 2 MB: agentevo env fetch bfcl")
    return place()


def place() -> Path:
    """Return where it is unpacked, or would be."""
    return home() / "environments" / WHEEL.name
