"""`FittingTable`: a table for the terminal that stands row by row where there are too few columns for it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_NARROW = 80  # columns from which on cells rather wrap


class FittingTable(Table):
    """Rich's table; on a narrow terminal each row is a block of ``name  value`` lines, with nothing cut off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as a table if it fits."""
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
        else:
            yield from self._stacked(console, options)

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        whole = Measurement.get(console, options.update(max_width=10_000), _plain(self))
        if whole.maximum <= options.max_width:
            return True
        # What may be cropped, such as a bar, is no reason to stand row by row.
        whole_lines = any(column.no_wrap and column.overflow != "crop" for column in self.columns)
        return options.max_width >= _NARROW and not whole_lines

    def _stacked(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        def text(cell: RenderableType) -> Text:
            if isinstance(cell, Text):
                return cell
            return console.render_str(cell) if isinstance(cell, str) else Text(str(cell))

        if self.title:
            yield Text.assemble((text(self.title).plain, "bold"))
        names = [text(column.header).plain for column in self.columns]
        indent = max(map(len, names[1:]), default=0) + 2
        rows = list(zip(*(list(column.cells) for column in self.columns), strict=True))
        rows += [tuple(column.footer for column in self.columns)] if self.show_footer else []
        for first, *others in rows:
            yield Text.assemble((" ".join(f"{names[0]} {text(first).plain}".split()), "bold"))
            for name, cell in zip(names[1:], others, strict=True):
                value = text(cell)
                if value.plain.strip():
                    lines = Text("\n" + " " * indent).join(value.split("\n"))  # each below the first
                    yield Padding(Text.assemble(f"{name:<{indent}}", lines), (0, 0, 0, 2))
        if self.caption:
            yield Text(text(self.caption).plain, style="dim italic")


def _plain(table: Table) -> Table:
    plain = Table.__new__(Table)
    plain.__dict__ = {**table.__dict__, "title": None, "caption": None, "width": None}
    return plain
