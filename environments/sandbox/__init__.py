"""The sandbox: code that a model wrote is run, and judged, behind walls."""

from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.remote import Connection, Endpoint, Remote
from agentevo.environments.sandbox.results import (
    Check,
    RunResult,
    SandboxBroken,
    SandboxError,
    SandboxUnavailable,
    Verdict,
)
from agentevo.environments.sandbox.sandbox import Sandbox
from agentevo.environments.sandbox.session import Session

__all__ = [
    "Check", "Connection", "Endpoint", "Limits", "Remote", "RunResult", "Sandbox", "SandboxBroken", "SandboxError",
    "SandboxUnavailable", "Session", "Verdict",
]  # fmt: skip
