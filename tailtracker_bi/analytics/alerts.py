"""The rules of `alerts` in `analytics.yml`: which figure, or which source, somebody is told of at once, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CONDITIONS = ("below", "above", "falls_by", "rises_by", "unusual")


class AlertRules(BaseModel):
    """One declared alert: of a metric, with one condition; or of a source that is in trouble.

    `falls_by` and `rises_by` are shares of the value of the period before, of a day of the same weekday's. `unusual` is
    what the build's anomalies say. `of_at_least` is the smallest denominator that a ratio is judged with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    unusual: Literal["low", "high", "any"] | None = None
    of_at_least: float = Field(0, ge=0, allow_inf_nan=False)

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
        return self
