"""Splitting a long text into chunks that can be read alone, without losing a character of it.

A chunk ends where the text does: before a heading, else between paragraphs, else after a sentence, else between
words. A code block in fences is never split, nor is a word that fits a chunk; a longer run without spaces is cut
between characters as a reader sees them.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.memory.admit import MAX_TEXT

SIZE = 1_000
OVERLAP = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a text. Without its first `overlap` characters, which the chunk before ends with, chunks add up to it."""

    text: str
    overlap: int
    heading: str
    """The headings above it, the outermost first: "Guide > Install"."""
    first_line: int
    last_line: int


def split(text: str, *, size: int = SIZE, overlap: int = OVERLAP, headings: bool = True) -> list[Chunk]:
    """Return a text as chunks of up to `size` characters; only a code block, which is never split, may be longer.

    headings=False is for source code, where a line that begins with # is no heading.
    """
    if not 0 <= overlap < size:
        raise Misuse(f"overlap is {overlap} and size {size}; expected 0 <= overlap < size")
    sections = list(_sections(text, headings))
    if len(text) <= size:
        return [_chunk(text, 0, len(text), 0, sections[0].heading if sections else "")] if text else []
    chunks, line, counted = [], 1, 0
    for section, start, end in _packed(text, sections, size - overlap):
        line, counted = line + text.count("\n", counted, start), start
        repeated = 0 if section.start == start else _overlap(text, section, start, overlap)
        chunks.append(_chunk(text, start, end, repeated, section.heading, line))
    return chunks


def _chunk(text: str, start: int, end: int, repeated: int, heading: str, line: int = 1) -> Chunk:
    last = line + text.count("\n", start, start + len(text[start:end].rstrip()))
    return Chunk(text[start - repeated : end], repeated, heading, line, last)


# --- where a text may end


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands under one heading, with the heading; `blocks` are its paragraphs and code blocks."""

    heading: str
    start: int
    blocks: list[_Block]


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int
    kind: str  # "heading", "fence" or "paragraph"
    title: str = ""
    level: int = 0


def _sections(text: str, headings: bool) -> Iterator[_Section]:
    """Yield the sections of a text, which together are all of it."""
    path: list[tuple[int, str]] = []
    blocks: list[_Block] = []
    for block in _blocks(text, headings):
        if block.kind == "heading":
            if blocks and blocks[-1].kind != "heading":
                yield _Section(_named(path), blocks[0].start, blocks)
                blocks = []
            path = [*((level, title) for level, title in path if level < block.level), (block.level, block.title)]
        blocks.append(block)
    if blocks:
        yield _Section(_named(path), blocks[0].start, blocks)


def _named(path: Sequence[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path if title)


_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_LONGEST_TITLE = 120
_UNDERLINE = re.compile(r" {0,3}(={3,}|-{3,})[ \t]*$")


def _blocks(text: str, headings: bool) -> Iterator[_Block]:
    """Yield paragraphs, headings and code blocks; the blank lines after one belong to it."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    offsets = [0, *itertools.accumulate(map(len, lines))]
    fences = _fences(lines)
    n = 0
    while n < len(lines):
        first, kind, title, level = n, "paragraph", "", 0
        heading = _heading(lines, n) if headings else None
        if first in fences:
            n = fences[first]
            kind = "fence" if offsets[n] - offsets[first] <= MAX_TEXT else "paragraph"
        elif heading is not None:
            kind, (level, title, height) = "heading", heading
            n += height
        else:
            n = _paragraph_end(lines, n, fences, headings)
        while n < len(lines) and not lines[n].strip():
            n += 1
        yield _Block(offsets[first], offsets[n], kind, title, level)


def _fences(lines: Sequence[str]) -> dict[int, int]:
    """Return the lines on which code blocks begin, with the line after each; one that is never closed is none."""
    found: dict[int, int] = {}
    opened, mark = -1, ""
    for n, line in enumerate(lines):
        if opened < 0:
            if fence := _FENCE.match(line.rstrip()):
                opened, mark = n, fence[1]
        elif line.strip() and set(line.strip()) == {mark[0]} and len(line.strip()) >= len(mark):
            found[opened] = n + 1
            opened = -1
    return found


def _heading(lines: Sequence[str], n: int) -> tuple[int, str, int] | None:
    """Return the level, title and number of lines of a heading that begins on this line, or None."""
    line = lines[n].rstrip()
    if found := _HEADING.match(line):
        return len(found[1]), found[2], 1
    below = lines[n + 1].rstrip() if n + 1 < len(lines) else ""
    if line.strip() and len(line) <= _LONGEST_TITLE and _UNDERLINE.match(below):
        return (1 if "=" in below else 2), line.strip(), 2
    return None


def _paragraph_end(lines: Sequence[str], n: int, fences: dict[int, int], headings: bool) -> int:
    n += 1
    while n < len(lines) and lines[n].strip() and n not in fences:
        if headings and _heading(lines, n) is not None:
            break
        n += 1
    return n


# --- putting it together


def _packed(text: str, sections: Sequence[_Section], room: int) -> Iterator[tuple[_Section, int, int]]:
    """Yield spans that fit; a short section joins the one before, a heading stays with what follows it."""
    span: tuple[_Section, int, int] | None = None
    for section in sections:
        for start, end in _pieces(text, section, room):
            if span is None:
                span = (section, start, end)
            elif end - span[1] <= room and (section is span[0] or _is_short(span, room)):
                span = (span[0], span[1], end)
            else:
                yield span
                span = (section, start, end)
    if span is not None:
        yield span


def _is_short(span: tuple[_Section, int, int], room: int) -> bool:
    """Say whether a span is a whole section, and so short that the next one may join it."""
    section, start, end = span
    return start == section.start and end - start < room // 4


def _pieces(text: str, section: _Section, room: int) -> Iterator[tuple[int, int]]:
    """Yield the smallest spans a section is packed from; headings are joined to the piece after them."""
    held: int | None = None
    for block in section.blocks:
        if block.kind == "heading" and block.end - block.start <= room // 2:
            held = block.start if held is None else held
            continue
        for start, end in _cut(text, block, room):
            begin, held = (start if held is None else held), None
            if begin == start or block.kind == "fence" or end - begin <= room:
                yield begin, end
            elif (fitting := _last_end(text, start, min(end, begin + room))) > start:
                yield begin, fitting
                yield fitting, end
            else:
                yield from _cut(text, _Block(begin, start, "paragraph"), room)
                yield start, end
    if held is not None:
        yield from _cut(text, _Block(held, section.blocks[-1].end, "paragraph"), room)


_SENTENCE = re.compile(r"(?:[.!?…]['\")\]»”’]*\s+|[。！？｡]['\")\]」』”]*\s*|\n\s*)")
_WORD = re.compile(r"\S+\s*|\s+")


def _last_end(text: str, start: int, end: int) -> int:
    """Return where the last sentence, else the last word, ends that is over before `end`; `start` if none is."""
    for pattern in (_SENTENCE, _WORD):
        ends = [found.end() for found in pattern.finditer(text, start, end) if found.end() < end]
        if ends:
            return ends[-1]
    return start


def _cut(text: str, block: _Block, room: int) -> Iterator[tuple[int, int]]:
    """Yield a block in pieces that fit: whole, else by sentences, else by words, else by characters."""
    if block.kind == "fence" or block.end - block.start <= room:
        yield block.start, block.end
        return
    start = block.start
    ends = [found.end() for found in _SENTENCE.finditer(text, block.start, block.end)]
    for end in [*ends, block.end]:
        if end - start > room:
            yield from _by_words(text, start, end, room)
        elif end > start:
            yield start, end
        start = max(start, end)


def _by_words(text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
    begun = start
    for word in _WORD.finditer(text, start, end):
        if word.end() - begun <= room:
            continue
        if begun < word.start():
            yield begun, word.start()
        begun = word.start()
        while word.end() - begun > room:
            cut = _between_characters(text, begun + 1, begun + room)
            yield begun, cut
            begun = cut
    if begun < end:
        yield begun, end


def _between_characters(text: str, earliest: int, latest: int) -> int:
    """Return the last place up to `latest` where no character, as a reader sees it, is torn; else `latest`."""
    place = latest
    while place > earliest and _is_inside(text, place):
        place -= 1
    return latest if _is_inside(text, place) else place


_JOINER = "\u200d"


def _is_inside(text: str, at: int) -> bool:
    """Say whether the characters around a place are seen as one: accents, joined emoji, flags, Hangul, line ends."""
    before, after = text[at - 1], text[at]
    code = ord(after)
    if unicodedata.category(after).startswith("M") or _JOINER in (before, after) or before + after == "\r\n":
        return True
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F or 0x1160 <= code <= 0x11FF:
        return True
    return _is_flag(before) and _is_flag(after) and _flags_before(text, at) % 2 == 1


def _is_flag(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF


def _flags_before(text: str, at: int) -> int:
    first = at
    while first > 0 and _is_flag(text[first - 1]):
        first -= 1
    return at - first


def _overlap(text: str, section: _Section, start: int, most: int) -> int:
    """Return how many characters before a chunk it repeats: whole words of the same section, and none of its code."""
    block = section.blocks[bisect.bisect_left(section.blocks, start, key=lambda block: block.start) - 1]
    if block.kind != "paragraph" or most == 0:
        return 0
    earliest = max(block.start, start - most)
    if earliest == block.start:
        return start - earliest
    tail = text[earliest - 1 : start]
    ends = [found.end() for found in _SENTENCE.finditer(tail)] + [found.end() for found in re.finditer(r"\s+", tail)]
    usable = [end for end in ends if 0 < end < len(tail)]
    return len(tail) - usable[0] if usable else 0
