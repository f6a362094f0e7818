"""Tables as aligned text. No cell is ever cut: a table too wide for the terminal continues below itself."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

_GAP = "  "
_NARROWEST_TEXT = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    right: numbers, aligned at their end.
    text: words, which may be folded into several lines where the terminal is narrow.
    """

    name: str
    cells: Sequence[str]
    right: bool = False
    text: bool = False

    @property
    def width(self) -> int:
        return max(map(_width, (self.name, *self.cells)))


def lines(columns: Sequence[Column], width: int | None) -> Iterator[str]:
    """Yield the lines of a table, the names first.

    width: of the terminal; None where there is none, and a line may have any length.
    """
    columns = [replace(each, cells=[_CONTROL.sub("?", cell) for cell in each.cells]) for each in columns]
    if width is None or _total(columns) <= width:
        yield from _block(columns)
        return
    columns = _folded(columns, width)
    for at, block in enumerate(_blocks(columns, width)):
        if at:
            yield ""
        yield from _block(block)


def _width(text: str) -> int:
    lines = text.split("\n") if "\n" in text else (text,)
    return max(len(line) if line.isascii() else cell_len(line) for line in lines)


def _total(columns: Sequence[Column]) -> int:
    return sum(each.width for each in columns) + len(_GAP) * (len(columns) - 1)


def _folded(columns: Sequence[Column], width: int) -> list[Column]:
    """Fold texts so that all columns fit, or at least so that each fits beside the first column."""
    left = [each for each in columns if each.text]
    room = width - _total([each for each in columns if not each.text]) - len(_GAP) * len(left)
    longest = max(_NARROWEST_TEXT, width - columns[0].width - len(_GAP))
    shares: dict[str, int] = {}
    # Those that need less than an equal share leave the rest to the others.
    for count, each in zip(range(len(left), 0, -1), sorted(left, key=lambda c: c.width), strict=True):
        share = min(each.width, max(room // count, _NARROWEST_TEXT), longest)
        shares[each.name] = share
        room -= share
    return [_wrapped(each, shares[each.name]) if each.text else each for each in columns]


def _wrapped(column: Column, width: int) -> Column:
    cells = [
        cell if _width(cell) <= width else "\n".join(textwrap.wrap(cell, width, break_on_hyphens=False))
        for cell in column.cells
    ]
    return replace(column, cells=cells)


def _blocks(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Yield the columns in groups that fit, each with the first column."""
    block = [columns[0]]
    for column in columns[1:]:
        if len(block) > 1 and _total([*block, column]) > width:
            yield block
            block = [columns[0]]
        block.append(column)
    yield block


def _block(columns: Sequence[Column]) -> Iterator[str]:
    widths = [each.width for each in columns]
    cells = [(each.name, *each.cells) for each in columns]
    if all(cell.isascii() and "\n" not in cell for column in cells for cell in column):
        line = _GAP.join(f"{{:{'>' if c.right else '<'}{w}}}" for c, w in zip(columns, widths, strict=True))
        yield from (line.format(*row).rstrip() for row in zip(*cells, strict=True))
        return
    for row in zip(*cells, strict=True):
        parts = [cell.split("\n") for cell in row]
        for at in range(max(map(len, parts))):
            shown = (part[at] if at < len(part) else "" for part in parts)
            aligned = (_aligned(*each) for each in zip(shown, columns, widths, strict=True))
            yield _GAP.join(aligned).rstrip()


def _aligned(text: str, column: Column, width: int) -> str:
    pad = " " * (width - _width(text))
    return pad + text if column.right else text + pad
