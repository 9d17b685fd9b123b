"""Declared reports over the sample build: its numbers are the build's, and nothing is silently old or partial."""

from __future__ import annotations

import io
import re
from datetime import date
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from pypdf import PdfReader
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension

from tailtracker_bi import bundle
from tailtracker_bi.analytics import ReportRules, load_analytics
from tailtracker_bi.bundle.pointer import Bundle
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.figures.wording import number
from tailtracker_bi.reports import (
    FORMATS,
    Content,
    NoPeriodError,
    Report,
    content_of,
    declared,
    formats,
    one_line,
    report_of,
    write_report,
)
from tailtracker_bi.reports.content import PAGES
from tests.alerts import rule, with_mrr
from tests.worlds import sample_bundle
from tests.worlds.sample_bundle import changed, with_mixpanel

WEEK, BEFORE, EARLIER = date(2025, 3, 3), date(2025, 2, 24), date(2025, 3, 5)


class Reader(HTMLParser):
    """What a reader meets: the rows of all tables as texts, the text, the tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, text: str) -> None:
        self._texts.append(text)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {text}".split())

    def row(self, label: str) -> list[str]:
        return next(cells for cells in self.rows if cells and re.match(rf"{re.escape(label)}\b", cells[0]))


SHIPPED = load_analytics()
RULES = SHIPPED.reports


def content(build: Bundle, as_of: date | None = None, name: str = "weekly", **further: object) -> Content:
    given = {"alerts": SHIPPED.alerts} | further
    return content_of(declared(RULES, name), build, as_of, **given)  # type: ignore[arg-type]


@cache
def shipped(build: Bundle, as_of: date | None = None) -> Content:
    """Of the weekly report."""
    return content(build, as_of)


@cache
def report(build: Bundle, as_of: date | None = None) -> Report:
    return report_of(shipped(build, as_of))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sample_bundle.publish(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest: only the test that is about it draws."""
    if request.node.name != "test_the_same_build_gives_the_same_file_to_the_byte":
        monkeypatch.setattr(formats, "picture", lambda *_: b"drawn")


@cache
def read(build: Bundle, as_of: date | None = None) -> Reader:
    return Reader(report(build, as_of).html)


def published(build: Bundle, metric: str, start: date, grain: str = "week") -> float:
    values = bundle.read(build, "metric_values", metric_id=metric, grain=grain, segment="all", period_start=start)
    return float(values["value"].iloc[0])


@pytest.mark.parametrize(
    ("metric", "label", "form"),
    [
        ("sign_ups", "Sign-ups", "integer"),
        ("mrr", "MRR", "money EUR"),
        ("payment_success_rate", "Payment success", "percent"),
        ("net_volume", "Net volume", "money EUR"),
    ],
)
def test_a_figure_is_the_builds_value_of_the_week_beside_that_of_the_week_before(
    build: Bundle, metric: str, label: str, form: str
) -> None:
    now, before = (number(published(build, metric, start), form) for start in (WEEK, BEFORE))
    assert read(build).row(label)[1].split(" n = ")[0] == f"{now} before {before}"


def test_what_is_counted_by_day_alone_is_of_the_weeks_last_day(build: Bundle) -> None:
    value = published(build, "recovery_rate_30d", date(2025, 3, 9), "day")
    cells = read(build).row("Recovery rate")
    assert "on 9 Mar 2025" in cells[0]
    assert cells[1].startswith(number(value, "percent"))


def test_retention_is_of_all_whose_day_came_in_the_week(build: Bundle) -> None:
    cohorts = bundle.read(build, "metric_values", metric_id="retention_d7", segment="all", grain="day")
    days = [date(2025, 2, day) for day in range(17, 24)]
    own = cohorts[cohorts["period_start"].dt.date.isin(days)]
    cells = read(build, EARLIER).row("Day 7 retention")
    assert "who signed up 17 Feb 2025 to 23 Feb 2025" in cells[0]
    assert cells[1].startswith(number(own["numerator"].sum() / own["denominator"].sum(), "percent"))


def test_the_week_that_is_still_running_is_never_taken(build: Bundle) -> None:
    assert report(build).period_start == WEEK
    assert report(build, date(2025, 3, 10)).period_start == WEEK
    assert report(build, date(2025, 3, 9)).period_start == BEFORE


def test_values_that_are_not_complete_are_said_to_be_and_compared_with_nothing(build: Bundle) -> None:
    reader = read(build)
    assert reader.row("Active people")[2] == "not complete yet"
    assert "Not complete, so compared with nothing: Active people, Monthly active people" in reader.text
    assert "were active" not in reader.text
    assert re.search(r"▲ \+\d", read(build, EARLIER).row("Active people")[2])


def test_changes_are_points_of_shares_and_percent_of_counts_and_say_in_a_word_which_way_is_good(build: Bundle) -> None:
    reader = read(build)
    assert reader.row("Sign-ups")[2] == "▼ -60.0% worse"
    assert reader.row("Subscriber churn, 30 days")[2] == "▲ +2.2 points may be chance"
    assert reader.row("MRR")[2].endswith("better")
    assert reader.row("Lost pet alerts")[2] == "no change"
    # What may be chance has no colour, and says of how many it is.
    assert reader.row("Subscriber churn, 30 days")[1].endswith("n = 45, before 42")
    judged = [attrs["class"] for _, attrs in reader.tags if (attrs.get("class") or "").split()[1:]]
    words = [row[2].split()[-1] for row in reader.rows if len(row) == 3]
    assert [name.split()[1] for name in judged if name] == [word for word in words if word in {"better", "worse"}]


def test_the_headline_puts_facts_side_by_side(build: Bundle) -> None:
    assert (
        "MRR ended the week at €512.77 (+13.2%) and 14 people signed up (-60.0%). "
        "In brackets: the change on the week before."
    ) in read(build).text


def test_a_chart_of_weeks_before_its_figures_are_exact_says_so(build: Bundle) -> None:
    said = "Exact from 2025-02-10 on."
    told = shipped(build)
    assert [drawing.title for drawing in told.drawings if any(said in note for note in drawing.notes)] == ["MRR"]
    assert {kpi.metric.metric_id for kpi in told.kpis if said in kpi.metric.about} == {"mrr", "nrr"}
    assert "Deletions are known" not in read(build).text


def test_the_headline_says_which_segment_made_a_change(build: Bundle) -> None:
    assert "The change in MRR came mostly from country France (+€47.00)." in read(build).text
    # The week before nothing did, and 7.4 % more people than 162 may be chance.
    assert "came mostly from" not in read(build, EARLIER).text


@pytest.mark.parametrize(
    "change",
    [
        # Not complete, not known, or as much as all others: then nobody knows who made it.
        "update metric_values set is_complete = false where metric_id = 'mrr' and segment = 'country'",
        "update metric_values set value = null where metric_id = 'mrr' and segment_value = 'Germany'",
        "update metric_values set value = null where metric_id = 'mrr' and segment = 'all'",
        "delete from metric_values where metric_id = 'mrr' and segment = 'country' and period_start = '2025-02-24'",
    ],
)
def test_a_cause_that_is_not_known_is_not_named(change: str, build: Bundle, tmp_path: Path) -> None:
    others = "delete from metric_values where metric_id = 'mrr' and segment in ('plan', 'billing_cycle', 'currency')"
    assert "country France" in read(changed(build, tmp_path / "all", others)).text
    assert "came mostly from" not in read(changed(build, tmp_path, others, change)).text


@pytest.mark.parametrize("value", ["null", "'nan'::double", "'inf'::double"])
def test_a_value_that_is_none_is_no_data_and_never_zero(value: str, build: Bundle, tmp_path: Path) -> None:
    own = changed(build, tmp_path, f"update metric_values set value = {value} where metric_id = 'sign_ups'")
    reader = read(own)
    assert reader.row("Sign-ups")[1:] == ["no data before no data", ""]
    assert "signed up (" not in reader.text


def test_a_number_that_nobody_can_read_stays_short(build: Bundle, tmp_path: Path) -> None:
    own = changed(build, tmp_path, "update metric_values set value = 1e300 where metric_id in ('sign_ups', 'mrr')")
    assert read(own).row("MRR")[1] == "1.00e+300 before 1.00e+300"


def test_what_a_headline_figure_lacks_is_told_in_one_line(build: Bundle, tmp_path: Path) -> None:
    said = (
        "Not counted in these: 7 events (not JSON), 1 Mar 2025 to 6 Mar 2025; 3 subscription items (metered price, "
        "€12.00), 1 Feb 2025."
    )
    assert said in " ".join(read(build).text.split())
    others = "update not_counted set metric_ids = 'retention_d7,mrr_new'"
    unconcerned = sample_bundle.changed(build, tmp_path / "unconcerned", others)
    assert "Not counted" not in read(unconcerned).text
    older = sample_bundle.changed(build, tmp_path / "older", "drop table not_counted")
    assert "Not counted" not in read(older).text


def test_a_source_that_is_off_leaves_no_data_and_what_is_known_stands(build: Bundle, tmp_path: Path) -> None:
    own = changed(
        build,
        tmp_path,
        "delete from metric_values where metric_id in "
        "(select metric_id from metric_catalog where sources like 'stripe%')",
        "update data_status set status = 'off', last_day = null, reason = 'STRIPE_API_KEY is not set' "
        "where source = 'stripe'",
    )
    made = report(own)
    reader = Reader(made.html)
    assert reader.row("MRR")[1:] == ["no data before no data", ""]
    assert reader.row("Stripe")[1:] == ["none", "off"]
    assert "No data in these weeks." in reader.text
    assert {name for name in made.pictures if "line-" not in name} == {
        f"{name}{look}@tailtracker-bi" for name in ("active_users", "sign_ups") for look in ("", "-dark")
    }


def test_an_earlier_build_that_lacks_a_metric_leaves_it_out(build: Bundle, tmp_path: Path) -> None:
    own = changed(
        build,
        tmp_path,
        "delete from metric_catalog where metric_id in ('mrr', 'sign_ups')",
        "delete from metric_values where metric_id in ('mrr', 'sign_ups')",
    )
    assert not any(cells[:1] == ["MRR"] for cells in read(own).rows)


@pytest.mark.parametrize("status", ["late", "failed", "held"])
def test_the_subject_begins_with_what_is_wrong(status: str, build: Bundle, tmp_path: Path) -> None:
    own = with_mixpanel(build, tmp_path, status, "the export was cut short")
    made = report(own)
    assert made.subject == f"[DATA {status.upper()}: MIXPANEL] TailTracker, week of 3 Mar 2025"
    assert "the export was cut short" in Reader(made.html).text.split("Figures")[0]


def test_a_subject_without_trouble_is_plain_and_a_week_that_is_not_complete_is_trouble(
    build: Bundle, tmp_path: Path
) -> None:
    own = with_mixpanel(build, tmp_path, "ok", None)
    assert report(own).subject == "[NOT COMPLETE] TailTracker, week of 3 Mar 2025"
    earlier = report(own, EARLIER)
    assert earlier.subject == "TailTracker, week of 24 Feb 2025"
    assert "All data is in, complete through 6 Mar 2025." in Reader(earlier.html).text


def test_a_day_after_the_builds_own_tells_how_old_the_data_is(build: Bundle) -> None:
    made = report(build, date(2025, 3, 30))
    assert "DATA 18 DAYS OLD; NOT THE LATEST WEEK]" in made.subject
    assert "2 later weeks are over, without a complete figure" in Reader(made.html).text


def test_what_happened_in_the_period_is_told_in_the_zone_of_the_reports(build: Bundle, tmp_path: Path) -> None:
    rows = ", ".join(
        [
            "('release', '4.2', timestamp '2025-03-02 23:30', null, null)",
            "('incident', 'Payments down', timestamp '2025-02-20 10:00', timestamp '2025-03-04 08:00', null)",
            "('campaign', 'Spring', timestamp '2025-03-09 23:30', null, null)",
        ]
    )
    told = f"select * from (values {rows}) as told (kind, title, started_at, ended_at, url)"
    own = changed(build, tmp_path, f"create or replace table annotations as {told}")
    assert shipped(own).events == ["Campaign, 9 Mar 2025: Spring", "Incident, 20 Feb 2025: Payments down"]
    assert content(own, timezone="Europe/Berlin").events == [
        "Release, 3 Mar 2025: 4.2",
        "Incident, 20 Feb 2025: Payments down",
    ]
    assert content(own, EARLIER, timezone="America/New_York").events[0] == "Release, 2 Mar 2025: 4.2"
    assert shipped(own, date(2025, 2, 10)).events == []


def test_alerts_of_the_period_are_told_the_worst_first(build: Bundle, tmp_path: Path) -> None:
    rules = [rule(metric="mrr", below=90), rule(id="two", metric="mrr", falls_by=0.5, severity="critical")]
    days = dict.fromkeys(range(1, 16), 100.0)
    own = with_mrr(build, tmp_path, days | {2: 80, 3: 80, 5: 80, 9: 20, 12: 80})

    def told(as_of: date, **further: object) -> list[str]:
        return content(own, as_of, alerts=rules, **further).told["Alerts"]

    # Of the week from 3 to 9 February; what began before it and was not over belongs to it.
    assert told(date(2025, 2, 10)) == [
        "Critical: MRR, 9 Feb 2025: €20.00 after €80.00, -75.0%. Over since 10 Feb 2025.",
        "Warning: MRR, 9 Feb 2025: €20.00, below €90.00. Over since 10 Feb 2025.",
        "Warning: MRR, 5 Feb 2025: €80.00, below €90.00. Over since 6 Feb 2025.",
        "Warning: MRR, 2 Feb 2025: €80.00, below €90.00. Over since 4 Feb 2025.",
    ]
    # What was over as the next week began is not of it. Of its last day nothing is known.
    assert told(date(2025, 2, 17)) == [
        "Warning: MRR, 12 Feb 2025: €80.00, below €90.00. Over since 13 Feb 2025.",
        "Not judged in full, as data is missing: MRR.",
    ]
    assert told(date(2025, 2, 17), of=date(2025, 2, 24)) == [
        "None in this week, by what is known.",
        "Not judged in full, as data is missing: MRR.",
    ]
    # Without a payment there is nothing to judge, and nothing missing.
    unpaid = changed(own, tmp_path / "unpaid", "update metric_values set value = null where metric_id = 'nrr'")
    success = [rule(metric="nrr", grain="month", below=0)]
    assert content(unpaid, name="board", alerts=success).told["Alerts"] == ["None in this month."]
    assert content(own, alerts=[]).told.keys().isdisjoint({"Alerts"})
    assert content(own, EARLIER, alerts=[rule(metric="nosuch", below=1)]).alerts is None
    assert content(build, EARLIER, alerts=[rule(metric="mrr", below=0)]).told["Alerts"] == ["None in this week."]


def test_who_sees_no_parts_of_few_people_is_told_of_none(build: Bundle, tmp_path: Path) -> None:
    whole = {"hidden_below": 5, "dashboard_url": "https://bi.example"}
    assert "country France" in content(build, **whole).causes
    own = changed(
        build,
        tmp_path,
        "update metric_values set value = 3 where metric_id = 'subscribers' and segment_value = 'France'",
        # Only by country does it come from somewhere.
        "delete from metric_values where metric_id = 'mrr' and segment in ('plan', 'billing_cycle', 'currency')",
    )
    assert "country France" in shipped(own).causes
    of_france = [rule(metric="mrr", segment="country", segment_value="France", below=1e9)]
    told = content(own, alerts=of_france, **whole)
    assert (told.causes, told.alerts) == ("", None)
    assert all("France" not in FORMATS[form][1](told).decode() for form in ("html", "text", "slack", "json"))
    # Why it changed is no page of theirs.
    assert told.links["mrr"] == "https://bi.example/revenue"
    pages = {page.stem for page in (Path(__file__).parents[2] / "dashboards" / "app_pages").glob("*.py")}
    domains = set(bundle.read(build, "metric_catalog")["domain"])
    assert {PAGES[domain] for domain in domains} <= pages


def test_a_figure_that_moved_the_same_way_for_several_weeks_is_said_to(build: Bundle, tmp_path: Path) -> None:
    weeks = {"2025-02-17": 500, "2025-02-24": 400, "2025-03-03": 300}
    own = changed(
        build,
        tmp_path,
        *(
            f"update metric_values set value = {value}, numerator = {value} where metric_id = 'sign_ups' "
            f"and segment = 'all' and grain = 'week' and period_start = date '{start}'"
            for start, value in weeks.items()
        ),
    )
    assert "Sign-ups fell for the second week running." in shipped(own).causes
    assert "Sign-ups" not in shipped(build).causes


def test_what_is_known_by_month_alone_is_of_the_last_month_that_was_over(build: Bundle) -> None:
    shown = {kpi.metric.metric_id: kpi for kpi in shipped(build).kpis}
    assert shown["nrr"].when == "February 2025"
    assert {kpi.metric.metric_id: kpi for kpi in shipped(build, EARLIER).kpis}["nrr"].when == "February 2025"
    assert {kpi.metric.metric_id: kpi for kpi in shipped(build, date(2025, 2, 28)).kpis}["nrr"].when == "January 2025"


@pytest.mark.parametrize("name", ["pulse", "weekly", "board"])
def test_every_form_of_every_report_says_its_figures(name: str, build: Bundle) -> None:
    told = content(build, name=name, dashboard_url="https://bi.example/")
    first = told.kpis[0]
    for form in ("html", "text", "markdown", "slack", "json"):
        said = FORMATS[form][1](told).decode()
        assert first.metric.label in said, form
        assert first.shown.lstrip("€") in said or str(first.now.value) in said, form
    assert f'href="https://bi.example/explain?metric={first.metric.metric_id}"' in report_of(told).html
    assert FORMATS["pdf"][1](told).startswith(b"%PDF-")
    parsed = orjson.loads(FORMATS["json"][1](told))
    assert [one["value"] for one in parsed["figures"]] == [kpi.now.value for kpi in told.kpis]


GOLDEN = {"html": "html", "text": "txt", "markdown": "md", "slack": "slack.json", "json": "json", "pdf": "pdf.txt"}
"""What the forms of the weekly report looked like when somebody last looked at them, without their pictures; of a PDF
the texts of its pages, those in its charts, too.

`pytest tests/reports --snapshot-update` writes them anew: look at what differs before it is committed.
"""


@pytest.mark.parametrize("form", GOLDEN)
def test_a_report_is_as_it_was_when_somebody_looked_at_it(
    form: str, build: Bundle, snapshot: SnapshotAssertion
) -> None:
    class Golden(SingleFileSnapshotExtension):
        file_extension = GOLDEN[form]

    told = content(build, dashboard_url="https://bi.example/")
    said = report_of(told).html.encode() if form == "html" else FORMATS[form][1](told)
    if form == "pdf":
        pages = PdfReader(io.BytesIO(said)).pages
        said = "\f".join(page.extract_text() for page in pages).encode()
    assert said.replace(build.build.encode(), b"20250312T060000-golden") == snapshot(extension_class=Golden)


def test_numbers_are_written_as_in_the_language_that_is_declared(build: Bundle, tmp_path: Path) -> None:
    in_german = declared(RULES, "weekly").model_copy(update={"numbers": "de"})
    english, german = (content_of(rules, build) for rules in (declared(RULES, "weekly"), in_german))
    for form in ("html", "text", "markdown", "slack"):
        told = {one: FORMATS[form][1](content).decode() for one, content in (("en", english), ("de", german))}
        assert re.search(r"€\d+\.\d\d", told["en"]), form
        assert re.search(r"\d,\d\d\xa0€", told["de"]), form
        assert re.search(r"\d\.\d%", told["en"]), form
        assert re.search(r"\d,\d\xa0%", told["de"]), form
        assert not re.search(r"€\d|\d\.\d+(\s?%| points)", told["de"]), form
    [mrr] = [one for one in orjson.loads(FORMATS["json"][1](german))["figures"] if one["metric_id"] == "mrr"]
    assert mrr["value"] == published(build, "mrr", WEEK)
    # What is written afterwards is English again.
    assert number(1234.5, "decimal") == "1,234.50"


def test_a_language_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'klingon!' is not a language; use a name like en, de or pt_BR"):
        ReportRules.model_validate(declared(RULES, "weekly").model_dump() | {"numbers": "klingon!"})


def test_what_came_from_outside_is_inert(build: Bundle, tmp_path: Path) -> None:
    own = changed(
        build,
        tmp_path,
        "update metric_catalog set label = $text, description = $text, unit = $text",
        "update data_status set source = $text, status = 'failed', reason = $text where source = 'mixpanel'",
        text="<img src=x onerror=alert(1)>\r\nBcc: a@b.example\" onload='x'",
    )
    made = report(own)
    tags = Reader(made.html).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "iframe", "link", "a", "form"})
    shown = [attributes.get("src") or attributes.get("srcset") for tag, attributes in tags if tag in {"img", "source"}]
    assert sorted(map(str, shown)) == sorted(f"cid:{key}" for key in made.pictures)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert made.subject.isprintable()


def test_mail_clients_and_screen_readers_are_served(build: Bundle) -> None:
    made = report(build)
    tags = Reader(made.html).tags
    assert len(made.html.encode()) < 100_000
    assert ("html", {"lang": "en"}) in tags
    assert f"<title>{made.subject}</title>" in made.html
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    described = [str(attributes["alt"]) for tag, attributes in tags if tag == "img" and attributes["alt"]]
    assert len(described) == 4
    assert any("MRR from €" in text and text.endswith("to €512.77 (week of 3 Mar 2025).") for text in described)


def test_the_same_build_gives_the_same_file_to_the_byte(build: Bundle, tmp_path: Path) -> None:
    first = write_report(content(build), tmp_path / "one")
    again = write_report(content(build), tmp_path / "two")
    assert first.name == f"weekly-2025-03-03-{sample_bundle.BUILD}.html"
    assert first.read_bytes() == again.read_bytes()
    assert [file.name for file in first.parent.iterdir()] == [first.name]
    page = first.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,iVBORw0KGgo") == len(report(build).pictures)
    assert "cid:" not in page


def test_what_can_not_be_reported_is_told_in_one_line(build: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no report 'monthly'; there are: pulse, weekly, board"):
        content(build, name="monthly")
    with pytest.raises(NoPeriodError, match="no week was complete by 2025-01-05"):
        shipped(build, date(2025, 1, 5))
    with pytest.raises(bundle.BundleError, match=f"there is no build x; kept are: {sample_bundle.BUILD}"):
        bundle.kept_build(build.path.parent.parent, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_several_lines_is_one() -> None:
    assert one_line("a\r\nBcc: b\u2028c\x00 d") == "a Bcc: b c d"
