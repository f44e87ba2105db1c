"""Starting programs as another user, where root can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# An interpreter in the home of root, which nobody else may enter, is shown to the user in mounts of its own.
SCRIPT = """
set -e
user=$1 home=$2 python=$3; shift 3
mount --make-rprivate /
case "$python" in "$home"/*)
    kept=$(mktemp -d)
    mount --bind "$python" "$kept"
    mount -t tmpfs -o mode=755 tmpfs "$home"
    mkdir -p "$python"
    mount --bind "$kept" "$python"
    umount "$kept"
    rmdir "$kept";;
esac
exec setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
"""


def as_user(uid: int) -> list[str]:
    """Return what to put before a command to have it run by a user."""
    if uid == os.geteuid():
        return []
    return ["unshare", "--mount", "bash", "-c", SCRIPT, "bash", str(uid), str(Path.home()), sys.base_prefix]


def can_be(uid: int) -> bool:
    """Say whether programs can be started as a user here."""
    if os.geteuid() != 0:
        return False
    command = [*as_user(uid), sys.executable, "-c", "import agentevo.environments.sandbox"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[4])}
    return subprocess.run(command, capture_output=True, check=False, cwd="/", env=environment).returncode == 0
