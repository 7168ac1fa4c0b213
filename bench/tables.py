"""Tables, as `docs/performance.md` has them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

type Visits = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table."""

    title: str
    name: str
    digits: int = 2


def values(visits: Visits, name: str) -> list[float]:
    """Return a figure of each visit that has it."""
    return [visit[name] for visit in visits if visit.get(name) is not None]


def table(rows: Sequence[Row], columns: Mapping[str, Visits], against: str | None = None) -> str:
    """Return a table of medians with the lowest and highest value.

    Args:
        rows: Its lines; those that nobody has a figure for are left out.
        columns: The visits of each server, by title.
        against: The column to which every other one gets a ratio: the median of those of a round.
    """
    others = [title for title in columns if title != against] if against else []
    head = ["median (lowest to highest)", *columns, *[f"{title}, ratio" for title in others]]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        if not any(values(visits, row.name) for visits in columns.values()):
            continue
        cells = [_cell(values(visits, row.name), row.digits) for visits in columns.values()]
        cells += [_ratio(columns[title], columns[against or ""], row.name) for title in others]
        lines.append([row.title, *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _cell(found: list[float], digits: int) -> str:
    if not found:
        return ""
    cell = f"{statistics.median(found):.{digits}f}"
    if min(found) != max(found):
        cell += f" ({min(found):.{digits}f} to {max(found):.{digits}f})"
    return cell


def _ratio(ours: Visits, theirs: Visits, name: str) -> str:
    pairs = zip(values(ours, name), values(theirs, name), strict=False)
    ratios = [one / other for one, other in pairs if other]
    return f"{statistics.median(ratios):.2f}" if ratios else ""
