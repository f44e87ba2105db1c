"""Attacks over the network: reach a listener of the machine, or be reached from it."""

# ruff: noqa: E501  # a program stands on one line, as long as it is

from __future__ import annotations

from battery.program import Program
from battery.smallcalls import SMALL_CALLS

AREA = "network"

PROGRAMS = [
    Program(name, AREA, code)
    for name, code in {
        "connect by TCP": "socket.create_connection(('127.0.0.1', HOST['tcp'])).send(b'x')",
        "connect by its address of version 6": "socket.create_connection(('::1', HOST['tcp6'])).send(b'x')",
        "connect without waiting": (
            "s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', HOST['tcp'])); time.sleep(0.2)"
        ),
        "data in the first packet": (
            "s = socket.socket(); s.sendto(b'x', 0x20000000, ('127.0.0.1', HOST['tcp']))"
        ),
        "multipath TCP": "s = socket.socket(2, 1, 262); s.connect(('127.0.0.1', HOST['tcp'])); s.send(b'x')",
        "a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', HOST['udp']))",
        "a raw datagram": (
            "s = socket.socket(2, socket.SOCK_RAW, socket.IPPROTO_UDP)\n"
            "s.sendto(struct.pack('!HHHH', 9, HOST['udp'], 9, 0) + b'x', ('127.0.0.1', 0))"
        ),
        "a broadcast": (
            "s = socket.socket(type=socket.SOCK_DGRAM); s.setsockopt(1, 6, 1)\n"
            "s.sendto(b'x', ('127.255.255.255', HOST['udp']))"
        ),
        "a datagram to all addresses": (
            "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('0.0.0.0', HOST['udp']))"
        ),
        "a name looked up": "socket.create_connection(('localhost', HOST['tcp'])).send(b'x')",
        "a web request": (
            "import urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{HOST[\"tcp\"]}/', timeout=0.3)"
        ),
        "asyncio": (
            "import asyncio\nasync def go(): await asyncio.open_connection('127.0.0.1', HOST['tcp'])\nasyncio.run(go())"
        ),
        "the shell's own": "os.execv('/bin/bash', ['bash', '-c', f'echo x > /dev/tcp/127.0.0.1/{HOST[\"tcp\"]}'])",
        "an abstract socket": "socket.socket(socket.AF_UNIX).connect('\\0' + HOST['abstract'])",
        "an abstract datagram": (
            "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0' + HOST['abstract'] + 'd')"
        ),
        "a socket in a folder": "socket.socket(socket.AF_UNIX).connect(HERE + '/socket')",
        "a socket through the root of process 1": (
            "socket.socket(socket.AF_UNIX).connect(f'/proc/1/root{HERE}/socket')"
        ),
        "be connected to": (
            "s = socket.create_server(('127.0.0.1', HOST['back'])); s.settimeout(1.5); c = s.accept()[0]\n"
            "c.recv(1); c.send(b'x')"
        ),
        "be connected to by an abstract socket": (
            "s = socket.socket(socket.AF_UNIX); s.bind('\\0' + HOST['abstract'] + 'b'); s.listen(); s.settimeout(1.5)\n"
            "s.accept()[0].send(b'x')"
        ),
        "join the network of process 1": (
            "print(libc.setns(os.open('/proc/1/ns/net', 0), 0))\n"
            "socket.create_connection(('127.0.0.1', HOST['tcp']))"
        ),
        "join the network of a victim": (
            "fd = os.pidfd_open(VICTIM); print(libc.setns(fd, 0x40000000))\n"
            "socket.create_connection(('127.0.0.1', HOST['tcp']))"
        ),
        "from a thread": (
            "t = threading.Thread(target=lambda: socket.create_connection(('127.0.0.1', HOST['tcp'])))\n"
            "t.start(); t.join()"
        ),
        "through every socket inherited": (
            "for fd in range(3, 256):\n"
            "    try: s = socket.socket(fileno=os.dup(fd))\n    except OSError: continue\n"
            "    quietly(s.connect, ('127.0.0.1', HOST['tcp'])); quietly(s.connect, '\\0' + HOST['abstract'])\n"
            "    quietly(s.send, b'changed')"
        ),
        "by calls of 32 bits": SMALL_CALLS + (
            "fd = small(359, 2, 1, 0)\n"
            "small(362, fd, put(struct.pack('<HH', 2, socket.htons(HOST['tcp'])) + bytes([127, 0, 0, 1]) + bytes(8), 0), 16)"
        ),
        "by the one socket call of 32 bits": SMALL_CALLS + (
            "fd = small(102, 1, put(struct.pack('<3I', 1, 1, 0), 0), 0)\n"
            "name = b'\\0' + HOST['abstract'].encode()\n"
            "at = put(struct.pack('<H', 1) + name, 64)\n"
            "small(102, 3, put(struct.pack('<3I', fd, at, 2 + len(name)), 256), 0)"
        ),
        "by calls of x32": (
            "fd = call(0x40000000 + 41, 2, 1, 0)\n"
            "call(0x40000000 + 42, fd, struct.pack('<HH', 2, socket.htons(HOST['tcp'])) + bytes([127, 0, 0, 1, *bytes(8)]), 16)"
        ),
        "by a ring of requests": (
            "params = ctypes.create_string_buffer(120); ring = call(425, 8, params, 0)\n"
            "if ring >= 0:\n"
            "    features = struct.unpack_from('<10I', params.raw)\n"
            "    so = struct.unpack_from('<8I', params.raw, 40)\n"
            "    sq = mmap.mmap(ring, so[6] + 4 * features[0]); sqes = mmap.mmap(ring, 64 * features[0], offset=0x10000000)\n"
            "    s = socket.socket(socket.AF_UNIX); name = b'\\1\\0\\0' + HOST['abstract'].encode()\n"
            "    kept = ctypes.create_string_buffer(name, len(name))\n"
            "    sqes[:64] = struct.pack('<BBHiQQI', 16, 0, 0, s.fileno(), len(name), ctypes.addressof(kept), 0).ljust(64, b'\\0')\n"
            "    sq[so[6]:so[6] + 4] = struct.pack('<I', 0); sq[so[1]:so[1] + 4] = struct.pack('<I', 1)\n"
            "    print(call(426, ring, 1, 1, 1, 0, 0)); time.sleep(0.2)"
        ),
    }.items()
]  # fmt: skip
