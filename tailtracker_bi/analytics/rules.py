"""The rules of `analytics.yml`: what is activity, who is left out, which retentions, funnels and levels there are."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from tailtracker_bi.analytics.alerts import Alerting, AlertRules
from tailtracker_bi.analytics.reports import ExportRules, ReportRules
from tailtracker_bi.privacy import ID_PROPERTIES, is_personal_id, is_personal_name, mask_text

MOST_IN_WINDOW = 1_000_000

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

NOBODYS_IDS = frozenset(
    {
        "null", "nil", "none", "nan", "n/a", "na", "undefined", "unknown", "anon", "anonymous", "guest", "true",
        "false", "[]", "{}", "[object object]", "-1", "lmy47d", "id", "user_id", "userid", "distinct_id", "distinctid",
        "not_authenticated",
    }
)  # fmt: skip
"""Ids, in lower case, that an app sends for want of one. Empty ones and those of zeros and dashes are known besides."""


def _lands(name: str) -> str:
    """Refuse a name under which nothing can be found, as it is masked before it lands."""
    if mask_text(name) != name:
        raise ValueError(f"{name!r} holds personal data and lands only masked, as {mask_text(name)!r}: name that")
    return name


def _lands_as_property(path: str) -> str:
    """Refuse a property that never lands, or something inside one."""
    for name in (path, *path.split(".")):
        if is_personal_name(name):
            raise ValueError(
                f"{name!r} is personal data and never lands, so that nothing can be found by it: "
                "use test_accounts.user_ids for people, or a property that is not personal, such as $user_id"
            )
    return _lands(path)


def _as_json(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


EventName = Annotated[str, Field(min_length=1), AfterValidator(_lands)]
PropertyName = Annotated[str, Field(min_length=1), AfterValidator(_lands_as_property)]
PropertyValue = Annotated[str, BeforeValidator(_as_json)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Activity(_Strict):
    """Events that are no sign of a person."""

    exclude_events: list[EventName] = []


class Identities(_Strict):
    """Which ids are nobody's."""

    nobodys_ids: list[str] = []

    @property
    def all_nobodys(self) -> set[str]:
        """Those that Mixpanel refuses, and the business's own, as they are compared."""
        return {*NOBODYS_IDS, *map(plain_id, self.nobodys_ids)}


def plain_id(raw_id: str) -> str:
    """An id as it is compared with those that are nobody's: without `$device:`, spaces, quotation marks and case."""
    return raw_id.removeprefix("$device:").lower().strip(" \t\r\n\"'")


def _check_value_lands(name: str, value: str) -> None:
    """Refuse a value that no event can have, as it is masked before it lands."""
    if name in ID_PROPERTIES and is_personal_id(value):
        raise ValueError(f"{name} that is personal data lands only as a hash: use test_accounts.user_ids")
    if name not in ID_PROPERTIES and mask_text(value, name.split(".")[-1]) != value:
        raise ValueError(
            f"the value of {name} is personal data and lands only masked, so that nothing can equal it: "
            "use test_accounts.user_ids for people, or a property that is not personal, such as $user_id"
        )


class PropertyEquals(_Strict):
    """Events that carry this property value."""

    property: PropertyName
    equals: PropertyValue

    @model_validator(mode="after")
    def _value_lands(self) -> PropertyEquals:
        _check_value_lands(self.property, self.equals)
        return self


class TestAccounts(_Strict):
    """People and events that are left out everywhere."""

    __test__ = False  # pytest: not a test class

    user_ids: list[str] = []
    event_properties: list[PropertyEquals] = []


class Retention(_Strict):
    """One declared retention: who starts, what counts as a return, how it is cut."""

    id: Identifier
    label: str | None = None
    start_event: EventName
    return_event: EventName = "any"
    cohort: Literal["first", "recurring"] = "first"
    modes: list[Literal["n_day", "unbounded"]] = Field(["n_day", "unbounded"], min_length=1)
    grains: list[Literal["day", "week", "month"]] = Field(["day", "week", "month"], min_length=1)


class PropertyFilter(_Strict):
    """A condition on one property of an event; a missing property equals nothing."""

    property: PropertyName
    equals: PropertyValue | None = None
    not_equals: PropertyValue | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> PropertyFilter:
        if (self.equals is None) == (self.not_equals is None):
            raise ValueError("give either equals or not_equals")
        _check_value_lands(self.property, self.value())
        return self

    def value(self) -> str:
        """What is compared with."""
        return self.equals or "" if self.not_equals is None else self.not_equals


class FunnelStep(_Strict):
    """An event, and the conditions its properties must all meet."""

    event: EventName
    where: list[PropertyFilter] = []


def _named_step(value: Any) -> Any:
    return {"event": value} if isinstance(value, str) else value


class Window(_Strict):
    """A length of time above zero; the parts add up."""

    seconds: int = Field(0, ge=0, le=MOST_IN_WINDOW)
    minutes: int = Field(0, ge=0, le=MOST_IN_WINDOW)
    hours: int = Field(0, ge=0, le=MOST_IN_WINDOW)
    days: int = Field(0, ge=0, le=MOST_IN_WINDOW)

    @model_validator(mode="after")
    def _above_zero(self) -> Window:
        if not self.total_seconds:
            raise ValueError("the window must be longer than 0")
        return self

    @property
    def total_seconds(self) -> int:
        return self.seconds + 60 * (self.minutes + 60 * (self.hours + 24 * self.days))


class Funnel(_Strict):
    """One declared funnel: steps in order, within a window that counts from the entry."""

    id: Identifier
    label: str | None = None
    steps: list[Annotated[FunnelStep, BeforeValidator(_named_step)]] = Field(min_length=2)
    window: Window
    order: Literal["ordered"] = "ordered"
    attempt: Literal["best"] = "best"
    same_property: PropertyName | None = None


class ServiceLevel(_Strict):
    """What a service promises, and the counters of Prometheus that tell whether it keeps it: selectors, no functions.

    Of ratios `total` counts all there is, and `good` or `bad` those of it. `buckets` are those of a histogram in
    seconds: the quantile is the level then, in milliseconds.
    """

    slo: Identifier
    service: str = Field("all", min_length=1)
    good: str | None = Field(None, min_length=1)
    bad: str | None = Field(None, min_length=1)
    total: str | None = Field(None, min_length=1)
    buckets: str | None = Field(None, min_length=1)
    quantile: float = Field(0.95, gt=0, lt=1)
    target: float = Field(gt=0, allow_inf_nan=False)
    alert_threshold: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_kind(self) -> ServiceLevel:
        if sum(selector is not None for selector in (self.good, self.bad, self.buckets)) != 1:
            raise ValueError("give one of good, bad and buckets")
        if (self.total is None) != (self.buckets is not None):
            raise ValueError("good and bad need a total, buckets have none")
        if self.buckets is None and self.target >= 1:
            raise ValueError("the target of a ratio must be below 1")
        return self

    def __str__(self) -> str:
        return f"{self.slo} of {self.service}"

    @property
    def part(self) -> str | None:
        """The counters of what is good, or bad."""
        return self.good or self.bad

    @property
    def allowed_share(self) -> float:
        """Of all there is, the share that may go wrong: the error budget."""
        if self.bad is not None:
            return self.target
        return round(1 - (self.target if self.buckets is None else self.quantile), 12)


class Explore(_Strict):
    """What of events lies beside a build, for questions that nobody declared."""

    properties: list[PropertyName] = []


class MetricNotes(_Strict):
    """What the business adds to a metric of the catalogue."""

    label: str | None = None
    owner: str | None = None
    target: float | None = Field(None, allow_inf_nan=False)


class Analytics(_Strict):
    """The whole file."""

    activity: Activity
    identities: Identities = Identities()
    test_accounts: TestAccounts
    retention: list[Retention]
    funnels: list[Funnel]
    service_levels: list[ServiceLevel]
    explore: Explore = Explore()
    cost_share: Annotated[Decimal, Field(ge=0, lt=1, decimal_places=4)] | None = None
    """What it costs to serve customers, of what they pay; not known where it is not set."""
    reports: list[ReportRules] = []
    exports: list[ExportRules] = []
    alerting: Alerting
    alerts: list[AlertRules] = []
    metrics: dict[str, MetricNotes]

    @property
    def named_events(self) -> set[str]:
        """Every event that the file names."""
        steps = {step.event for funnel in self.funnels for step in funnel.steps}
        retained = {event for retention in self.retention for event in (retention.start_event, retention.return_event)}
        return {*self.activity.exclude_events, *steps, *(retained - {"any"})}

    @property
    def gross_margin(self) -> Decimal | None:
        return None if self.cost_share is None else 1 - self.cost_share

    @property
    def explored_properties(self) -> list[str]:
        """The properties of events that questions may be about: those listed for it, and those that funnels name."""
        steps = [step for funnel in self.funnels for step in funnel.steps]
        named = {rule.property for step in steps for rule in step.where}
        shared = {funnel.same_property for funnel in self.funnels if funnel.same_property}
        return sorted({*self.explore.properties, *named, *shared})

    @model_validator(mode="after")
    def _test_accounts_are_people(self) -> Analytics:
        for user_id in self.test_accounts.user_ids:
            plain = plain_id(user_id)
            if not plain.strip("0-") or plain in self.identities.all_nobodys:
                raise ValueError(f"test_accounts.user_ids: {user_id!r} is nobody's id, and leaves nobody out")
        return self

    @model_validator(mode="after")
    def _deliveries_are_told_apart(self) -> Analytics:
        both = sorted({one.id for one in self.reports} & {one.id for one in self.exports})
        if both:
            raise ValueError(f"exports: {both[0]!r} is the id of a report, too: what went out is known by it")
        return self

    @field_validator("service_levels")
    @classmethod
    def _unique_levels(cls, levels: list[ServiceLevel]) -> list[ServiceLevel]:
        names = [str(level) for level in levels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated[0]} stands more than once")
        return levels

    @field_validator("retention", "funnels", "reports", "exports", "alerts")
    @classmethod
    def _unique_ids(cls, entries: list[Any]) -> list[Any]:
        ids = [entry.id for entry in entries]
        repeated = sorted({entry_id for entry_id in ids if ids.count(entry_id) > 1})
        if repeated:
            raise ValueError(f"the id {repeated[0]!r} stands more than once")
        return entries
