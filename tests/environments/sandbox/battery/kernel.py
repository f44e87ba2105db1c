"""Attacks on interfaces of the kernel: what the machine can see a process hold, change or be.

A process named for the tag and "A" does nothing, one named for the tag and "B" does what is tested: whoever watches from
outside compares the two.
"""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from battery.program import Program
from battery.smallcalls import SMALL_CALLS

AREA = "kernel"
SIDE_BY_SIDE = "children(1, lambda n: (name(HOST['tag'] + 'A'), time.sleep(0.7)))\nname(HOST['tag'] + 'B')\n"
HOLD = "\ntime.sleep(0.5)"
RAISE = "r = resource.{which}\nfor most in (-1, resource.getrlimit(r)[1]): quietly(resource.setrlimit, r, (most, most))"

CHANGED = {
    "a user namespace": "call(272, 0x10000000)",
    "a user namespace within another": "call(272, 0x10000000), call(272, 0x10000000)",
    "a network of its own": "call(272, 0x40000000)",
    "mounts of its own": "call(272, 0x20000)",
    "a host name of its own": "call(272, 0x4000000)",
    "all namespaces at once": "call(272, 0x7e020000)",
    "a cgroup namespace": "call(272, 0x2000000)",
    "namespaces by a call of 32 bits": SMALL_CALLS + "small(310, 0x10000000, 0, 0)",
    "namespaces by x32": "call(0x40000000 + 272, 0x10000000)",
    "a child in other namespaces": "pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "a child in other namespaces, by the newest call": (
        "args = struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0); call(435, args, 64)"
    ),
    "the namespaces of process 1": "[libc.setns(os.open('/proc/1/ns/' + n, 0), 0) for n in ('user', 'ipc', 'uts', 'mnt')]",
    "the namespaces of a victim": "libc.setns(os.pidfd_open(VICTIM), 0x10000000 | 0x20000)",
    "more memory": RAISE.format(which="RLIMIT_AS"),
    "more memory, set from a child": (
        "up = os.getpid(); children(1, lambda n: resource.prlimit(up, resource.RLIMIT_AS, (-1, -1)))"
    ),
    "more processes": RAISE.format(which="RLIMIT_NPROC"),
    "more open files": RAISE.format(which="RLIMIT_NOFILE"),
    "larger files": RAISE.format(which="RLIMIT_FSIZE"),
    "larger limits by a call of 32 bits": SMALL_CALLS + "small(75, 1, put(b'\\xff' * 8, 0), 0)",
    "core dumps": RAISE.format(which="RLIMIT_CORE"),
    "capabilities": (
        "head = ctypes.create_string_buffer(struct.pack('II', 0x20080522, 0), 8)\n"
        "libc.capset(head, ctypes.create_string_buffer(b'\\xff' * 24, 24))"
    ),
    "another user": "os.setresuid(1234, 1234, 1234)",
    "the user root": "quietly(os.setgroups, []); os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)",
    "another group": "os.setgroups([0, 4, 6])",
    "a higher priority": "os.nice(-10)",
    "real-time scheduling": "os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))",
    "being spared when memory is short": "open('/proc/self/oom_score_adj', 'w').write('-900')",
    "a new cgroup": (
        "os.mkdir('/sys/fs/cgroup/' + HOST['tag']); "
        "open(f'/sys/fs/cgroup/{HOST[\"tag\"]}/cgroup.procs', 'w').write(str(os.getpid()))"
    ),
    "another personality": "libc.personality(0x0400000 | 0x0040000)",
    "a seccomp filter taken off": "libc.prctl(22, 0, 0, 0, 0)",
    "a listener of system calls": (
        "filter = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000), 8)\n"
        "prog = struct.pack('HxxxxxxQ', 1, ctypes.addressof(filter)); call(317, 1, 8, prog)"
    ),
}

HELD = {
    "a ring of requests": "call(425, 8, ctypes.create_string_buffer(120), 0)",
    "a ring of requests by a call of 32 bits": SMALL_CALLS + "small(425, 8, put(bytes(120), 0), 0)",
    "a map of programs in the kernel": "call(321, 0, struct.pack('IIIII', 1, 4, 4, 4, 0) + bytes(100), 72)",
    "a program in the kernel": (
        "code = ctypes.create_string_buffer(bytes.fromhex('b7000000000000009500000000000000'), 16); gpl = ctypes.create_string_buffer(b'GPL')\n"
        "print(call(321, 5, struct.pack('IIQQ', 1, 2, ctypes.addressof(code), ctypes.addressof(gpl)) + bytes(100), 72))"
    ),
    "a counter of events": "call(298, struct.pack('IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0)",
    "a counter of a victim's events": "call(298, struct.pack('IIQ', 1, 112, 0) + bytes(96), VICTIM, -1, -1, 0)",
    "handling faults of pages": "[call(323, 0o2000000 | flag) for flag in (0, 1)]",
    "handling faults by a device": "os.open('/dev/userfaultfd', os.O_RDWR)",
    "watching all files": "libc.fanotify_init(0x200, 0)",
    "watching a folder": "fd = libc.inotify_init(); print(libc.inotify_add_watch(fd, HERE.encode(), 0xfff))",
    "a file system to be": "call(430, b'tmpfs', 0)",
    "the memory of the machine": "os.open('/dev/mem', os.O_RDONLY)",
    "the ports of the machine": "os.open('/dev/port', os.O_RDONLY)",
    "the disks of the machine": "[quietly(os.open, d, 0) for d in glob.glob('/dev/[vs]d*') + glob.glob('/dev/nvme*')]",
    "virtual machines": "os.open('/dev/kvm', os.O_RDWR)",
    "file systems by programs": "os.open('/dev/fuse', os.O_RDWR)",
    "tunnels": "os.open('/dev/net/tun', os.O_RDWR)",
    "messages of the kernel": "os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)",
    "memory of the kernel": "os.open('/proc/kcore', os.O_RDONLY)",
    "the terminals of the machine": "os.open('/dev/tty0', os.O_RDONLY | os.O_NOCTTY)",
}

SHARED = {
    "a key for the session": "call(248, b'user', HOST['tag'].encode(), b'x', 1, -3); time.sleep(0.3)",
    "a key for the user": "call(248, b'user', HOST['tag'].encode(), b'x', 1, -4)",
    "a key by a call of 32 bits": SMALL_CALLS
    + "small(286, put(b'user\\0', 0), put(HOST['tag'].encode() + b'\\0', 64), 0); call(248, b'user', HOST['tag'].encode(), b'x', 1, -5)",
    "a ring of keys": "call(250, 1, HOST['tag'].encode()); time.sleep(0.3)",
    "typing into a terminal": (
        "import fcntl\nfd = os.open(HOST['terminal'], os.O_RDWR | os.O_NOCTTY)\nfcntl.ioctl(fd, 0x5412, b'x')"
    ),
    "writing on a terminal": "os.write(os.open(HOST['terminal'], os.O_RDWR | os.O_NOCTTY), b'x')",
    "typing into its own terminal": "import fcntl\nfor fd in (0, 1, 2): quietly(fcntl.ioctl, fd, 0x5412, b'x')\n"
    "fcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')",
    "reading shared memory": (
        "libc.shmat.restype = ctypes.c_void_p\nat = libc.shmat(libc.shmget(HOST['key'], 0, 0), 0, 0o10000)\n"
        "print(ctypes.string_at(at, 64))"
    ),
    "writing shared memory": (
        "libc.shmat.restype = ctypes.c_void_p\nat = libc.shmat(libc.shmget(HOST['key'], 0, 0o600), 0, 0)\n"
        "ctypes.memmove(at, b'changed', 7)"
    ),
    "leaving shared memory": "print(libc.shmget(HOST['key'] + 1, 4096, 0o1666))",
    "leaving a queue of messages": "print(libc.msgget(HOST['key'] + 1, 0o1666))",
    "leaving semaphores": "print(libc.semget(HOST['key'] + 1, 1, 0o1666))",
    "leaving semaphores by a call of 32 bits": SMALL_CALLS + "print(small(393, HOST['key'] + 1, 1, 0o1666))",
    "leaving a named queue": "print(call(240, HOST['tag'].encode(), 0o102, 0o666, 0))",
    "a lock on a file outside": "import fcntl\nfcntl.flock(os.open(HERE + '/target', os.O_RDWR), 2); time.sleep(0.5)",
}

MACHINE = {  # these would change the machine itself
    "the name of the machine": "libc.sethostname(HOST['tag'].encode(), len(HOST['tag']))",
    "the name of the machine as a file": "open('/proc/sys/kernel/hostname', 'w').write(HOST['tag'])",
    "accounts of all processes": "print(libc.acct((HERE + '/target').encode()))",
}

PROGRAMS = [
    *(
        Program(name, AREA, f"{SIDE_BY_SIDE}print(quietly(lambda: exec({code!r}, globals()))){HOLD}")
        for name, code in CHANGED.items()
    ),
    *(
        Program(
            name,
            AREA,
            f"print(quietly(lambda: exec({'kept = ' + code!r}, globals()))){HOLD}"
            if "\n" not in code and "; " not in code
            else code + HOLD,
        )
        for name, code in HELD.items()
    ),
    *(Program(name, AREA, code) for name, code in SHARED.items()),
    *(Program(name, AREA, code, bare=False) for name, code in MACHINE.items()),
]
