"""What charts are drawn in, and what is told in them."""

from __future__ import annotations

import tomllib
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest

from tailtracker_bi.figures import charts

CONFIG = Path(__file__).parents[2] / "dashboards" / ".streamlit" / "config.toml"
THEMES = {name: tomllib.loads(CONFIG.read_text())["theme"][name] for name in ("light", "dark")}


def light_of(color: str) -> list[float]:
    """Linear red, green and blue of `#rrggbb`."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one: str, other: str) -> float:
    """As WCAG has it, 1 to 21."""
    low, high = sorted(sum(map(float.__mul__, light_of(color), [0.2126, 0.7152, 0.0722])) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def at_60_percent(text: str, ground: str) -> str:
    parts = [(int(text[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(0.6 * own + 0.4 * below):02x}" for own, below in parts)


@pytest.mark.parametrize("theme", THEMES)
def test_colors_stand_out_from_the_page_and_captions_can_be_read(theme: str) -> None:
    ground, text = THEMES[theme]["backgroundColor"], THEMES[theme]["textColor"]
    assert {color: contrast(color, ground) for color in charts.COLORS if contrast(color, ground) < 3} == {}
    assert contrast(at_60_percent(text, ground), ground) >= 4.5


# What people without red, green or blue receptors see, by Machado, Oliveira and Fernandes (2009).
SEEN = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def lab(light: list[float]) -> tuple[float, float, float]:
    """The place of a colour in CIELAB, in which equal distances look equally far."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    white = (0.9505, 1, 1.089)
    clipped = [min(max(part, 0), 1) for part in light]
    x, y, z = (
        share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116
        for share in (
            sum(map(float.__mul__, row, clipped)) / full for row, full in zip(to_xyz, white, strict=True)
        )
    )  # fmt: skip
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("kind", SEEN)
def test_colors_are_told_apart_by_those_who_see_fewer(kind: str) -> None:
    seen = {
        color: lab([sum(map(float.__mul__, row, light_of(color))) for row in SEEN[kind]]) for color in charts.COLORS
    }
    apart = {
        (one, other): sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        for one, other in combinations(charts.COLORS, 2)
    }
    assert {pair: far for pair, far in apart.items() if far < 9} == {}


def weeks(*rows: tuple[str, float | None, float | None, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["period_start", "value", "denominator", "is_complete"])
    return frame.assign(period_start=pd.to_datetime(frame["period_start"]))


HOURS = weeks(
    ("2025-02-03", 12.0, 40, True), ("2025-02-10", 400.0, 2, True), ("2025-02-17", None, 0, True),
    ("2025-02-24", 8.0, 31, False),
)  # fmt: skip


def trend(points: pd.DataFrame, **more: object) -> charts.Spec:
    return charts.trend(points, label="Hours", unit="hours", form="decimal", grain="week", **more)  # type: ignore[arg-type]


def test_a_peak_of_few_says_of_how_many_and_the_pointer_is_told_each_n() -> None:
    frames = trend(HOURS)["datasets"]
    assert list(frames["peaks"]["text"]) == ["n = 2"]
    assert list(frames["felt"]["line_0"]) == ["12.00 hours, n = 40", "400.00 hours, n = 2", "8.00 hours, n = 31"]
    assert list(frames["felt"]["state"]) == ["complete", "complete", "not complete"]
    assert "peaks" not in trend(HOURS.drop(index=1))["datasets"]


def test_an_earlier_time_is_told_with_its_period() -> None:
    before = pd.DataFrame(
        {
            "period_start": pd.to_datetime(["2025-02-03"]),
            "before_start": pd.to_datetime(["2025-01-06"]),
            "value": [9.5],
        }
    )
    frames = trend(HOURS, compared=before)["datasets"]
    assert list(frames["felt"]["before"]) == ["9.50 hours (week of 6 Jan 2025)", "no data", "no data"]
    assert "compared" not in trend(HOURS, compared=before.iloc[:0])["datasets"]


def test_a_bridge_ends_where_its_amounts_lead() -> None:
    parts = {"Opening": 100.0, "New": 30.0, "Churn": -50.0, "Closing": 80.0}
    steps = pd.DataFrame({"name": list(parts), "value": list(parts.values())})
    drawn = charts.bridge(steps, label="MRR", form="money EUR")["datasets"]["steps"]
    assert drawn[["start", "end"]].to_numpy().tolist() == [[0, 100], [100, 130], [130, 80], [0, 80]]
    assert list(drawn["kind"]) == ["Amount", "Gained", "Lost", "Amount"]


def test_bars_have_a_place_for_periods_without_data() -> None:
    points = weeks(("2025-02-03", 1, None, True), ("2025-02-17", 2, None, True)).assign(group="A")
    chart = charts.stacks(points, {"A": charts.BLUE}, label="A", unit="", form="integer", grain="week")
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == ["2025-02-03", "2025-02-10", "2025-02-17"]
