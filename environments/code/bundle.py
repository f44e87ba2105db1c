"""Files and a program as one piece of source: a run begins by writing the files where it stands.

The files are those of the solution's own side: a library it may import, the modules of a workspace. They are written
in the sandbox, by the untrusted side, so a solution that changes them has only itself to blame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_FUTURE = re.compile(r"^from __future__ import[^\n]*\n?", re.MULTILINE)
_WRITE = (
    "import pathlib as _p, sys as _s; _s.path.insert(0, str(_p.Path.cwd())); "
    "[(_p.Path(_n).parent.mkdir(parents=True, exist_ok=True), _p.Path(_n).write_text(_t, 'utf-8')) "
    "for _n, _t in {files!r}.items()]; del _p, _s\n"
)
"""One line, so that the lines of the program are off by one alone."""


def bundled(files: Mapping[str, str], program: str) -> str:
    """Return a program that finds these files beside it; what it wants of the future still comes first."""
    if not files:
        return program
    future = "".join(line.rstrip("\n") + "; " for line in _FUTURE.findall(program))
    return future + _WRITE.format(files=dict(files)) + _FUTURE.sub("\n", program)
