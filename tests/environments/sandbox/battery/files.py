"""Attacks on files: read, change or make something outside of the sandbox."""

from __future__ import annotations

from battery.program import Program

AREA = "files"

READS = {
    "read by its full name": "print(open(HERE + '/secret').read())",
    "read by a relative name": "print(open('../' * 30 + HERE + '/secret').read())",
    "read through a symbolic link": "os.symlink(HERE + '/secret', 'link'); print(open('link').read())",
    "read through a linked folder": "os.symlink(HERE, 'folder'); print(open('folder/secret').read())",
    "read through a hard link": "os.link(HERE + '/secret', 'hard'); print(open('hard').read())",
    "read from the root of process 1": "print(open('/proc/1/root' + HERE + '/secret').read())",
    "read from its own root": "print(open('/proc/self/root' + HERE + '/secret').read())",
    "read from the root of a victim": "print(open(f'/proc/{VICTIM}/root{HERE}/secret').read())",
    "read from the working folder of its parent": (
        "up = f'/proc/{os.getppid()}/cwd/' + '../' * 30\nprint(open(up + HERE + '/secret').read())"
    ),
    "list a folder": "print(os.listdir(HERE), glob.glob(HERE + '/*'))",
    "walk from the root": (
        "for folder, folders, files in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if f not in ('proc', 'sys', 'usr', 'lib', 'nix', 'dev')]\n"
        "    folders[:] = [f for f in folders if HERE.startswith(os.path.join(folder, f)) or folder.startswith(HERE)]\n"
        "    for file in files:\n        print(file); print(quietly(lambda: open(os.path.join(folder, file)).read()))"
    ),
    "map into memory": (
        "fd = os.open(HERE + '/secret', os.O_RDONLY)\nprint(mmap.mmap(fd, 39, prot=mmap.PROT_READ)[:])"
    ),
    "send from file to file": (
        "inside = os.open('copy', os.O_RDWR | os.O_CREAT)\noutside = os.open(HERE + '/secret', os.O_RDONLY)\n"
        "os.sendfile(inside, outside, 0, 100); print(os.pread(inside, 100, 0))"
    ),
    "copy a range": (
        "inside = os.open('copy', os.O_RDWR | os.O_CREAT)\noutside = os.open(HERE + '/secret', os.O_RDONLY)\n"
        "os.copy_file_range(outside, inside, 39); print(os.pread(inside, 100, 0))"
    ),
    "openat2": (
        "how = (ctypes.c_uint64 * 3)(0, 0, 0)\nfd = call(437, -100, (HERE + '/secret').encode(), how, 24)\n"
        "print(os.read(fd, 100))"
    ),
    "open by handle": (
        "handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128)); where = ctypes.c_int()\n"
        "print(call(303, -100, (HERE + '/secret').encode(), handle, ctypes.byref(where), 0))\n"
        "for start in [os.open(p, os.O_RDONLY) for p in ('/', '.', HERE) if os.path.isdir(p)]:\n"
        "    for inode in [HOST['inode']]:\n"
        "        fake = ctypes.create_string_buffer(struct.pack('IiII', 8, 1, inode, 0) + bytes(128))\n"
        "        for one in (handle, fake):\n            fd = call(304, start, one, 0)\n"
        "            if fd >= 0: print(os.read(fd, 100))"
    ),
    "leave a changed root": (
        "os.mkdir('jail'); top = os.open('/', os.O_RDONLY); os.chroot('jail'); os.fchdir(top)\n"
        "for _ in range(40): os.chdir('..')\nos.chroot('.'); print(open(HERE + '/secret').read())"
    ),
    "chroot to process 1": "os.chroot('/proc/1/root'); print(open(HERE + '/secret').read())",
    "join the mounts of process 1": (
        "fd = os.open('/proc/1/ns/mnt', os.O_RDONLY); print(libc.setns(fd, 0)); print(open(HERE + '/secret').read())"
    ),
    "take the root with new namespaces": (
        "print(call(272, 0x10020000)); os.mkdir('m'); libc.mount(b'/', b'm', None, 0x5000, None)\n"
        "libc.mount(HERE.encode(), b'm', None, 0x5000, None)\nfor p in ('m' + HERE, 'm'):\n"
        "    print(quietly(lambda: open(p + '/secret').read()))"
    ),
    "a child of another interpreter": (
        "print(subprocess.run([sys.executable or '/usr/bin/python3', '-c', "
        "f'print(open({HERE + \"/secret\"!r}).read())'], capture_output=True))"
    ),
    "a copy of the interpreter in memory": (
        "fd = os.memfd_create('x', 0); os.write(fd, open(sys.executable, 'rb').read())\n"
        "os.execve(fd, ['python', '-c', f'print(open({HERE + \"/secret\"!r}).read())'], {})"
    ),
    "a shell": "os.system(f'cat {HERE}/secret')",
}

WRITES = {
    "overwrite": "open(HERE + '/target', 'w').write('changed')",
    "append": "open(HERE + '/target', 'a').write('changed')",
    "truncate": "os.truncate(HERE + '/target', 0)",
    "delete": "os.unlink(HERE + '/target')",
    "delete the folder": "import shutil; shutil.rmtree(HERE)",
    "rename": "os.rename(HERE + '/target', HERE + '/other')",
    "move over it": "open('mine', 'w').write('x'); os.rename('mine', HERE + '/target')",
    "change its mode": "os.chmod(HERE + '/target', 0o777)",
    "change its owner": "os.chown(HERE + '/target', 12345, 12345)",
    "change its times": "os.utime(HERE + '/target', (1, 1))",
    "set an attribute": "os.setxattr(HERE + '/target', 'user.changed', b'1')",
    "write through a map": (
        "fd = os.open(HERE + '/target', os.O_RDWR)\nm = mmap.mmap(fd, 4); m[:4] = b'evil'; m.flush()"
    ),
    "make a file": "open(HERE + '/new', 'w').write('x')",
    "make a folder": "os.mkdir(HERE + '/new')",
    "make a pipe": "os.mkfifo(HERE + '/new')",
    "make a device": "os.mknod(HERE + '/new', 0o20666, os.makedev(1, 3))",
    "make a socket": "socket.socket(socket.AF_UNIX).bind(HERE + '/new')",
    "make a link": "os.symlink('/', HERE + '/new')",
    "link out": "os.link(HERE + '/target', 'mine'); open('mine', 'w').write('changed')",
    "a core dump into it": (
        "quietly(os.chdir, HERE); quietly(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))\nos.abort()"
    ),
    "write through the root of process 1": "open('/proc/1/root' + HERE + '/target', 'w').write('changed')",
    "a setuid program in it": ("open(HERE + '/new', 'wb').write(b'#!/bin/sh'); os.chmod(HERE + '/new', 0o4755)"),
    "memory of the machine": "open('/dev/shm/' + HOST['tag'], 'w').write('x')",
    "a file in the folder for temporary files": "open('/var/tmp/' + HOST['tag'], 'w').write('x')",
}

INHERITED = {
    "read what was inherited": (
        "for fd in range(3, 1024):\n    quietly(lambda: grep(os.pread(fd, 4096, 0)))\n"
        "    quietly(lambda: grep(os.read(os.open(f'/proc/self/fd/{fd}', 0), 4096)))"
    ),
    "write to what was inherited": (
        "for fd in range(3, 1024):\n    quietly(os.write, fd, b'changed')"
    ),
    "reopen what was inherited for writing": (
        "for fd in range(3, 1024):\n    quietly(lambda: os.write(os.open(f'/proc/self/fd/{fd}', 1), b'changed'))"
    ),
}  # fmt: skip

MOUNTS = {  # these would change the mounts of the machine itself
    "unmount what hides it": (
        "if HOST['tier'] == 'namespaces':\n"
        "    for p in (b'/', HERE.encode(), b'/tmp', b'/proc', b'/dev'): libc.umount2(p, 2)\n"
        "print(open(HERE + '/secret').read())"
    ),
    "open_tree and move_mount": (
        "os.mkdir('m'); fd = call(428, -100, HERE.encode(), 1 | 0x8000)\n"
        "print(call(429, fd, b'', -100, b'm', 4)); print(open('m/secret').read())"
    ),
    "mount the disk of the machine": (
        "for number in range(40):\n"
        "    device = os.makedev(254 if number < 20 else 8, number % 20)\n"
        "    quietly(os.mknod, f'd{number}', 0o60600, device); os.mkdir(f'm{number}')\n"
        "    for kind in (b'ext4', b'xfs', b'btrfs'):\n"
        "        if libc.mount(f'd{number}'.encode(), f'm{number}'.encode(), kind, 1, None) == 0:\n"
        "            print(quietly(lambda: open(f'm{number}{HERE}/secret').read()))"
    ),
}

PROGRAMS = [
    *(Program(name, AREA, code) for group in (READS, WRITES, INHERITED) for name, code in group.items()),
    *(Program(name, AREA, code, bare=False) for name, code in MOUNTS.items()),
]
