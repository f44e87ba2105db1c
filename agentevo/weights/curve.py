"""The loss of a training as a picture: an SVG, written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias
from xml.sax.saxutils import escape

Points: TypeAlias = Sequence[tuple[int, float]]
"""Step and loss."""

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 620, 36, 280
_GRID = 4
_AVERAGED = 10
"""A tenth of the points goes into each mean of the thick line."""


def curve(points: Points, title: str) -> str:
    """Return a picture of the loss by step: each step thin, their moving mean thick."""
    drawn = [(step, loss) for step, loss in points if math.isfinite(loss)]
    last = max((step for step, _ in drawn), default=0) or 1
    most = max((loss for _, loss in drawn), default=0.0) or 1.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, _TOP - 16, "start", title),
        *(line for i in range(_GRID + 1) for line in _marks(i / _GRID, last, most)),
        _path(drawn, last, most, 'stroke="#9db4d0" stroke-width="1"'),
        _path(_means(drawn), last, most, 'stroke="#1f4e8c" stroke-width="2"'),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _marks(share: float, last: int, most: float) -> list[str]:
    """Return one line of the grid, and what it stands for on both axes."""
    x, y = _at(share * last, share * most, last, most)
    return [
        f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}" stroke="#dddddd"/>',
        _text(_LEFT - 8, y + 4, "end", f"{share * most:.3g}"),
        _text(x, _BOTTOM + 20, "middle", f"{share * last:.0f}"),
    ]


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _path(points: Points, last: int, most: float, style: str) -> str:
    drawn = " ".join("{:.1f},{:.1f}".format(*_at(step, loss, last, most)) for step, loss in points)
    return f'<polyline points="{drawn}" fill="none" {style}/>'


def _at(step: float, loss: float, last: int, most: float) -> tuple[float, float]:
    return _LEFT + step / last * (_RIGHT - _LEFT), _BOTTOM - loss / most * (_BOTTOM - _TOP)


def _means(points: Points) -> list[tuple[int, float]]:
    width = max(1, len(points) // _AVERAGED)
    windows = [points[max(0, i + 1 - width) : i + 1] for i in range(len(points))]
    return [(window[-1][0], sum(loss for _, loss in window) / len(window)) for window in windows]
