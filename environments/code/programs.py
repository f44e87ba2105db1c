"""The programs that are run in a workspace: steps of one session, beside the files as they were written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentevo.environments.code.files import ERROR
from agentevo.environments.code.judging import Judge, shown
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.environments.sandbox import Session

ANEW = "(The session was begun anew: names and files that programs had made are gone.)"
FORGET = "[__import__('sys').modules.pop(name, None) for name in {names}]; __import__('importlib').invalidate_caches()"
_MODULE = re.compile(r"(?P<name>.+?)(?:/__init__)?\.py")


class Programs:
    """What programs make, names and files, stays from one to the next until the workspace is closed.

    Before each the files are what was written, whatever programs made of them, and after a change what is imported
    from them is imported afresh. A program that breaks a limit or ends its process ends the session; the next one
    begins another.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._session: Session | None = None
        self._laid: dict[str, str] = {}

    async def printed(self, code: str, files: Mapping[str, str]) -> str:
        """Run a program beside files, and return what it printed and how it ended."""
        told = [ANEW] if self._session is not None and self._session.is_over else []
        if self._session is None or self._session.is_over:
            self._session = await self._begun(files)
        try:
            await self._lay_out(self._session, files)
        except Misuse:  # a program has put something else where a file belongs, or has filled the disk
            self._session, told = await self._begun(files), [ANEW]
        try:
            result = await self._session.arun(code, timeout_s=self._judge.timeout_s)
        except Misuse as error:  # what a model wrote may be nothing that can be run at all
            return f"{ERROR}{error}"
        return "\n".join([*told, shown(result)])

    async def made(self, path: str) -> str | None:
        """Return what is in a file that a program has made, or None."""
        if self._session is None or self._session.is_over:
            return None
        try:
            return (await self._session.aread(path)).decode("utf-8", "replace")
        except Misuse:
            return None

    async def close(self) -> None:
        """End the session; closing twice is fine."""
        if self._session is not None:
            await self._session.aclose()

    async def _begun(self, files: Mapping[str, str]) -> Session:
        await self.close()
        self._laid = {}
        session = await self._judge.session()
        await self._lay_out(session, files)
        return session

    async def _lay_out(self, session: Session, files: Mapping[str, str]) -> None:
        """Write every file: a program may have changed any. Forget modules where one of them is another now."""
        for name, text in files.items():
            await session.awrite(name, text)
        modules = sorted({*map(_module, self._laid), *map(_module, files)} - {""})
        if self._laid and self._laid != dict(files) and modules:
            await session.arun(FORGET.format(names=modules))
        self._laid = dict(files)


def _module(path: str) -> str:
    """Return the name that a file is imported by, or nothing."""
    found = _MODULE.fullmatch(path)
    return found["name"].replace("/", ".") if found else ""
