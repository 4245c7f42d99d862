"""A bar chart as SVG: a group of bars for each name, one bar for each of its numbers."""

from collections.abc import Mapping
from html import escape

_WIDE, _LEFT, _BAR, _GAP, _TOP = 860, 300, 16, 14, 56
_COLOURS = ("#2f6f9f", "#e08a2e", "#5a9a4d")


def svg(title: str, bars: Mapping[str, Mapping[str, float]]) -> str:
    """Return the picture. Each name of `bars` has the same numbers."""
    series = list(next(iter(bars.values())))
    most = max((value for each in bars.values() for value in each.values()), default=0.0) or 1.0
    scale = (_WIDE - _LEFT - 80) / most
    lines, y = [], _TOP
    for name, numbers in bars.items():
        middle = y + len(series) * _BAR / 2 + 4
        where = f'x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end"'
        lines.append(f"<text {where}>{escape(name)}</text>")
        for colour, value in zip(_COLOURS, numbers.values(), strict=False):
            width = value * scale
            lines.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                f'fill="{colour}"/>'
                f'<text x="{_LEFT + width + 6:.1f}" y="{y + _BAR - 4}">{_told(value)}</text>'
            )
            y += _BAR
        y += _GAP
    for number, (colour, name) in enumerate(zip(_COLOURS, series, strict=False)):
        x = _LEFT + number * 170
        lines.append(
            f'<rect x="{x}" y="30" width="12" height="12" fill="{colour}"/>'
            f'<text x="{x + 18}" y="40">{escape(name)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {y}" width="{_WIDE}" '
        f'height="{y}" font-family="sans-serif" font-size="13" fill="#222">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _told(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}" if value else "-"
