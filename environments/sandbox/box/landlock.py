"""Landlock's rules: which files a process may touch at all; network and signals where the kernel's version has them."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable

from agentevo.environments.sandbox.box.syscalls import PR_SET_NO_NEW_PRIVS, call, prctl

LEAST_VERSION = 3
"""The first that can refuse to truncate a file."""
SCOPES_VERSION = 6
"""The first that keeps signals and abstract sockets inside."""
EXECUTE, WRITE, READ, LIST, REFER, TRUNCATE, DEVICE_CONTROL = 1, 2, 4, 8, 1 << 13, 1 << 14, 1 << 15
ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
MAKE_DEVICES_AND_SOCKETS = 1 << 6 | 1 << 9 | 1 << 11
NETWORK, SCOPES = 3, 3
OF_A_FILE = EXECUTE | WRITE | READ | TRUNCATE | DEVICE_CONTROL
RULE_PATH = 1

Rules = list[tuple[int, int]]
"""Open descriptors of paths, and what is allowed beneath each."""
Ready = list[bytes]
"""The same as the kernel takes them; their descriptors stay open."""


def version() -> int:
    """Return the version of Landlock this kernel has; raise OSError where it has none that will do."""
    found = call("landlock_create_ruleset", None, 0, 1)
    if found < LEAST_VERSION:
        raise OSError(f"Landlock here has version {found}; {LEAST_VERSION} or later is needed")
    return found


def handled(version: int) -> int:
    """Return all that the rules of a version cover of files."""
    return next(rights for first, rights in sorted(ALL_FILES.items(), reverse=True) if version >= first)


def opened(paths: Iterable[str], rights: int) -> Rules:
    """Return rules for paths; they are opened now, so that nobody can put others in their place."""
    return [(os.open(path, os.O_PATH | os.O_CLOEXEC), rights) for path in paths]


def covered(path: str, hidden: Iterable[str]) -> Rules:
    """Return rules to read all beneath a path but what is hidden; a folder with something hidden may be listed."""
    if path in hidden:
        return []
    if not any(one.startswith(path + "/") for one in hidden):
        return opened([path], EXECUTE | READ | LIST)
    below = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    return [*opened([path], LIST), *(rule for one in below if os.path.exists(one) for rule in covered(one, hidden))]


def ready(rules: Rules, version: int) -> Ready:
    """Return rules as the kernel takes them: made once, they can be put into many sets."""
    files, found = handled(version), Ready()
    for descriptor, rights in rules:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        found.append(struct.pack("=Qi", rights & files & (-1 if is_folder else OF_A_FILE), descriptor))
    return found


def ruleset(rules: Ready, version: int) -> int:
    """Make a set of rules that processes can be held to, and return its descriptor."""
    sizes = {1: 8, 4: 16, SCOPES_VERSION: 24}
    size = next(size for first, size in sorted(sizes.items(), reverse=True) if version >= first)
    attributes = struct.pack("QQQ", handled(version), NETWORK, SCOPES)[:size]
    made = call("landlock_create_ruleset", attributes, len(attributes), 0)
    for rule in rules:
        call("landlock_add_rule", made, RULE_PATH, rule, 0)
    return made


def restrict(made: int) -> None:
    """Hold this process and all it starts to a set of rules, for good, beside those it is held to already."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    call("landlock_restrict_self", made, 0)
    os.close(made)
