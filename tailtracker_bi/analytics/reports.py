"""The rules of `reports` and `exports` in `analytics.yml`: what each shows or hands out, of which period, when it goes
out and for how long it waits for its data."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

MOST_CHARTS = 6


def _time_of_day(value: Any) -> Any:
    """Of a text alone: without quotation marks YAML takes 07:00 for the number 420."""
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError('must be a time of day in quotation marks, like "07:00"')
    return time.fromisoformat(value)


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; use a name like Europe/Berlin or UTC")
    return name


def _language(name: str) -> str:
    from babel import Locale, UnknownLocaleError  # which no process need load to read other rules

    try:
        Locale.parse(name)
    except (ValueError, UnknownLocaleError):
        raise ValueError(f"{name!r} is not a language; use a name like en, de or pt_BR") from None
    return name


def _with_one_place(text: str) -> str:
    if text.count("{}") != 1 or text.replace("{}", "").strip("{}") != text.replace("{}", ""):
        raise ValueError("must have one {} where the figure stands")
    return text


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day)]
Timezone = Annotated[str, AfterValidator(_timezone)]
MetricId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Words = Annotated[str, Field(min_length=1, max_length=120)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Headline(_Strict):
    """A figure of the first sentence, and the words around it."""

    metric: MetricId
    says: Annotated[Words, AfterValidator(_with_one_place)]


class Section(_Strict):
    """Figures that stand together in the table."""

    title: Words
    metrics: list[MetricId] = Field(min_length=1)


class ReportChart(_Strict):
    """Lines over time, by what they are called; they share a unit."""

    title: Words
    lines: dict[Words, MetricId] = Field(min_length=1, max_length=4)


class Sending(_Strict):
    """When something goes out, on the day after its period: at `at` once its data is in, at `deadline` without it."""

    at: TimeOfDay
    deadline: TimeOfDay
    timezone: Timezone | None = None
    corrected_above: float = Field(0.01, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Sending:
        if self.deadline < self.at:
            raise ValueError("the deadline must not be before the time at which the report is to go out")
        return self


class ReportRules(_Strict):
    """One declared report; its `numbers` are written as in that language, its words are English."""

    id: MetricId
    title: Words
    period: Literal["day", "week", "month"]
    send: Sending
    numbers: Annotated[str, AfterValidator(_language)] = "en"
    headline: list[Headline] = Field(min_length=1, max_length=4)
    sections: list[Section] = Field(min_length=1)
    charts: list[ReportChart] = Field([], max_length=MOST_CHARTS)

    @property
    def kpis(self) -> list[str]:
        """The metrics of the table, in order."""
        return [metric for section in self.sections for metric in section.metrics]

    @property
    def metrics(self) -> list[str]:
        """All that it shows, each once."""
        drawn = [metric for chart in self.charts for metric in chart.lines.values()]
        return list(dict.fromkeys([*self.kpis, *(one.metric for one in self.headline), *drawn]))

    @field_validator("sections")
    @classmethod
    def _each_once(cls, sections: list[Section]) -> list[Section]:
        named = [metric for section in sections for metric in section.metrics]
        repeated = sorted({metric for metric in named if named.count(metric) > 1})
        if repeated:
            raise ValueError(f"{repeated[0]} stands more than once")
        return sections

    @model_validator(mode="after")
    def _headline_is_in_the_table(self) -> ReportRules:
        missing = [one.metric for one in self.headline if one.metric not in self.kpis]
        if missing:
            raise ValueError(f"headline: {missing[0]} stands in no section")
        return self


class ExportRules(_Strict):
    """One declared export: tables and metrics of the build, as files, once a period."""

    id: MetricId
    of: list[MetricId] = Field(min_length=1)
    format: Literal["csv", "parquet", "xlsx"] = "csv"
    period: Literal["day", "week", "month"]
    send: Sending
