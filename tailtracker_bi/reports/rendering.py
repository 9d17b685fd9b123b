"""How a report becomes HTML that mail clients show: a template filled in, charts as pictures, one file to keep.

Nothing here is particular to a report. The template is written by hand: one column needs none of the nested tables that
a mail framework would make, and its styles can follow dark mode.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tailtracker_bi.figures.charts import Spec

WIDTH, SHARPNESS = 500, 2
"""Of a chart, in points: its letters stay readable where a phone shows it at 340."""
FONT, FONT_SIZE = "Arial, Helvetica, sans-serif", 15


@dataclass(frozen=True)
class Report:
    """A report as a mail takes it; `html` names each of its pictures as `cid:<name>`."""

    period_start: date
    subject: str
    html: str
    pictures: Mapping[str, bytes]

    @property
    def page(self) -> str:
        """The HTML with its pictures inside, to keep as one file or to open in a browser."""
        page = self.html
        for name, picture in self.pictures.items():
            # Quotes in texts are escaped, so this stands in the template's own attributes only.
            page = page.replace(f'src="cid:{name}"', f'src="data:image/png;base64,{b64encode(picture).decode()}"')
        return page


def fill(template: str, **values: Any) -> str:
    """The template of this folder with these values, every text escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def picture(chart: Spec) -> bytes:
    """The chart as PNG, made without a browser and without a network."""
    look = {
        "font": FONT,
        "background": "white",
        "axis": {"labelFontSize": FONT_SIZE, "titleFontSize": FONT_SIZE - 2, "titleFontWeight": "normal"},
        "text": {"fontSize": FONT_SIZE},
        "view": {"stroke": None},
    }
    place = {"width": WIDTH, "padding": 10, "autosize": {"type": "fit", "contains": "padding"}}
    return vl_convert.vegalite_to_png(with_rows(chart) | place | {"config": look}, scale=SHARPNESS)


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


def one_line(text: str) -> str:
    """Without line breaks and the like, as a mail's subject must be."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
