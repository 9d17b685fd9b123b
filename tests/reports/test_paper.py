"""A page on paper: all that it showed, its texts inert, nothing beside the sheet, and the same bytes each time."""

from __future__ import annotations

import io
import json
import re
import socket
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tailtracker_bi.figures import charts
from tailtracker_bi.figures.wording import WORD_JOINER, plain
from tailtracker_bi.reports import Chart, Heading, Paper, Part, Said, Table, Tile, paper, png, print_paper

WEEKS = pd.DataFrame(
    {"period_start": pd.date_range("2025-01-06", periods=6, freq="7D"), "value": range(6), "is_complete": True}
)
LINE = charts.trend(WEEKS, label="Active people", unit="people", form="integer", grain="week")
EVIL = '#panic("x") *b* _i_ $x$ <label> @ref `raw` \\ // /* [ ] { } #sys.inputs https://a.example "q" ~ = - +'


def sheet(*blocks: Any, title: str = "Active users") -> Paper:
    return Paper(title, "Who uses it.", "20250312T060000-aa", date(2025, 3, 12), "Data as of 12 Mar 2025", ["by week"],
                 list(blocks), [("DAU", "People.")])  # fmt: skip


def printed(monkeypatch: pytest.MonkeyPatch, own: Paper) -> dict[str, Any]:
    """What the template is given."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(typst, "compile", lambda *_, **named: given.update(named) or b"")
    print_paper(own)
    return dict(json.loads(given["sys_inputs"]["paper"]))


def pages(own: Paper) -> int:
    return len(re.findall(rb"/Type ?/Page\b", print_paper(own)))


def every_block() -> Paper:
    return sheet(
        Said("**Mixpanel** is late", "warning"),
        Heading("People"),
        Tile("Active people", "1,926", "+62.4%", "vs 1 May", "better", "31 May 2026", [1.0, 3.0, 2.0]),
        Tile("Pets", "no data", "", "", "", "No complete period yet", []),
        Part("Active people", [Chart(LINE, "Thin: before."), Table("Active", ["Week", "n"], [["1", "2"]], 1)]),
        Part("Nothing", [Said("Nothing to show.", "info")]),
    )


def test_the_same_page_gives_the_same_bytes_and_another_build_others() -> None:
    assert print_paper(every_block()) == print_paper(every_block())
    other = every_block()
    other.build = "20250313T060000-bb"
    assert print_paper(other) != print_paper(every_block())


def test_nothing_is_loaded_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    pdf = print_paper(every_block())
    fonts = {name.split(b"+")[-1] for name in re.findall(rb"/FontName ?/([\w+-]+)", unpacked(pdf))}
    assert fonts
    assert all(name.startswith(b"SourceSansPro") for name in fonts), fonts


def unpacked(pdf: bytes) -> bytes:
    """The file with its streams in plain, which its objects may be in."""
    found = pdf
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found += zlib.decompress(stream)
        except zlib.error:
            continue
    return found


def test_texts_are_told_as_they_are_and_never_taken_for_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    own = sheet(
        Heading(EVIL), Said(plain(EVIL)), Tile(EVIL, EVIL, EVIL, EVIL, "", EVIL, []), Part(EVIL),
        Table(EVIL, [EVIL], [[EVIL]], 1), title=EVIL,
    )  # fmt: skip
    own.definitions = [(EVIL, plain(EVIL))]
    print_paper(own)
    told = json.dumps(printed(monkeypatch, own), ensure_ascii=False)
    assert told.count(json.dumps(paper._breakable(EVIL), ensure_ascii=False)[1:-1]) == 14


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40), st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_can_be_printed(short: str, long: str) -> None:
    print_paper(sheet(Part(short, [Said(plain(long)), Table(short, [short, long], [[long, short]], 7)]), title=long))


@given(st.text())
def test_what_was_escaped_for_pages_reads_as_it_was(text: str) -> None:
    [one] = paper._lines(f"x{plain(text)}".replace("\n", " ")) or [[]]
    told = "".join(run["text"] for run in one).replace(paper.ZERO_WIDTH, "")
    assert told == f"x{text}".replace("\n", " ").replace(paper.ZERO_WIDTH, "").replace(WORD_JOINER, "").strip()


def test_bold_is_bold_and_signs_are_left_out() -> None:
    found = paper._lines(":material/rule: **Not counted:** 7 events\n\n- `a` \\*b\\*")
    assert found == [
        [{"text": "Not counted:", "bold": True}, {"text": " 7 events", "bold": False}],
        [{"text": "• a *b*", "bold": False}],
    ]


def test_of_a_long_and_wide_table_the_first_of_it_is_printed_and_how_much_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"Week {place}" for place in range(14)]
    rows = [[f"{row}/{place}" if place != 2 else "" for place in range(14)] for row in range(12)]
    [table] = printed(monkeypatch, sheet(Table("Cohorts", names, rows, 4321, frozenset({"Week 1"}))))["blocks"]
    assert table["columns"] == [name for name in names if name != "Week 2"][:10]
    assert table["right"] == [False, True, *[False] * 8]
    assert table["rows"][-1] == [f"11/{place}" for place in range(11) if place != 2]
    assert table["cut"] == "The first 12 of 4,321 rows and 10 of 13 columns."
    [whole] = printed(monkeypatch, sheet(Table("One", ["a", "b"], [["1", "2"]], 1)))["blocks"]
    assert whole["cut"] == ""


def ink_beside_the_text(own: Paper) -> bool:
    """Whether something is drawn where the margins are."""
    found = typst.compile(
        paper.TEMPLATE, format="png", ppi=40, font_paths=[paper.FONTS], ignore_system_fonts=True,
        sys_inputs={"paper": json.dumps(paper._document(own))},
    )  # fmt: skip
    for page in found if isinstance(found, list) else [found]:
        with Image.open(io.BytesIO(page)) as opened:
            shades = opened.convert("L")
        margin = int(1.2 / 21 * shades.width)
        for left in (0, shades.width - margin):
            if shades.crop((left, 0, left + margin, shades.height)).getextrema()[0] < 250:
                return True
    return False


@pytest.mark.parametrize("word", ["W" * 300, "long words of it " * 60, "https://example.com/" + "a" * 200])
def test_nothing_stands_beside_the_text_however_long_it_is(word: str) -> None:
    own = sheet(
        Heading(word), Said(word, "error"), *[Tile(word, word, word, word, "worse", word, [1.0, 2.0])] * 5,
        Part(word, [Table(word, [word] * 12, [[word] * 12] * 12, 99), Said(word, "note")]), title=word,
    )  # fmt: skip
    own.view, own.freshness, own.definitions = [word], word, [(word, word)]
    assert not ink_beside_the_text(own)
    assert pages(own) < 20


def test_a_long_page_goes_on() -> None:
    assert pages(every_block()) == 1
    assert pages(sheet(*[Part(f"Part {number}", [Chart(LINE, "")]) for number in range(9)])) > 2


def test_a_picture_stands_alone_under_its_title() -> None:
    picture = png(LINE, "Active people", ["Data as of 12 Mar 2025", "by week"])
    assert picture.startswith(b"\x89PNG")
    assert picture == png(LINE, "Active people", ["Data as of 12 Mar 2025", "by week"])
    assert picture != png(LINE, "Active people", ["Data as of 13 Mar 2025", "by week"])


def test_the_template_is_shipped_with_the_package() -> None:
    assert Path(paper.__file__).with_name("paper.typ").is_file()
