"""The self-test, the choice of a tier, the refusal, and a few ways out in every tier, as root and as a user."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from locked_host import on_a_host_that_refuses

import agentevo
from agentevo.environments.sandbox import Limits, Sandbox, SandboxUnavailable
from agentevo.environments.sandbox.probes import failed, probe
from agentevo.environments.sandbox.zygote import Zygote

CHECKOUT = Path(agentevo.__file__).parent.parent


def test_the_self_test_holds_in_the_tier_that_is_used(sandbox: Sandbox) -> None:
    assert {one.name for one in sandbox.probes if one.held} >= {
        "read a file outside", "write a file outside", "connect to a listener", "signal a process outside",
        "trace a process outside", "read /proc/1/environ", "make a user namespace", "use io_uring",
        "raise a capability", "outlive the run",
    }  # fmt: skip
    assert [one for one in sandbox.probes if not one.held] == []


def test_the_self_test_fails_where_there_are_no_walls() -> None:
    zygote = Zygote("unsafe-local")
    try:
        found = failed(probe(zygote))
    finally:
        zygote.close()
    for name in ("read a file outside", "write a file outside", "connect to a listener", "signal a process outside"):
        assert f"{name}: " in found


def test_the_self_test_passes_over_processes_whose_names_are_no_text(sandbox: Sandbox) -> None:
    odd = "import ctypes; ctypes.CDLL(None).prctl(15, b'\\xff\\xfe', 0, 0, 0); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", odd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with Sandbox(tier=sandbox.tier, workers=1) as beside:  # type: ignore[arg-type]
            assert [one for one in beside.probes if not one.held] == []
        other.communicate(b"\n")


def test_a_sandbox_without_walls_must_be_named_and_warns() -> None:
    with pytest.warns(RuntimeWarning, match="without walls"):
        opened = Sandbox(tier="unsafe-local", workers=1)
    with opened:
        assert opened.run("print(open('/etc/hostname').name)").stdout == "/etc/hostname\n"
        assert opened.run("while True: pass", limits=Limits(stretch=1), timeout_s=0.2).kind == "timeout"


OPEN = """
from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
try:
    with Sandbox(workers=1, tier=sys.argv[1] or None) as sandbox:
        print(sandbox.tier, sandbox.run("print(5)").stdout, end="")
except SandboxUnavailable as error:
    print(sorted(error.reasons))
    print(error)
"""


def test_where_no_tier_works_it_refuses_with_every_reason() -> None:
    said = on_a_host_that_refuses("unshare,landlock_create_ruleset", OPEN, "").stdout
    assert said.startswith("['landlock', 'namespaces']\n")
    assert "namespaces: [Errno 1] unshare: Operation not permitted" in said
    assert "landlock: [Errno 1] landlock_create_ruleset: Operation not permitted" in said
    assert "nothing was run" in said


def test_where_namespaces_are_refused_landlock_is_used(sandbox: Sandbox) -> None:
    if sandbox.tier != "landlock":
        pytest.skip("asked once, where Landlock works")
    assert on_a_host_that_refuses("unshare", OPEN, "").stdout == "landlock 5\n"


def test_a_tier_that_is_named_and_does_not_work_is_not_replaced() -> None:
    assert on_a_host_that_refuses("unshare", OPEN, "namespaces").stdout.startswith("['namespaces']\n")


ATTACKS = {
    "read": "print(open('/etc/hostname').read())",
    "list the host": "import os; os.listdir('/home'); os.listdir('/var')",
    "another program": "import subprocess; subprocess.run(['/bin/sh', '-c', 'echo out'], check=True)",
    "any socket": "import socket; socket.socket(socket.AF_UNIX)",
    "abstract socket": "import socket; s = socket.socketpair()[0]; s.bind('\\0out')",
    "end the supervisor": "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(1)\n1/0",
    "interrupt the supervisor": "import os, time\nos.kill(os.getppid(), 2)\ntime.sleep(1)\n1/0",
    "starve the supervisor": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "type into a terminal": "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')",
    "memory file": "import os; os.memfd_create('x')",
    "become someone": "import os; os.setuid(0); os.setgroups([0])",
    "device": "import os, stat; os.mknod('d', stat.S_IFBLK | 0o666, os.makedev(8, 0))",
    "raise a limit": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
    "by handle": "import ctypes, os; os.stat(ctypes.CDLL(None).open_by_handle_at(-100, 0, 0))",
}


@pytest.mark.parametrize("code", ATTACKS.values(), ids=ATTACKS)
def test_a_way_out_is_closed(sandbox: Sandbox, code: str) -> None:
    result = sandbox.run(code, timeout_s=20)
    assert (result.kind, result.exit_status) == ("error", 1)
    assert sandbox.run("print(1)").stdout == "1\n"


@pytest.mark.parametrize("change", ["os.chmod", "os.chown", "os.utime", "os.truncate", "os.link", "os.symlink"])
def test_a_file_outside_is_not_changed_by_any_call(sandbox: Sandbox, change: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    tmp_path.chmod(0o777)
    victim.chmod(0o666)
    before = victim.stat()
    arguments = {
        "os.chmod": f"{str(victim)!r}, 0", "os.chown": f"{str(victim)!r}, 1, 1", "os.utime": f"{str(victim)!r}, (1, 1)",
        "os.truncate": f"{str(victim)!r}, 0", "os.link": f"{str(victim)!r}, 'here'",
        "os.symlink": f"'x', {str(tmp_path / 'new')!r}",
    }  # fmt: skip
    sandbox.run(f"import os\n{change}({arguments[change]})\n")
    assert (victim.read_text(), victim.stat().st_mode, victim.stat().st_mtime) == (
        "kept",
        before.st_mode,
        before.st_mtime,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


def test_disk_hidden_in_deep_or_closed_folders_is_found(sandbox: Sandbox) -> None:
    deep = "import os\nfor _ in range(20):\n    os.mkdir('n' * 200)\n    os.chdir('n' * 200)\n"
    fill = "for n in range(9):\n    with open(str(n), 'wb') as f: f.write(b'x' * 10**6)\nimport time; time.sleep(600)"
    deleted = "import os\nkept = []\nfor n in range(9):\n    kept.append(open(str(n), 'wb'))\n    os.unlink(str(n))\n"
    deleted += "    kept[-1].write(b'x' * 10**6); kept[-1].flush()\nimport time; time.sleep(600)"
    for code in (deep + fill, deleted):
        assert sandbox.run(code, limits=Limits(disk_mb=4)).kind in ("error", "killed")


def test_two_runs_at_once_cannot_reach_each_other(sandbox: Sandbox) -> None:
    code = (
        "import os, time\nopen('secret', 'w').write('mine')\nuntil, seen = time.time() + 1, set()\n"
        "while time.time() < until:\n"
        "    for pid in range(2, 9):\n"
        "        for path in (f'/proc/{pid}/root', f'/proc/{pid}/cwd', f'../../{pid}/work'):\n"
        "            try:\n                os.listdir(path)\n                seen.add(path)\n"
        "            except OSError: pass\n"
        "    time.sleep(0.05)\n"
        "print(seen, sorted(os.listdir('.')))\n"
    )

    async def both() -> list[str]:
        return [one.stdout for one in await asyncio.gather(sandbox.arun(code), sandbox.arun(code))]

    assert asyncio.run(both()) == ["set() ['main.py', 'secret']\n"] * 2


AS_A_USER = """
set -e
python=$(readlink -f "$1"); folder=$(mktemp -d)
mount --make-rprivate /
mkdir "$folder/home"
mount --bind "$HOME" "$folder/home"
mount -t tmpfs -o mode=755 tmpfs "$HOME"
# Only the way to the interpreter is left open in root's home, which users may not enter.
cd "$folder/home"
case "$python" in "$HOME"/*)
    kept=${python#"$HOME"/}; kept=${kept%%/*}
    mkdir "$HOME/$kept"; mount --bind "$folder/home/$kept" "$HOME/$kept";;
esac
cd /
shift
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""
UNREADABLE = """
import os, sys
copy = os.open("copy", os.O_CREAT | os.O_WRONLY, 0o111)
os.write(copy, open(sys.executable, "rb").read())
os.close(copy)
code = "import os, time\\nfor n in range(8):\\n    f = os.open('f', os.O_CREAT | os.O_RDWR); os.unlink('f')\\n"
code += "    for _ in range(6): os.write(f, bytes(1 << 20))\\ntime.sleep(600)"
found = {"PYTHONHOME": sys.base_prefix, "LD_LIBRARY_PATH": sys.base_prefix + "/lib"}
os.execve("./copy", ["copy", "-I", "-S", "-c", code], found)
"""
"""Becomes a program that it may run and not read: what that holds, nobody of its user can see."""
PROGRAM = f"""
import os
from agentevo.environments.sandbox import Limits, Sandbox
UNREADABLE = {UNREADABLE!r}
from agentevo.environments.sandbox.sandbox import CHOSEN
assert os.getuid() == 65534
for tier in CHOSEN:
    with Sandbox(tier=tier, workers=2) as sandbox:
        assert sandbox.run("print(1)").stdout == "1\\n"
        bomb = "import os, time\\ntry:\\n  while os.fork(): pass\\n  time.sleep(60)\\nexcept OSError: print('no')"
        assert sandbox.run(bomb).stdout == "no\\n"
        hidden = sandbox.run(UNREADABLE, limits=Limits(disk_mb=40, open_files=16))
        assert hidden.stdout == "" and hidden.kind in ("killed", "error"), hidden
        verdict = sandbox.judge("def f(x): return x", "def check(candidate):\\n    assert candidate(1) == 1", "f")
        print(tier, verdict.passed, all(one.held for one in sandbox.probes))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are run as an ordinary user already")
def test_both_tiers_work_for_an_ordinary_user() -> None:
    shell = ["unshare", "--mount", "bash", "-c", AS_A_USER, "bash", sys.executable]
    tried = subprocess.run([*shell, sys.executable, "-c", ""], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"privileges cannot be dropped here: {tried.stderr.strip()[-200:]}")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "HOME": os.environ.get("HOME", "/root")}
    done = subprocess.run(
        [*shell, "env", "HOME=/tmp", sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, env=environment, cwd="/", check=False,
    )  # fmt: skip
    assert done.stdout == "namespaces True True\nlandlock True True\n", done.stderr


def test_a_refusal_names_what_helps() -> None:
    error = SandboxUnavailable({"namespaces": "no"})
    assert (error.reasons, 'tier="unsafe-local"' in str(error)) == ({"namespaces": "no"}, True)
