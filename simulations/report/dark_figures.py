"""Colours of the report's figures in its dark mode: each one becomes a CSS variable with two values."""

from __future__ import annotations

import re

from matplotlib.colors import to_hex

from simulations.report.figure_style import SHADES

# By the colour that matplotlib writes: a name, and the colour on a dark page.
DARK: dict[str, tuple[str, str]] = {
    "#000000": ("ink", "#e6e9ed"),
    "#ffffff": ("paper", "#1d2127"),
    "#dddddd": ("grid", "#363d46"),
    "#cccccc": ("frame", "#4a525d"),
    "#bbbbbb": ("faint", "#69727e"),
    "#8a8a8a": ("grey", "#9aa3ad"),
    "#666666": ("bars", "#8b949e"),
    "#555555": ("quiet", "#a2abb6"),
    "#444444": ("on-weak", "#d5dae0"),  # numbers on weak cells of a heat map
    "#fefefe": ("on-strong", "#0b0e12"),  # and on strong ones
    "#0072b2": ("pooled", "#56b4e9"),
    "#d55e00": ("federated", "#f5914a"),
    "#009e73": ("local", "#3cc79c"),
    "#cc79a7": ("tuned", "#e3a0c4"),
    "#a8380a": ("worse", "#ff9a66"),  # as in report.css
    "#00664b": ("better", "#4fd1a5"),
}
_FROM, _TO = (0x1D, 0x21, 0x27), (0x8C, 0xCB, 0xF5)  # of a heat map: from the paper to a bright blue
_COLOUR = re.compile(r"\b(fill|stroke): ?(#[0-9a-f]{6})\b")


def with_variables(svg: str) -> str:
    """An SVG whose colours are CSS variables; without a style sheet it looks as before.

    Parameters
    ----------
    svg : str
        As matplotlib writes it.
    """
    names = {colour: name for colour, (name, _) in _all().items()}

    def replaced(match: re.Match[str]) -> str:
        name = names.get(match[2])
        return match[0] if name is None else f"{match[1]}: var(--figure-{name}, {match[2]})"

    return _COLOUR.sub(replaced, svg)


def dark_css() -> str:
    """The rules that give the variables their dark values, on a dark screen; paper stays white."""
    values = "".join(f"--figure-{name}:{dark};" for name, dark in _all().values())
    return (
        ".card svg{fill:var(--figure-ink,#000000)}"  # letters have no colour of their own
        f"@media screen and (prefers-color-scheme: dark){{:root{{{values}}}}}"
    )


def _all() -> dict[str, tuple[str, str]]:
    steps = SHADES.N
    shades = {}
    for step in range(steps):
        share = step / (steps - 1)
        mixed = (round(a + (b - a) * share) for a, b in zip(_FROM, _TO, strict=True))
        shades[to_hex(SHADES(step))] = (f"shade-{step}", "#" + "".join(f"{part:02x}" for part in mixed))
    return {**shades, **DARK}
