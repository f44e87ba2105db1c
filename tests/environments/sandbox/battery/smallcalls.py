"""Calls of the kernel by another door: as a 32-bit program makes them."""

from __future__ import annotations

# Machine code that calls the kernel as a 32-bit program does: a number and three arguments. What they point to lies
# below 4 GB.
SMALL_CALLS = """
low = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
def address(of): return ctypes.addressof(ctypes.c_char.from_buffer(of))
def put(data, at): low[at:at + len(data)] = data; return address(low) + at
text = mmap.mmap(-1, 4096, prot=7)
text.write(bytes.fromhex("53 89f8 89f3 87ca cd80 5b c3"))
small = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int] * 4)(address(text))
"""
