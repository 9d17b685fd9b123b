"""The rules of `alerts` and `alerting` in `analytics.yml`: which figure, or which source, somebody is told of at once,
by which ways and at which hours."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tailtracker_bi.analytics.reports import TimeOfDay, Timezone

CONDITIONS = ("below", "above", "falls_by", "rises_by", "more_by", "unusual", "missing", "burn")

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
Way = Literal["mail", "slack", "pagerduty", "webhook", "other", "folder"]
"""A channel by its name: mail is the owner's."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Hours(_Strict):
    """When somebody may be told: on these weekdays, from a time of day on and before another."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    days: list[Weekday] = Field(list(WEEKDAYS), min_length=1)
    timezone: Timezone | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Hours:
        if self.to <= self.from_:
            raise ValueError("to must be after from, on the same day")
        return self

    def are_now(self, now: datetime, timezone: str) -> bool:
        """Whether a moment is within; times are those of a time zone unless the hours have their own."""
        local = now.astimezone(ZoneInfo(self.timezone or timezone))
        return WEEKDAYS[local.weekday()] in self.days and self.from_ <= local.time() < self.to


class Telling(_Strict):
    """By which ways what is so severe is told and, unless it is at any time, when."""

    channels: list[Way] = Field(min_length=1)
    hours: Hours | None = None


class Alerting(_Strict):
    """How alerts are told, by their severity."""

    warning: Telling
    critical: Telling

    def of(self, severity: str) -> Telling:
        """How what is so severe is told."""
        return self.critical if severity == "critical" else self.warning


class AlertRules(_Strict):
    """One declared alert: of a metric, with one condition; or of a source that is in trouble.

    `falls_by` and `rises_by` are shares of the value of the period before, `more_by` is a number above it; of a day it
    is the same weekday's. `unusual` is what the build's anomalies say. `missing`: so many periods are over without a
    complete value. `burn` is of a share by day: what of it is not good spends minutes of an error budget, `fast` in a
    day, `slow` over three. `of_at_least` is the smallest denominator that a ratio is judged with, `in_a_row` how many
    periods have to fire one after the other. Values that are not complete are judged `even_incomplete` alone.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    severity: Literal["warning", "critical"] = "warning"
    metric: str | None = None
    source: str | None = None
    grain: Literal["day", "week", "month"] = "day"
    segment: str = "all"
    segment_value: str = "all"
    below: float | None = Field(None, allow_inf_nan=False)
    above: float | None = Field(None, allow_inf_nan=False)
    falls_by: float | None = Field(None, gt=0, le=1)
    rises_by: float | None = Field(None, gt=0, allow_inf_nan=False)
    more_by: float | None = Field(None, gt=0, allow_inf_nan=False)
    unusual: Literal["low", "high", "any"] | None = None
    missing: int | None = Field(None, ge=1, le=366)
    burn: Literal["fast", "slow"] | None = None
    of_at_least: float = Field(0, ge=0, allow_inf_nan=False)
    in_a_row: int = Field(1, ge=1, le=366)
    even_incomplete: bool = False
    hours: Hours | None = None

    @property
    def condition(self) -> str:
        """Which of CONDITIONS it has."""
        return next(name for name in CONDITIONS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _of_one_thing(self) -> AlertRules:
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if (self.metric is None) == (self.source is None):
            raise ValueError("give either a metric or a source (any: each of them)")
        if self.source is not None and given:
            raise ValueError(f"a source has no {given[0]}: it is told of where it is in trouble")
        if self.metric is not None and len(given) != 1:
            raise ValueError(f"give one of {', '.join(CONDITIONS)}")
        if self.unusual and (self.grain != "day" or self.segment != "all"):
            raise ValueError("what is unusual is known of days and of the whole alone")
        if self.burn and self.grain != "day":
            raise ValueError("what a budget burns is told by day")
        if self.even_incomplete and self.condition in ("unusual", "missing"):
            raise ValueError(f"{self.condition} is of complete values alone")
        return self
