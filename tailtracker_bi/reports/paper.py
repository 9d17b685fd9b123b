"""A page as PDF: what was shown on it, in its order, set by Typst from `paper.typ` in one look for all pages.

Whoever shows a page notes it as a Paper while the page is made, so that no page is described twice. Texts are data and
never markup of the document: they come as JSON. Fonts come with a package, nothing is loaded from elsewhere, and the
same paper gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import font_source_sans_pro
import pandas as pd
import typst
import vl_convert

from tailtracker_bi.figures.charts import Spec
from tailtracker_bi.figures.wording import WORD_JOINER, axis_locale

TEMPLATE = Path(__file__).with_name("paper.typ")
FONT, FONTS = "Source Sans Pro", Path(font_source_sans_pro.__file__).parent / "files"
CHART_WIDTH = 760
"""Pixels, which are drawn as wide as the text is: their letters are then a little smaller than those of the text."""
SHARPNESS = 2
"""Dots a pixel of a picture that stands alone."""
MOST_ROWS, MOST_COLUMNS = 12, 10
"""Of a table."""
SHORTEST, MOST_CELLS, BETWEEN = 5, 60, 3
"""Letters of a cell, at least and at most, that have a say in how wide its column is; and what is left free beside."""
LONG_WORD = 17
"""Letters of a word that may be broken wherever it has to be."""
LONGEST, LONGEST_IN_A_CELL = 2_000, 160
"""Letters of a text; the rest is left out."""
ZERO_WIDTH = "\u200b"
_MARKS = re.compile(r":material/\w+:|\*\*|`|\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Said:
    """Some sentences, as Markdown of the kind that pages use; `kind` is note, text, good, info, warning or error."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Tile:
    """A figure: its change is good (`better`), bad (`worse`) or neither."""

    label: str
    value: str
    change: str
    against: str
    judged: str
    about: str
    line: Sequence[float]


@dataclass(frozen=True)
class Chart:
    spec: Spec
    note: str


@dataclass(frozen=True)
class Table:
    """The first rows of a table, and how many it has."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: int
    right: frozenset[str] = frozenset()
    """The columns of numbers."""


@dataclass(frozen=True)
class Part:
    """What stands together under a title."""

    title: str
    blocks: list[Block] = field(default_factory=list)


Block: TypeAlias = Heading | Said | Tile | Chart | Table | Part


@dataclass
class Paper:
    """A page: what it is for, how far its data goes, what was asked of it, and what it shows."""

    title: str
    summary: str
    build: str
    as_of: date
    freshness: str = ""
    view: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    definitions: list[tuple[str, str]] = field(default_factory=list)


def print_paper(paper: Paper) -> bytes:
    """The page as PDF."""
    pdf: bytes = typst.compile(
        TEMPLATE,
        format="pdf",
        font_paths=[FONTS],
        ignore_system_fonts=True,
        sys_inputs={"paper": json.dumps(_document(paper))},
        timestamp=datetime.combine(paper.as_of, time(), UTC),
    )
    return pdf


def _document(paper: Paper) -> dict[str, Any]:
    """The page as the template takes it."""
    return {
        "title": _breakable(paper.title),
        "summary": _breakable(paper.summary),
        "freshness": _breakable(paper.freshness),
        "view": [_breakable(choice) for choice in paper.view],
        "foot": f"TailTracker BI · build {paper.build}",
        "blocks": _written(paper.blocks),
        "definitions": [{"label": _breakable(label), "runs": _runs(text)} for label, text in paper.definitions],
    }


def _written(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """As the template takes them: tiles that follow each other in one row."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        if not isinstance(block, Tile):
            found.append(_one(block))
        elif found and found[-1]["is"] == "tiles":
            found[-1]["tiles"].append(_tile(block))
        else:
            found.append({"is": "tiles", "tiles": [_tile(block)]})
    return found


def _one(block: Heading | Said | Chart | Table | Part) -> dict[str, Any]:
    if isinstance(block, Heading):
        return {"is": "heading", "text": _breakable(block.text)}
    if isinstance(block, Said):
        return {"is": "said", "kind": block.kind, "lines": _lines(block.text)}
    if isinstance(block, Part):
        return {"is": "part", "title": _breakable(block.title), "blocks": _written(block.blocks)}
    if isinstance(block, Table):
        return {"is": "table", **_table(block)}
    return {"is": "chart", "svg": svg(block.spec), "alt": block.spec["description"], "lines": _lines(block.note)}


def _tile(tile: Tile) -> dict[str, Any]:
    low, high = (min(tile.line), max(tile.line)) if tile.line else (0.0, 0.0)
    line = [(value - low) / (high - low or 1.0) for value in tile.line]
    texts = {
        name: _breakable(getattr(tile, name), LONGEST_IN_A_CELL)
        for name in ("label", "value", "change", "against", "about")
    }
    return texts | {"judged": tile.judged, "line": line}


def _table(table: Table) -> dict[str, Any]:
    """As many rows and columns as fit, and how wide the columns are to each other."""
    rows = table.rows[:MOST_ROWS]
    # A column that says nothing takes no room from the others.
    every = range(len(table.columns))
    known = [place for place in every if any(row[place] for row in rows)] or [*every]
    columns = [table.columns[place] for place in known[:MOST_COLUMNS]]
    rows = [[row[place] for place in known[:MOST_COLUMNS]] for row in rows]
    cut = [
        f"{len(rows)} of {table.total:,} rows" if table.total > len(rows) else "",
        f"{len(columns)} of {len(known)} columns" if len(known) > len(columns) else "",
    ]
    longest = [max(len(text) for text in (name, *cells)) for name, *cells in zip(columns, *rows, strict=True)]
    return {
        "title": _breakable(table.title),
        "columns": [_breakable(name, LONGEST_IN_A_CELL) for name in columns],
        "right": [name in table.right for name in columns],
        "widths": [min(max(length, SHORTEST), MOST_CELLS) + BETWEEN for length in longest],
        "rows": [[_breakable(cell, LONGEST_IN_A_CELL) for cell in row] for row in rows],
        "cut": "The first " + " and ".join(filter(None, cut)) + "." if any(cut) else "",
    }


@cache
def _know_fonts() -> None:
    vl_convert.register_font_directory(str(FONTS))


def svg(chart: Spec) -> str:
    """The chart in lines and letters, as wide as a page's text."""
    return str(vl_convert.vegalite_to_svg(_dressed(chart), format_locale=axis_locale()))


def png(chart: Spec, title: str, below: Sequence[str]) -> bytes:
    """The chart as a picture that stands alone: under its title, with lines that say what it is of."""
    named = {"text": title, "subtitle": [*below], "anchor": "start", "offset": 14}
    return vl_convert.vegalite_to_png(_dressed(chart) | {"title": named, "padding": 16}, scale=SHARPNESS)


def with_rows(chart: Spec) -> Spec:
    """The chart with its frames as JSON has them."""
    return chart | {"datasets": {name: _rows(frame) for name, frame in chart["datasets"].items()}}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON has them; times without a zone, which are drawn as they stand."""
    times = frame.select_dtypes("datetime")
    written = frame.assign(**{str(name): times[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in times})
    return [
        {str(name): value for name, value in row.items()}
        for row in written.astype(object).where(written.notna(), None).to_dict("records")
    ]


def _dressed(chart: Spec) -> Spec:
    """The chart as Vega-Lite takes it, in the letters of the page."""
    _know_fonts()
    soft, pale = "#3c4a57", "#c8d1d8"
    look = {
        "font": FONT,
        "background": "white",
        "view": {"stroke": None},
        "axis": {"labelFontSize": 12, "titleFontSize": 11, "titleFontWeight": "normal", "labelColor": soft}
        | {"gridColor": "#e6ebef", "domainColor": pale, "tickColor": pale, "titleColor": soft},
        "text": {"fontSize": 12, "color": "#0f1720"},
        "legend": {"labelFontSize": 12, "labelColor": "#0f1720"},
        "title": {"fontSize": 17, "subtitleFontSize": 12, "subtitleColor": soft},
    }
    place = {"width": CHART_WIDTH, "padding": 4, "autosize": {"type": "fit", "contains": "padding"}}
    return with_rows(chart) | place | {"config": look}


def _lines(text: str) -> list[list[dict[str, Any]]]:
    """Each line of Markdown as its runs; an item of a list begins with a dot."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [_runs(f"• {line[2:]}" if line.startswith("- ") else line) for line in lines]


def _runs(text: str) -> list[dict[str, Any]]:
    """Texts that are bold or not, without what stands for that and for signs."""
    seen = text.replace(WORD_JOINER, "").strip()
    runs = [{"text": run, "bold": is_bold} for run, is_bold in _told_apart(seen) if run]
    # What stood for a sign leaves a space behind.
    while runs and not (first := str(runs[0]["text"]).lstrip()):
        runs.pop(0)
    if runs:
        runs[0]["text"] = first
    return [run | {"text": _breakable(str(run["text"]))} for run in runs if run["text"]]


def _told_apart(text: str) -> Iterator[tuple[str, bool]]:
    run, is_bold, end = "", False, 0
    for mark in _MARKS.finditer(text):
        run += text[end : mark.start()]
        end = mark.end()
        if mark[0] == "**":
            yield run, is_bold
            run, is_bold = "", not is_bold
        else:
            run += mark[1] or ""
    yield run + text[end:], is_bold


def _breakable(text: str, most: int = LONGEST) -> str:
    """With places to break a line at in words that a narrow column may have no room for."""
    shown = text if len(text) <= most else f"{text[:most]}..."
    return re.sub(rf"\S{{{LONG_WORD},}}", lambda word: ZERO_WIDTH.join(re.findall(r"\S{1,4}", word[0])), shown)
