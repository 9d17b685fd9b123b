"""The forms that a report is handed out in: a mail, a page, plain text, Markdown, Slack's blocks, PDF, JSON.

Nothing here is particular to a report. The templates are written by hand: one column needs none of the nested tables
that a mail framework would make, and its styles can follow dark mode.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import wraps
from pathlib import Path
from textwrap import wrap
from typing import Any, TypeVar

import orjson
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tailtracker_bi.figures.charts import BLUE, GREY, Spec
from tailtracker_bi.figures.wording import axis_locale, day, numbers_of, plain
from tailtracker_bi.reports.content import Content
from tailtracker_bi.reports.paper import Chart, Heading, Paper, Said, Table, Tile, print_paper, with_rows
from tailtracker_bi.reports.period import BEFORE, Kpi

WIDTH, SHARPNESS = 500, 2
"""Of a chart, in points: its letters stay readable where a phone shows it at 340."""
LINE_WIDTH, LINE_HEIGHT = 64, 18
FONT, FONT_SIZE = "Arial, Helvetica, sans-serif", 15
DARK = "-dark"
"""Ends the name of a picture for dark pages."""
HERE = "@tailtracker-bi"
"""Ends the names of pictures in a mail: without such an end some clients take them for attachments."""
LOOKS = {
    "": {"background": "white", "label": "#3c4a57", "text": "#1d2b36", "grid": "#dde3e8"},
    DARK: {"background": "#12181d", "label": "#c3ced6", "text": "#e6ecf0", "grid": "#33404a"},
}
SLACK_HEADER, SLACK_TEXT, SLACK_FIELD, SLACK_FIELDS, SLACK_BLOCKS = 150, 3000, 2000, 10, 50
"""The most that Slack takes: letters of a header, a text and a field, fields of a section, blocks of a message."""
TEXT_WIDTH = 78
T = TypeVar("T")


@dataclass(frozen=True)
class Report:
    """A report as a mail takes it; `html` names each of its pictures as `cid:<name>`."""

    period_start: date
    subject: str
    html: str
    text: str
    pictures: Mapping[str, bytes]

    @property
    def page(self) -> str:
        """The HTML with its pictures inside, to keep as one file or to open in a browser."""
        page = self.html
        for name, picture in self.pictures.items():
            # Quotes in texts are escaped, so these stand in the template's own attributes only.
            for attribute in ("src", "srcset"):
                inside = f'{attribute}="data:image/png;base64,{b64encode(picture).decode()}"'
                page = page.replace(f'{attribute}="cid:{name}"', inside)
        return page


def in_its_numbers(make: Callable[[Content], T]) -> Callable[[Content], T]:
    """A form whose numbers are written as the report declares."""

    @wraps(make)
    def made(content: Content) -> T:
        with numbers_of(content.rules.numbers):
            return make(content)

    return made


@in_its_numbers
def report_of(content: Content) -> Report:
    """The report as HTML with its pictures, and as plain text beside it."""
    pictures = {
        name + look + HERE: picture(drawn.chart, look)
        for drawn in content.drawings
        if drawn.chart is not None
        for name in [drawn.name]
        for look in LOOKS
    }
    pictures |= {line_of(kpi) + HERE: picture(small_line(kpi)) for kpi in content.kpis if len(kpi.line) > 1}
    named = {"line_of": line_of, "dark": DARK, "here": HERE}
    html = _fill("report.html", is_escaped=True, content=content, against=BEFORE, **named)
    return Report(content.period.start, content.subject, html, as_text(content), pictures)


@in_its_numbers
def as_text(content: Content) -> str:
    """Plain text, for whoever reads no HTML."""
    text = _fill("report.txt", is_escaped=False, content=content, against=BEFORE)
    lines = [_wrapped(line) for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


@in_its_numbers
def as_markdown(content: Content) -> str:
    """The same as Markdown: what came from outside is inert in it."""
    text = _fill("report.md", is_escaped=False, content=content, against=BEFORE, plain=plain)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def as_json(content: Content) -> bytes:
    """Every figure with what it means, for programs: numbers are numbers, days are ISO dates."""
    told = {
        "report": content.rules.id,
        "subject": content.subject,
        "grain": content.period.grain,
        "period_start": content.period.start,
        "period_end": content.period.end,
        "is_troubled": content.is_troubled,
        "warnings": [f"{about} {what}" for about, what in content.warnings],
        "headline": content.headline,
        "causes": content.causes,
        "figures": [
            {
                "section": section,
                "metric_id": kpi.metric.metric_id,
                "label": kpi.metric.label,
                "unit": kpi.metric.unit,
                "of": kpi.when or str(content.period),
                "value": kpi.now.value,
                "is_complete": kpi.now.is_complete,
                "previous": kpi.before.value,
                "year_before": kpi.year_before.value if kpi.year_before.is_complete else None,
                "target": kpi.metric.target,
                "verdict": kpi.verdict,
                "owner": kpi.metric.owner,
                "definition": kpi.metric.about,
                "link": content.links.get(kpi.metric.metric_id),
            }
            for section, group in content.groups.items()
            for kpi in group
        ],
        "events": content.events,
        "alerts": None
        if content.alerts is None
        else [
            {
                "alert": one.rules.id,
                "severity": one.rules.severity,
                "metric_id": one.rules.metric,
                "began": one.began,
                "ended": one.ended,
                "said": one.said,
            }
            for one in content.alerts
        ],
        "not_judged": content.not_judged,
        "restated": content.restated,
        "as_of": content.as_of,
        "build": content.build,
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"


@in_its_numbers
def as_pdf(content: Content) -> bytes:
    """The report on paper, in the look of the printed pages."""
    paper = Paper(
        plain(content.title),
        plain(f"{content.span}, against {BEFORE[content.period.grain]}."),
        content.build,
        content.as_of,
    )
    for about, what in content.warnings:
        paper.blocks.append(Said(f"**{plain(about)}** {plain(what)}", "warning"))
    paper.blocks.append(Said(plain(content.headline)))
    paper.blocks += [Said(plain(text)) for text in (content.causes, *_not_counted(content)) if text]
    for section, group in content.groups.items():
        paper.blocks.append(Heading(section))
        paper.blocks += [
            Tile(
                kpi.metric.label,
                kpi.shown,
                kpi.change,
                f"before {kpi.shown_before}",
                kpi.verdict if kpi.verdict in ("better", "worse") else "",
                ", ".join(filter(None, [kpi.when, kpi.beside])),
                kpi.line,
            )
            for kpi in group
        ]
    for drawn in content.drawings:
        paper.blocks.append(Heading(drawn.title))
        notes = "\n".join(drawn.notes)
        paper.blocks.append(Said(notes, "note") if drawn.chart is None else Chart(drawn.chart, notes))
    for title, lines in content.told.items():
        paper.blocks += [Heading(title), Said("\n".join(f"- {plain(line)}" for line in lines))]
    rows = [[state.share_of_source, state.last_day or "none", state.status, state.why] for state in content.states]
    columns = ["Source", "Last day", "State", "Why"]
    paper.blocks += [Heading("Where the data comes from"), Table("", columns, rows, len(rows))]
    paper.definitions += [(kpi.metric.label, plain(kpi.metric.about)) for kpi in content.kpis]
    return print_paper(paper)


@in_its_numbers
def as_slack(content: Content) -> bytes:
    """The message as Slack's Block Kit takes it, within its limits; `text` is what notifications show."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(content.title, SLACK_HEADER)}}
    ]
    if content.warnings:
        told = "\n".join(f"• *{mrkdwn(about)}* {mrkdwn(what)}" for about, what in content.warnings)
        blocks.append(_section(f":warning: *Read these figures with care.*\n{told}"))
    blocks.append(_section(" ".join(filter(None, [mrkdwn(content.headline), mrkdwn(content.causes)]))))
    for section, group in content.groups.items():
        fields = [{"type": "mrkdwn", "text": _cut(_field(content, kpi), SLACK_FIELD)} for kpi in group]
        for first in range(0, len(fields), SLACK_FIELDS):
            title = f"*{mrkdwn(section)}*" if not first else " "
            blocks.append(_section(title) | {"fields": fields[first : first + SLACK_FIELDS]})
    for title, lines in content.told.items():
        blocks.append(_section(f"*{title}*\n" + "\n".join(f"• {mrkdwn(line)}" for line in lines)))
    foot = f"{content.span}, against {BEFORE[content.period.grain]}. Data as of {content.as_of}. Build {content.build}."
    foot_block = {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn(foot)}]}
    message = {"text": content.subject, "blocks": [*blocks[: SLACK_BLOCKS - 1], foot_block]}
    return orjson.dumps(message, option=orjson.OPT_INDENT_2) + b"\n"


FORMATS: Mapping[str, tuple[str, Callable[[Content], bytes]]] = {
    "html": ("html", lambda content: report_of(content).page.encode()),
    "text": ("txt", lambda content: as_text(content).encode()),
    "pdf": ("pdf", as_pdf),
    "slack": ("slack.json", as_slack),
    "markdown": ("md", lambda content: as_markdown(content).encode()),
    "json": ("json", as_json),
}
"""By name, how a file of it ends and how it is made."""


def line_of(kpi: Kpi) -> str:
    """What the picture of its small line is called; empty where it has none."""
    return f"line-{kpi.metric.metric_id}" if len(kpi.line) > 1 else ""


def small_line(kpi: Kpi) -> Spec:
    """How a figure went lately, its last value as a dot; on no background, in colours for light and dark pages."""
    rows = [{"n": n, "value": value} for n, value in enumerate(kpi.line)]
    x, y = ({"field": name, "type": "quantitative", "axis": None} for name in ("n", "value"))
    encoding = {"x": x, "y": y | {"scale": {"zero": False, "nice": False}}}
    return {
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.5, "color": GREY}, "encoding": encoding},
            {
                "mark": {"type": "point", "filled": True, "size": 28, "color": BLUE, "opacity": 1},
                "encoding": encoding,
                "transform": [{"filter": f"datum.n == {len(rows) - 1}"}],
            },
        ],
        "data": {"values": rows},
        "width": LINE_WIDTH,
        "height": LINE_HEIGHT,
        "padding": 3,
        "background": None,
        "view": {"stroke": None},
    }


def picture(chart: Spec, look: str = "") -> bytes:
    """The chart as PNG, made without a browser and without a network."""
    if "datasets" not in chart:
        return vl_convert.vegalite_to_png(chart, scale=SHARPNESS)
    colors = LOOKS[look]
    dressed = {
        "font": FONT,
        "background": colors["background"],
        "axis": {
            "labelFontSize": FONT_SIZE,
            "titleFontSize": FONT_SIZE - 2,
            "titleFontWeight": "normal",
            "labelColor": colors["label"],
            "gridColor": colors["grid"],
            "domainColor": colors["grid"],
            "tickColor": colors["grid"],
        },
        "text": {"fontSize": FONT_SIZE, "color": colors["text"]},
        "view": {"stroke": None},
    }
    place = {"width": WIDTH, "padding": 10, "autosize": {"type": "fit", "contains": "padding"}}
    drawn = with_rows(chart) | place | {"config": dressed}
    return vl_convert.vegalite_to_png(drawn, scale=SHARPNESS, format_locale=axis_locale())


def _fill(template: str, is_escaped: bool, **values: Any) -> str:
    """The template of this folder with these values; in HTML every text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=is_escaped,  # noqa: S701 - what is no HTML has its own way to make texts inert
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["day"] = day
    return environment.get_template(template).render(values)


def _wrapped(line: str) -> str:
    """A long line as several, those that follow under the first."""
    indent = " " * (len(line) - len(line.lstrip(" ")) + (2 if line.lstrip().startswith("- ") else 0))
    return "\n".join(wrap(line, TEXT_WIDTH, subsequent_indent=indent, break_long_words=False)) if line else ""


def _not_counted(content: Content) -> Iterator[str]:
    if content.left_out:
        yield f"Not counted in these: {content.left_out}."


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, SLACK_TEXT)}}


def _field(content: Content, kpi: Kpi) -> str:
    link = content.links.get(kpi.metric.metric_id)
    label = f"<{link}|{mrkdwn(kpi.metric.label)}>" if link else mrkdwn(kpi.metric.label)
    changed = f" {kpi.arrow} {kpi.change}".rstrip() if kpi.change else ""
    verdict = f" _{kpi.verdict}_" if kpi.verdict else ""
    about = "".join(f"\n{line}" for line in (kpi.when, kpi.beside) if line)
    return f"{label}\n*{mrkdwn(kpi.shown)}*{mrkdwn(changed)}{mrkdwn(verdict)}{mrkdwn(about)}"


def mrkdwn(text: str) -> str:
    """Text as Slack shows it: what it would take for links, mentions and marks is inert."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A mark formats nothing where an invisible character stands before it.
    return re.sub(r"([*~`])", "\u200b\\1", escaped)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
