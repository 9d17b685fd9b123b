"""The pages of the dashboard over a small published build, one by one."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import altair as alt
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import components, data, printed
from dashboards.sections.mrr import modes_table
from tailtracker_bi import bundle, reports
from tailtracker_bi.figures import wording
from tailtracker_bi.figures.exported import as_data
from tests.dashboards import CHARTS, PAGES, SECTIONS, open_page
from tests.worlds import sample_bundle, sample_money


@pytest.fixture(scope="module")
def home_of_events_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events_alone")
    sample_bundle.publish(folder, off=["stripe", "app_db"])
    return folder


@pytest.fixture(scope="module")
def home_without_a_rate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without_a_rate")
    sample_bundle.publish(folder, is_rate_missing=True)
    return folder


def said(page: AppTest) -> str:
    return "\n".join(str(block.value) for kind in (page.info, page.warning, page.error) for block in kind)


def table(page: AppTest, column: str) -> pd.DataFrame:
    """The first table that has a column."""
    return next(frame.value for frame in page.dataframe if column in frame.value)


def controls(page: AppTest) -> dict[str, Any]:
    """What is chosen of a page, by its key."""
    main = page.main
    kinds = (main.selectbox, main.button_group, main.multiselect, main.date_input, main.text_input)
    return {str(control.key): control.value for kind in kinds for control in kind}


def grains_of(*segments: str) -> list[Any]:
    """Each segment by each grain: with each quickly once, and all pairs among the slow tests."""
    grains = ("day", "week", "month")
    return [
        pytest.param(segment, grain, marks=[pytest.mark.slow] * (grain != grains[number % 3]))
        for number, segment in enumerate(segments)
        for grain in grains
    ]


def test_tiles_show_the_latest_complete_day_not_the_newest_day() -> None:
    tiles = {tile.label: tile.value for tile in open_page("Overview").metric}
    active = sum(date(2025, 3, 6) in person.active for person in sample_bundle.invent_people())
    assert tiles["Daily active people"] == str(active)
    assert tiles["Stickiness"].endswith("%")


@pytest.mark.parametrize(("title", "sections"), SECTIONS.items())
def test_a_page_shows_its_sections_with_charts_that_vega_lite_takes(title: str, sections: tuple[str, ...]) -> None:
    page = open_page(title)
    assert [heading.value for heading in page.header] == list(sections)
    assert "Data as of 12 Mar 2025, complete through 6 Mar 2025" in [
        block.proto.popover.label for block in page.get("popover")
    ]
    charts = [chart.proto for chart in page.get("vega_lite_chart")]
    assert len(charts) == CHARTS[title]
    for chart in charts:
        spec = json.loads(chart.spec)
        alt.Chart.from_dict(spec)  # Raises where the schema does not know a name or takes no such value.
        layers = spec.get("layer", [spec])
        rows = {one.name: pa.ipc.open_stream(one.data.data).read_all() for one in chart.datasets}
        assert {layer["data"]["name"] for layer in layers} == {*rows}
        for layer in layers:
            fields = {own["field"] for own in layer["encoding"].values() if isinstance(own, dict) and "field" in own}
            assert fields <= {*rows[layer["data"]["name"]].column_names}


@pytest.mark.parametrize("title", PAGES)
def test_without_a_bundle_a_page_tells_how_to_get_one(
    title: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "empty"))
    page = open_page(title)
    assert "no data to show yet" in said(page)
    assert page.code[0].value == "tailtracker-bi refresh"


@pytest.mark.parametrize("title", PAGES)
def test_wrong_settings_are_told_and_not_shown_as_a_traceback(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_TIMEZONE", "Mars/Olympus")
    assert "TAILTRACKER_TIMEZONE" in said(open_page(title)).replace("\\", "")


@pytest.mark.parametrize(("status", "words"), [("late", "is late"), ("failed", "could not be read")])
def test_a_source_in_trouble_is_told_in_words(
    status: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.publish(tmp_path, mixpanel=(status, "the export was <cut> short"))
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    message = said(open_page("Overview"))
    assert words in message
    assert "1 day is missing" in message
    assert r"\<cut\>" in message


def test_an_old_build_says_how_old_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "days old" not in said(open_page("Overview"))
    monkeypatch.setenv("TAILTRACKER_NOW", "2025-03-20T07:00:00Z")
    assert "8 days old" in said(open_page("Overview"))


def test_a_new_build_shows_on_the_next_rerun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample_bundle.publish(tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("Overview")
    sample_bundle.publish(tmp_path, mixpanel=("ok", None), build="20250313T060000-77aa01")
    page.run()
    assert "is late" not in said(page)
    assert "20250313T060000-77aa01" in list(open_page("Data health").dataframe[-1].value["Value"])


def test_a_metric_without_data_says_why(home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    message = said(open_page("Metric catalogue", metric="subscribers")).replace("\\", "")
    assert "Subscribers: no data." in message
    assert "STRIPE_API_KEY is not set" in message


VIEW = {"range": "30", "against": "year", "grain": "month"}
OWN = {"dates": ["2025-02-01", "2025-02-20"], "against": "none"}
LINKS: list[tuple[str, dict[str, Any]]] = [
    ("Overview", VIEW | {"of": "country=Japan"}),
    ("Active users", OWN | {"segment": "country", "country": ["Japan", "Brazil"], "metric": "wau", "grain": "week"}),
    ("Lifecycle", {"range": "all", "of": "plan=premium"}),
    ("Retention", OWN | {"mode": "unbounded", "cohorts": "month", "segment": "platform"}),
    ("Funnels", {"funnel": "lost_pet_recovery", "entered": "2025-01-06", "segment": "country", "range": "all"}),
    ("Revenue", VIEW | {"metric": "mrr_new", "in": "USD", "of": "country=United States"}),
    ("Payments", OWN | {"rate": "recovery_rate", "metric": "fees", "segment": "card_brand", "grain": "month"}),
    (
        "Pets and alerts",
        {"accounts": "total_users", "alerts": "pets_recovered", "pets": "total_pets", "of": "species=cat"},
    ),
    (
        "Why did it change?",
        {"metric": "dau", "grain": "day", "earlier": "2025-02-03", "later": "2025-03-03", "segment": "country"},
    ),
    ("Voice and acquisition", VIEW | {"segment": "category"}),
    ("Service levels", VIEW | {"month": "2025-02-01"}),
    ("Metric catalogue", VIEW | {"find": "active", "metric": "wau", "of": "platform=ios"}),
    ("Event catalogue", {"find": "pet"}),
]


@pytest.mark.parametrize(("title", "link"), LINKS)
def test_a_link_carries_ids_restores_the_view_and_stays_in_the_address_bar(title: str, link: dict[str, Any]) -> None:
    page = open_page(title, **link)
    shown = controls(page)
    if "dates" in link:
        shown["dates"] = list(map(str, shown["dates"]))
        assert shown["range"] == "own"
    assert {key: shown[key] for key in link} == link
    assert page.query_params == link
    assert "not known here" not in said(page)


def test_who_chooses_before_the_browser_knows_the_link_of_the_last_choice_keeps_both_and_back_undoes_both() -> None:
    page = open_page("Overview")
    page.selectbox(key="range").set_value("30").run()
    page.query_params = {}  # as the browser, which sends the one that it has
    page.selectbox(key="of").set_value("country=Japan").run()
    assert page.query_params == {"range": "30", "of": "country=Japan"}
    page.query_params = {"range": "30"}
    page.button(key="only of").click().run()
    assert page.query_params == {"range": "30"}
    page.query_params = {}
    page.run()
    assert page.query_params == {}
    assert controls(page)["range"] == "90"


def test_an_unknown_id_in_a_link_is_told_until_something_else_is_chosen() -> None:
    page = open_page("Revenue", metric="ARR", dates="2025-02-01")
    first = "subscriber_churn_rate_30d"
    assert controls(page)["metric"] == first
    message = said(page).replace("\\", "")
    assert "**Metric:** the link asks for ARR, which is not known here. Shown is Subscriber churn, 30 days." in message
    assert "**Dates:** the link asks for 2025-02-01, which is not known here. Shown is Last 90 days." in message
    assert "the link asks for ARR" in said(page.run())
    page.selectbox(key="metric").set_value("arr").run()
    assert "the link asks for ARR" not in said(page)
    assert page.query_params["metric"] == "arr"
    page.selectbox(key="metric").set_value(first).run()
    assert "metric" not in page.query_params
    assert controls(page)["metric"] == first


WRONG = ["zzz", "", "-1", "9999-99-99", "=1+1", "<script>", ["a", "b", "c"], ["2030-01-01", "2019-01-01"]]


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(title, marks=[pytest.mark.slow] * (title not in {"Overview", "Active users", "Funnels"}))
        for title in PAGES
    ],
)
def test_a_wrong_value_in_the_address_bar_gives_the_default_view(title: str) -> None:
    default = controls(open_page(title))
    # Whatever is looked for may be looked for, and leads to what is found.
    free = {"find", "metric"} if "find" in default else {"find"}
    for value in WRONG:
        page = open_page(title, **dict.fromkeys([*default, "country", "unheard_of"], value))
        shown = {key: chosen for key, chosen in controls(page).items() if chosen is not None and key not in free}
        assert shown.items() <= default.items(), value


@pytest.mark.parametrize(("segment", "grain"), grains_of("all", "platform", "country", "plan", "app_version"))
def test_every_grain_and_segment_draws(grain: str, segment: str) -> None:
    assert len(open_page("Active users", grain=grain, segment=segment).get("vega_lite_chart")) == 4
    # No day or week of sign-ups in the sample is known to be over, by segment, for the cohorts of a month.
    assert len(open_page("Retention", segment=segment, cohorts=grain).get("vega_lite_chart")) == 4
    assert len(open_page("Funnels", grain=grain, segment=segment).get("vega_lite_chart")) == 4


def test_a_segment_value_without_a_row_is_zero_and_a_day_not_received_is_unknown() -> None:
    build = data.current_build()
    points = data.series_by_segment(build, data.catalog(build)["dau"], "day", "country")
    canada = points[points["segment_value"] == "Canada"].set_index("period_start")["value"]
    assert canada[pd.Timestamp("2025-01-01")] == 0
    assert pd.isna(canada[pd.Timestamp(sample_bundle.GAP)])


def test_the_overview_groups_tiles_by_what_is_asked_and_leaves_out_what_is_off(
    home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("Overview")
    assert [heading.value for heading in page.header][:4] == ["People", "Money", "Pets", "Health"]
    assert [tile.label for tile in page.metric] == [
        *("Daily active people", "Monthly active people", "New people", "Stickiness", "Day 7 retention"),
        *("MRR", "Subscribers", "Subscriber churn", "Payment success"),
        *("Pets", "Lost pet alerts", "Recovery rate"),
        *("Availability", "Error budget remaining"),
    ]
    # Five are two full rows.
    beside = [round(1 / column.weight) for column in page.columns if len(column.metric) == 1]
    assert beside[:9] == [3, 3, 3, 2, 2, 4, 4, 4, 4]
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    assert [heading.value for heading in open_page("Overview").header][:3] == ["People", "Health", "Active people"]
    assert "MRR" not in [tile.label for tile in open_page("Overview").metric]


def test_a_source_has_one_badge_and_a_row_for_each_table() -> None:
    page = open_page("Data health")
    badges = [text.value for text in page.markdown if "-badge[" in text.value]
    assert [re.sub(r".*:material/\w+: (.*)\]", r"\1", badge).replace("\\", "") for badge in badges] == [
        "Mixpanel: late, up to 11 Mar 2025",
        "Stripe: up to 11 Mar 2025",
        "App database: up to 11 Mar 2025 (16 of 17 tables)",
        "Prometheus: up to 11 Mar 2025",
    ]
    assert len(page.dataframe[0].value) == 2 + len(sample_bundle.STRIPE_TABLES) + len(sample_bundle.APP_TABLES)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        ("late", "warning", "Run `tailtracker-bi refresh`: it pulls what is missing."),
        (
            "failed", "error",
            "The next `tailtracker-bi refresh` asks again; should it fail, mend what `tailtracker-bi doctor` names.",
        ),
        (
            "held", "error",
            "Look at the source. If what came is right: `tailtracker-bi refresh --accept mixpanel:events`, with "
            "`--relist` where that found it.",
        ),
    ],
)  # fmt: skip
def test_data_health_sums_up_what_is_wrong_and_names_the_worst_first(
    status: str, kind: str, told: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.with_mixpanel(bundle.current(home), tmp_path, status, "the export was <cut> short")
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("Data health")
    assert [line.value.replace("\\", "") for line in page.get(kind)] == [
        f"**1 table is {status}**\n\n- Mixpanel events: the export was <cut> short\n\n" + told
    ]
    table = page.dataframe[0].value
    assert table["State"].str.split().str[-1].tolist()[:2] == [status, "ok"]
    worst = table.iloc[0]
    assert (worst["Last day"], worst["Days missing"]) == ("11 Mar 2025", "1")
    sentences = "\n".join(block.value for block in page.markdown).replace("\\", "")
    assert f"- **Mixpanel events** is {status}: the export was <cut> short. {told}" in sentences
    assert "- **Rows are set aside** of Mixpanel events: look at them in quarantine/ of TAILTRACKER_HOME." in sentences


def test_data_health_tells_what_is_not_counted_in_whole_sentences(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = open_page("Data health")
    table = next(frame.value for frame in page.dataframe if "Example" in frame.value)
    assert list(table["What"]) == ["7 events: not JSON", "3 subscription items: metered price"]
    assert list(table["Amount"]) == ["", "€12.00"]
    assert list(table["Example"]) == ["", "5a3e10aa77aa0101"]
    text = "\n".join(block.value for block in page.markdown).replace("\\", "")
    assert (
        "- Stripe: 3 subscription items (metered price, €12.00), 1 Feb 2025. What is used is not known before it is "
        "billed. They are not, or not exactly, in: ARR, MRR, New MRR." in text
    )
    assert "Mixpanel: 7 events (not JSON), 1 Mar 2025 to 6 Mar 2025. They could not be used" in text
    assert "- **Mixpanel events** is late: 7 March 2025 has not been received. Run `tailtracker-bi refresh`" in text

    nothing = sample_bundle.changed(bundle.current(home), tmp_path / "all_is_in", "delete from not_counted")
    monkeypatch.setenv("TAILTRACKER_HOME", str(nothing.path.parents[1]))
    assert "Everything that was received is counted." in open_page("Data health").success[0].value
    older = sample_bundle.changed(bundle.current(home), tmp_path / "older", "drop table not_counted")
    monkeypatch.setenv("TAILTRACKER_HOME", str(older.path.parents[1]))
    assert "made before this was kept" in said(open_page("Data health"))
    assert not [caption for caption in open_page("Revenue").caption if "Not counted" in caption.value]


@pytest.mark.parametrize(
    ("title", "what", "times"),
    [
        ("Revenue", "3 subscription items (metered price, €12.00), 1 Feb 2025", 1 + 1 + 1),  # tiles, MRR, movements
        ("Overview", "7 events (not JSON), 1 Mar 2025 to 6 Mar 2025", 1 + 1 + 2),  # tiles, trend, funnels
        ("Active users", "7 events (not JSON), 1 Mar 2025 to 6 Mar 2025", 1 + 3),
        ("Payments", "", 0),
    ],
)
def test_what_is_not_counted_is_told_beside_the_figure(title: str, what: str, times: int) -> None:
    captions = [caption.value.replace("\\", "") for caption in open_page(title).caption]
    found = [caption for caption in captions if "Not counted" in caption]
    assert {caption for caption in found if what in caption} == (
        {f":material/rule: Not counted: {what}. See Data health."} if times else set()
    )
    assert len([caption for caption in found if what in caption]) == times


def test_data_health_can_be_narrowed_to_a_source() -> None:
    table = open_page("Data health", source="app_db").dataframe[0].value
    assert table["Source"].unique().tolist() == ["App database"]
    assert len(table) == len(sample_bundle.APP_TABLES)
    empty = table.set_index("Table").loc["referrals"]
    assert (empty["State"], empty["Last day"], empty["Loaded (UTC)"]) == ("○ empty", "", "never")


def test_data_health_says_so_where_all_is_well_and_where_nothing_was_compared(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "well"))
    sample_bundle.with_mixpanel(bundle.current(home), tmp_path / "well", "ok", None)
    assert "All is well" in open_page("Data health").success[0].value
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "early"))
    sample_bundle.changed(bundle.current(home), tmp_path / "early", "drop table reconciliation")
    assert "before sources were compared" in said(open_page("Data health"))


def test_data_health_shows_what_this_build_restated(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = open_page("Data health").dataframe[3].value
    assert table.to_dict("records") == [
        {
            "Metric": "Daily active people", "Period": "4 Mar 2025", "Of": of, "Before": before, "After": now,
            "Why": "late events",
        }
        for of, before, now in [("Everyone", "30", "31"), ("ios", "no data", "1")]
    ]  # fmt: skip
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "same"))
    sample_bundle.changed(bundle.current(home), tmp_path / "same", "delete from restatements where reason <> ''")
    assert "changed no value that was complete before" in said(open_page("Data health"))
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "early"))
    sample_bundle.changed(bundle.current(home), tmp_path / "early", "drop table restatements")
    assert "before restatements were kept" in said(open_page("Data health"))


def test_data_health_tells_the_build_and_compares_all_domains() -> None:
    page = open_page("Data health")
    told = page.dataframe[-1].value.set_index("What")["Value"]
    assert told.to_dict() == {
        "As of": "12 Mar 2025",
        "Built": "12 Mar 2025 06:00 UTC",
        "Build": sample_bundle.BUILD,
        "Engine": "duckdb",
        "Version of TailTracker BI": "0.1.0",
        "Run": "run-1",
    }
    differing = page.dataframe[2].value
    assert list(differing.columns) == ["What", "Day", "First", "Second", "Difference", "Why", "Example"]
    assert differing["What"].nunique() == 3


def test_a_page_links_to_what_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [link.proto.label for link in open_page("Revenue").get("page_link")] == [
        "Where the data comes from",
        "What is missing, and what to do about it",
    ]
    sample_bundle.with_mixpanel(bundle.current(home), tmp_path, "ok", None)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    assert [link.proto.label for link in open_page("Revenue").get("page_link")] == ["Where the data comes from"]


@pytest.mark.parametrize(
    ("title", "why"),
    [
        ("Revenue", "MRR: no data. Stripe is off (STRIPE_API_KEY is not set)"),
        ("Payments", "Payments: no data. Stripe is off (STRIPE_API_KEY is not set)"),
        ("Pets and alerts", "no data. App database is off (APP_DATABASE_URL is not set)"),
    ],
)
def test_a_page_whose_source_is_off_says_so_and_shows_nothing_else(
    title: str, why: str, home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    page = open_page(title)
    assert why in said(page).replace("\\", "").replace("*", "")
    assert list(page.metric) == []
    assert len(page.get("vega_lite_chart")) == 0


def test_volumes_are_shown_where_payments_are_not_known(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As of a key that may not read invoices."""
    gone = "('payments', 'payment_success_rate', 'first_attempt_success_rate', 'attempt_success_rate', 'recovery_rate')"
    sample_bundle.changed(
        bundle.current(home),
        tmp_path,
        f"delete from metric_values where metric_id in {gone}",
        f"update metric_catalog set status = 'no_data' where metric_id in {gone}",
        "delete from payment_outcomes",
    )
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("Payments")
    assert "Payments: no data." in said(page).replace("*", "")
    shown = {tile.label: tile.value for tile in page.metric}
    assert shown["Payments"] == "no data"
    assert shown["Gross volume"].startswith("€")
    assert [header.value for header in page.header] == list(SECTIONS["Payments"])
    assert len(page.get("vega_lite_chart")) == 2


@pytest.mark.parametrize(
    ("title", "table"),
    [("Revenue", "mrr_movements"), ("Payments", "payment_outcomes"), ("Pets and alerts", "reconciliation")],
)
def test_a_build_from_before_a_page_asks_for_a_refresh(
    title: str, table: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.publish(tmp_path, without=[table])
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page(title)
    assert "no data for this page yet" in said(page)
    assert page.code[0].value == "tailtracker-bi refresh"


def test_a_total_without_an_exchange_rate_is_told_and_never_zero(
    home_without_a_rate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_without_a_rate))
    page = open_page("Revenue", grain="day")
    message = said(page) + said(open_page("Revenue", grain="month"))
    assert "MRR has no total in EUR for 3 periods from 9 Mar 2025 to 11 Mar 2025" in message
    assert "MRR has no total in EUR for March 2025" in message
    assert "It needs the rates of JPY, USD" in message
    assert {tile.label: tile.value for tile in page.metric}["MRR"] == "€485.42"
    by_day = table(page, "MRR")
    assert by_day["MRR"].iloc[:4].tolist() == ["no data", "no data", "no data", "€485.42"]
    by_month = table(open_page("Revenue", grain="month"), "Closing")
    assert by_month["Closing"].tolist() == ["no data", "€453.01", "€332.35"]
    assert "Gross volume has no total in EUR" in said(open_page("Payments"))


def test_amounts_in_their_own_currency_stay_known_without_a_rate(
    home_without_a_rate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_without_a_rate))
    newest = table(open_page("Revenue", segment="currency", grain="day"), "JPY").iloc[0]
    paid = sum(
        customer.mrr(sample_money.LAST) for customer in sample_money.invent_customers() if customer.currency == "JPY"
    )
    assert (newest["JPY"], newest["State"]) == (f"¥{paid:,.0f}", "complete")
    assert "Exchange rates" not in table(open_page("Revenue", **{"in": "USD"}), "Closing")


def amount(text: str) -> float:
    return float(re.sub("[^0-9.-]", "", text))


@pytest.mark.parametrize(
    ("link", "periods"),
    [
        ({}, 11),
        ({"grain": "month"}, 3),
        ({"grain": "month", "in": "USD"}, 3),
        ({"of": "plan=premium"}, 11),
        ({"grain": "day", "range": "30", "in": "JPY", "of": "plan=basic"}, 30),
    ],
)
def test_the_movements_add_up_from_left_to_right(link: dict[str, str], periods: int) -> None:
    sums = table(open_page("Revenue", **link), "Closing")
    assert len(sums) == periods
    for row in sums.drop(columns=[link.get("grain", "week").capitalize(), "State"]).to_dict("records"):
        *parts, closing = (amount(text) for text in row.values())
        assert sum(parts) == pytest.approx(closing, abs=0.03)


@pytest.mark.parametrize("grain", ["week", "month"])
def test_movements_of_a_period_begin_where_the_last_one_ended(grain: str) -> None:
    sums = table(open_page("Revenue", grain=grain), "Closing")
    # In a total, what is there on the first of a month was converted at the rate of the day before.
    assert sums["Opening"].iloc[:-1].tolist() == sums["Closing"].iloc[1:].tolist()


def test_outcomes_of_a_period_are_its_payments() -> None:
    page = open_page("Payments", grain="month")
    ended = table(page, "First attempt")
    names = ["First attempt", "Recovered", "Failed", "Pending", "Blocked"]
    assert list(ended.columns) == ["Period", *names, "State"]
    assert sum(int(count) for count in ended[names].iloc[1]) == int(
        {tile.label: tile.value for tile in page.metric}["Payments"]
    )


def test_decline_codes_are_ranked_and_their_shares_add_up() -> None:
    ranked = table(open_page("Payments"), "Decline code")
    counts = [int(count) for count in ranked["Payments"]]
    assert counts == sorted(counts, reverse=True)
    assert sum(amount(share) for share in ranked["Share"]) == pytest.approx(100, abs=0.3)
    assert ranked[["Decline code", "Kind"]].iloc[0].tolist() == ["Insufficient funds", "soft"]


def test_the_dunning_curve_is_of_all_and_of_each_kind_of_decline() -> None:
    curve = table(open_page("Payments", range="all"), "Recovered payments")
    kinds = ["Hard declines", "Soft declines", "Unknown declines"]
    assert [*dict.fromkeys(curve["Of"])] == ["All", *kinds]
    counts = curve.set_index(["Day", "Of"])[["Recovered payments", "Payments (n)"]].map(int)
    for day in ("0", "9", "30"):
        assert counts.loc[day].loc[kinds].sum().tolist() == counts.loc[day, "All"].tolist()
    assert counts.loc["0", "All"].iloc[0] == 0


@pytest.mark.parametrize(("segment", "grain"), grains_of("all", "card_brand", "country", "currency"))
def test_every_grain_and_segment_of_payments_draws(grain: str, segment: str) -> None:
    page = open_page("Payments", grain=grain, segment=segment, metric="gross_volume")
    assert len(page.get("vega_lite_chart")) == (7 if segment == "currency" else 5)


def test_each_page_shows_the_comparisons_of_its_metrics() -> None:
    told = {
        title: [text.value.replace("\\", "") for text in open_page(title).markdown if "compared differ" in text.value]
        for title in ("Revenue", "Payments", "Pets and alerts")
    }
    assert told == {
        "Revenue": ["**Subscribers: app database against Stripe:** 3 of 70 compared differ; the newest is 3 Mar 2025."],
        "Payments": [
            "**Gross volume: charges against balance transactions:** 1 of 2 compared differ; the newest is 1 Feb 2025."
        ],
        "Pets and alerts": [
            "**Sign-ups: app database against events:** 7 of 70 compared differ; the newest is 8 Mar 2025."
        ],
    }


def test_a_share_of_nothing_is_unknown_and_a_sum_of_nothing_is_zero() -> None:
    build = data.current_build()
    metrics = data.catalog(build)
    shares = data.series_by_segment(build, metrics["payment_success_rate"], "day", "card_brand")
    sums = data.series_by_segment(build, metrics["payments"], "day", "card_brand")
    silent = sums["value"] == 0
    assert silent.any()
    assert shares.loc[silent, "value"].isna().all()


def test_numbers_are_written_by_their_format() -> None:
    written = [
        wording.number(1234.0, "integer", "people"),
        wording.number(0.1234, "percent"),
        wording.number(1.5, "decimal"),
    ]
    assert written == ["1,234 people", "12.3%", "1.50"]
    assert wording.number(None, "integer", "people") == "no data"
    amounts = {"EUR": "€12,345.68", "USD": "$12,345.68", "JPY": "¥12,346", "KWD": "12,345.678 KWD", "": "12,345.68"}
    for currency, text in amounts.items():
        assert wording.number(12345.678, f"money {currency}").replace("\xa0", " ") == text
    assert wording.number(-5, "money EUR") == "-€5.00"
    assert wording.number(None, "money EUR") == "no data"
    # The difference of the figures as they are shown: 23.6 % and 24.1 %, and €1.00 twice.
    assert wording.change(0.23645, 0.24054, "percent") == "-0.5 points"
    assert wording.change(1.004, 0.996, "money EUR") == "no change"
    assert wording.change(0.25, 0.2, "percent") == "+5.0 points"
    assert wording.change(90, 100, "integer") == "-10.0%"
    assert wording.change(1, None, "integer") == ""
    assert wording.change(110, 100, "money EUR") == "+10.0%"
    assert wording.change(-20, 100, "money EUR") == "-€120.00"
    assert wording.change(20, -100, "money EUR") == "+€120.00"


def test_a_share_is_written_as_none_or_all_only_where_it_is() -> None:
    shares = {0.0: "0.0%", 1.0: "100.0%", 0.99998: "99.998%", 0.00002: "0.002%", 0.0004: "0.04%", 0.9994: "99.9%"}
    assert {share: wording.number(share, "percent") for share in shares} == shares
    assert wording.number(1 - 1e-9, "percent") == "100.0000%"
    assert wording.change(0.99998, 0.99996, "percent") == "+0.002 points"


def test_times_and_promises_are_written_in_units_that_fit() -> None:
    written = {5: "5 s", 90: "1.5 min", 5400: "1.5 h", 86_400: "24.0 h", 200_000: "2.3 days", None: "no data"}
    assert {seconds: wording.lasting(seconds) for seconds in written} == written
    assert wording.promise(0.9995, "availability") == "99.950%"
    assert wording.promise(1240.4, "latency_p95_ms") == "1,240 ms"
    assert wording.promise(None, "availability") == "no data"


def test_a_page_narrowed_to_a_part_shows_its_numbers_and_says_what_is_not_known_of_it() -> None:
    tiles = {tile.label: tile.value for tile in open_page("Overview", of="country=Japan").metric}
    japanese = [person for person in sample_bundle.invent_people() if person.segments["country"] == "Japan"]
    assert tiles["Daily active people"] == str(sum(date(2025, 3, 6) in person.active for person in japanese))
    page = open_page("Overview", of="platform=ios")
    assert {tile.label: tile.value for tile in page.metric}["MRR"] == "no data"
    said_of = [caption.value for caption in page.caption]
    assert "not known by platform" in said_of
    assert any("MRR is not known by platform; shown of everyone." in caption for caption in said_of)


def test_money_of_one_currency_is_in_that_currency() -> None:
    page = open_page("Revenue", of="currency=JPY", grain="day")
    assert table(page, "MRR")["MRR"].iloc[0].startswith("¥")
    assert {tile.label: tile.value for tile in page.metric}["MRR"].startswith("¥")


def test_a_page_can_be_seen_as_of_an_earlier_day() -> None:
    tiles = {tile.label: tile.value for tile in open_page("Overview", dates=["2025-01-15", "2025-02-10"]).metric}
    assert tiles["Daily active people"] == str(
        sum(date(2025, 2, 10) in person.active for person in sample_bundle.invent_people())
    )


def test_charts_compare_with_an_earlier_time_where_it_is_complete() -> None:
    def frames(**link: Any) -> set[str]:
        page = open_page("Active users", dates=["2025-02-10", "2025-02-20"], **link)
        return {frame.name for frame in page.get("vega_lite_chart")[0].proto.datasets}

    assert "compared" in frames()
    assert "compared" not in frames(against="year")
    assert "compared" not in frames(against="none")
    assert "compared" not in frames(segment="country")


def test_a_funnel_is_shown_of_any_entry_period_with_how_long_steps_take() -> None:
    people = [
        person for person in sample_bundle.invent_people() if date(2025, 1, 6) <= person.first <= date(2025, 1, 12)
    ]
    page = open_page("Funnels", entered="2025-01-06", range="all")
    steps = table(page, "Of those who entered")
    assert list(steps["People"]) == [str(sum(one.step_reached >= step for one in people)) for step in (1, 2, 3, 4)]
    assert list(table(page, "Median")["Median"]) == ["2.0 h", "3.0 h", "4.0 h"]
    by_country = table(open_page("Funnels", entered="2025-01-06", range="all", segment="country"), "Entered (n)")
    entered = sum(int(count) for count in by_country["Entered (n)"])
    assert entered == len(people)


def test_service_levels_say_what_is_left_and_what_is_overspent() -> None:
    page = open_page("Service levels", month="2025-02-01")
    promises = table(page, "Policy")
    assert promises[["Service level", "Target", "Value", "Budget used"]].to_numpy().tolist() == [
        ["Availability", "99.900%", "99.985%", "6.70 of 44.64 min"],
        ["Latency p95 ms, api", "1,000 ms", "1,240 ms", "50.00 of 44.64 min"],
    ]
    told = json.loads(page.get("vega_lite_chart")[0].proto.spec)["description"]
    assert "Latency p95 ms, api: -12.0% overspent; Availability: 85.0%" in told


def test_catalogues_are_searched_by_words() -> None:
    metrics = table(open_page("Metric catalogue", find="people DAY"), "Metric")
    assert "Daily active people" in list(metrics["Metric"])
    assert len(metrics) < 10
    assert "No metric has that word" in said(open_page("Metric catalogue", find="zebra"))
    assert list(table(open_page("Event catalogue", find="pet"), "Event")["Event"]) == ["Pet Profile Created"]


DOWNLOADS = [
    ("Overview", {"of": "country=Japan"}, {"active_users_by_week_country": "active_users"}),
    ("Metric catalogue", {}, {"all_metrics_by_week": None, "total_users_by_week_all": "total_users"}),
    (
        "Revenue",
        {"segment": "currency"},
        {
            "mrr_by_week_currency": "mrr",
            "mrr_movements_all_all_all": "mrr",
            "trials_by_month": "trial_conversion_rate_30d",
            "mrr_modes": None,
        },
    ),
    ("Funnels", {}, {"onboarding_conversion_steps": "onboarding_conversion"}),
    (
        "Payments",
        {},
        {
            "what_came_in_and_what_went_out_by_week": None,
            "decline_codes": "payments",
            "dunning_curve": "recovery_rate",
            "payment_outcomes_by_week": "payments",
        },
    ),
    ("Pets and alerts", {}, {"differences": None}),
    ("Why did it change?", {"metric": "payments"}, {"why_payments_changed": "payments"}),
]


def files_offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """What makes each file that the page hands out, by its name."""
    found: dict[str, Callable[[], bytes]] = {}
    monkeypatch.setattr(
        components.st, "download_button", lambda _, make, **more: found.update({more["file_name"]: make})
    )
    return found


@pytest.mark.parametrize(("title", "link", "files"), DOWNLOADS)
def test_what_is_downloaded_is_data(
    title: str, link: dict[str, str], files: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = files_offered(monkeypatch)
    page = open_page(title, **link)
    assert page.title[0].value == title
    build = data.current_build()
    for name, metric_id in files.items():
        found = list(csv.DictReader(io.StringIO(written[f"{name}.csv"]().decode())))
        assert {row["build"] for row in found} == {build.build}
        assert {row["as_of"] for row in found} == {"2025-03-12"}
        if metric_id:
            assert {row["metric_id"] for row in found} == {metric_id}
        for row in found:
            for column in ("value", "before", "numerator", "denominator", "payments", "amount", "left_value"):
                assert row.get(column, "") == "" or math.isfinite(float(row[column])), (column, row)
            for column in ("period_start", "before_start", "exact_since", "first_day"):
                assert row.get(column, "") == "" or date.fromisoformat(row[column]), (column, row)
            assert row.get("is_complete", "true") in {"true", "false"}
        if "segment_value" in found[0] and metric_id:
            assert found == sorted(found, key=lambda row: [as_it_sorts(row[key]) for key in list(row)[:6]])


def test_rows_are_handed_out_in_the_form_that_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    written = files_offered(monkeypatch)
    page = open_page("Revenue", segment="all")
    plain = list(csv.reader(io.StringIO(written["mrr_by_week_all.csv"]().decode())))
    page.selectbox(key=components.FORM).select("XLSX").run()
    book = openpyxl.load_workbook(io.BytesIO(written["mrr_by_week_all.xlsx"]()))
    header, *rows = book["Data"].iter_rows(values_only=True)
    assert (list(header), len(rows)) == (plain[0], len(plain) - 1)
    place = header.index("value")
    assert [row[place] for row in rows] == [pytest.approx(float(line[place])) for line in plain[1:]]
    about = dict(book["Definitions"].iter_rows(values_only=True))
    assert "What subscriptions pay a month." in about["MRR"]
    assert about["data as of"] == "2025-03-12"
    page.selectbox(key=components.FORM).select("Parquet").run()
    table = pq.read_table(io.BytesIO(written["mrr_by_week_all.parquet"]()))
    assert (table.column_names, table.num_rows) == (plain[0], len(rows))
    assert str(table.schema.field("value").type) == "double"


def as_it_sorts(cell: str) -> str:
    return cell.zfill(12) if cell.isdigit() else cell


@pytest.mark.parametrize(("title", "name"), [("Payments", "what_came_in_and_what_went_out"), ("Revenue", "mrr")])
def test_what_is_downloaded_of_a_part_says_of_which(title: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = files_offered(monkeypatch)
    open_page(title, of="currency=JPY")
    [make] = [make for file, make in written.items() if file.startswith(f"{name}_by_week")]
    found = list(csv.DictReader(io.StringIO(make().decode())))
    assert {(row["segment"], row["segment_value"], row["currency"]) for row in found} == {("currency", "JPY", "JPY")}


def test_amounts_in_their_own_currency_say_so_in_the_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    build = data.current_build()
    mrr = data.catalog(build)["mrr"]
    told = as_data(mrr, data.series_by_segment(build, mrr, "day", "currency"), "day", "currency")
    assert (told["currency"] == told["segment_value"]).all()
    assert set(as_data(mrr, data.series(build, "mrr", "day"), "day")["currency"]) == {"EUR"}
    pets = as_data(data.catalog(build)["total_pets"], data.series(build, "total_pets", "day"), "day")
    assert set(pets["exact_since"]) == {date(2025, 1, 20)}
    assert set(pets["caveat"]) == {"Deletions are known from 2025-01-20 on."}


def test_what_other_tools_would_say_stands_with_what_they_differ_by() -> None:
    build = data.current_build()
    rows = data.rows(build, "mrr_modes", currency="all")
    table = modes_table(rows[rows["period_start"] == pd.Timestamp("2025-02-01")], "money EUR")
    assert list(table["Tool"]) == ["Here", "As billed now", "Stripe Billing", "ChartMogul", "dbt package of Fivetran"]
    ours, billed, *same, fivetran = (float(mrr.removeprefix("€").replace(",", "")) for mrr in table["MRR"])
    assert same == [ours, ours]
    assert list(table["Why it is another"][:4]) == [
        "",
        f"Coupons that end -€{ours - billed:.2f}",
        "The same",
        "The same",
    ]
    assert re.fullmatch(r"Coupons not taken off \+€[\d.]+, trials \+€[\d.]+", table["Why it is another"][4])
    assert fivetran == pytest.approx(ours * 1.2, abs=0.01)
    [said] = [note.value for note in open_page("Revenue").caption if "As billed now" in note.value]
    assert said.replace("\\", "").startswith(
        f"At the end of February 2025. Here: €{ours:,.2f}; As billed now: €{billed:,.2f}; "
    )


@pytest.mark.parametrize("title", ["Revenue", "Churn and LTV"])
def test_pages_that_show_days_before_subscriptions_are_exact_say_from_when_on_they_are(title: str) -> None:
    said = "Exact from 2025-02-10 on."
    assert [note.value for note in open_page(title).caption].count(said) == 1
    assert said not in [note.value for note in open_page(title, dates=["2025-02-10", "2025-03-11"]).caption]


def test_a_change_that_may_be_chance_has_no_colour_and_says_so() -> None:
    page = open_page("Pets and alerts")
    tiles = {tile.label: tile for tile in page.metric}
    captions = [caption.value for caption in page.caption]
    # Six alerts a week.
    assert tiles["Lost pet alerts"].proto.color == tiles["Lost pet alerts"].proto.MetricColor.GRAY
    assert any(re.search(r"n = \d+, before \d+ · may be chance", caption) for caption in captions)
    assert "Deletions are known from 2025-01-20 on." in tiles["Pets"].proto.help


def test_why_a_figure_changed_is_told_in_two_sentences_and_by_every_segment() -> None:
    page = open_page("Why did it change?")
    told = "\n".join(block.value for block in page.markdown).replace("\\", "")
    assert (
        "MRR rose by €59.76 (+13.2%), from €453.01 to €512.77, between the week of 24 Feb 2025 and the week of 3 Mar "
        "2025. It came mostly from country France (+€47.00)." in told
    )
    assert controls(page)["segment"] == "country"
    rows = page.dataframe[0].value
    amounts = rows["Of the change"].str.replace("€", "").astype(float)
    assert amounts.groupby(rows["Segment"]).sum().round(2).to_dict() == {
        "Country": 59.76, "Plan": 59.76, "Billing cycle": 59.76,
    }  # fmt: skip
    assert "Not by currency: each amount is in a currency of its own." in [note.value for note in page.caption]


def test_only_complete_periods_can_be_chosen_to_explain() -> None:
    page = open_page("Why did it change?", metric="active_users")
    # The week that the last day is in is still running, and the one before lacks a day.
    assert page.selectbox(key="later").options[0] == "week of 24 Feb 2025"
    assert page.selectbox(key="earlier").value == "2025-02-17"


def test_what_was_chosen_for_one_metric_is_no_error_for_another() -> None:
    page = open_page("Why did it change?", metric="mrr", grain="day", earlier="2025-02-11", segment="plan")
    assert "not known here" not in said(page)
    page.button_group(key="grain").set_value("week").run()
    assert not page.exception
    assert controls(page) | {"grain": "week"} == {
        "metric": "mrr", "grain": "week", "earlier": "2025-02-24", "later": "2025-03-03", "segment": "plan",
    }  # fmt: skip
    page.selectbox(key="metric").set_value("pets_created").run()
    assert not page.exception
    assert controls(page)["segment"] == "species"
    page.selectbox(key="metric").set_value("sign_ups").run()
    assert not page.exception
    assert not page.get("vega_lite_chart")
    assert any("It is not split by anything." in block.value for block in page.markdown)


def test_what_can_not_be_explained_says_why(home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "choose another period" in said(open_page("Why did it change?", metric="stickiness", grain="month"))
    median = said(open_page("Why did it change?", metric="recovery_hours_median")).replace("\\", "")
    assert "nothing to explain, as it is neither a sum nor a ratio" in median
    same = said(open_page("Why did it change?", earlier="2025-03-03")).replace("\\", "")
    assert "MRR: nothing to explain, as both periods are shown alike." in same
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    assert "no data" in said(open_page("Why did it change?"))


def printed_blocks(page: AppTest) -> list[Any]:
    """What goes on paper, the parts of a card among the others."""
    found: list[Any] = []
    for block in page.session_state[printed.PAPER].blocks:
        found += [block, *block.blocks] if isinstance(block, reports.Part) else [block]
    return found


@pytest.mark.parametrize("title", [title for title in PAGES if title not in {"Explore", "SQL"}])
def test_all_that_a_page_shows_goes_on_its_paper(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = files_offered(monkeypatch)
    page = open_page(title)
    paper, blocks = page.session_state[printed.PAPER], printed_blocks(page)
    parts = [block.title for block in blocks if isinstance(block, reports.Part)]
    headings = [block.text for block in blocks if isinstance(block, reports.Heading)]
    assert sorted(parts + headings) == sorted(SECTIONS[title])
    tiles = [block for block in blocks if isinstance(block, reports.Tile)]
    assert [(tile.label, tile.value) for tile in tiles] == [(tile.label, tile.value) for tile in page.metric]
    assert len([block for block in blocks if isinstance(block, reports.Chart)]) == CHARTS[title]
    tables = [block for block in blocks if isinstance(block, reports.Table)]
    assert [table.total for table in tables] == [len(frame.value) for frame in page.dataframe]
    told = {block.text for block in blocks if isinstance(block, reports.Said)}
    told |= {block.note for block in blocks if isinstance(block, reports.Chart)} | {tile.about for tile in tiles}
    assert {box.value for kind in (page.info, page.warning, page.error, page.success) for box in kind} <= told
    assert {note.value for note in page.main.caption} - {"Link to it, as it is shown now"} <= told
    assert paper.freshness == "Data as of 12 Mar 2025, complete through 6 Mar 2025"
    name = f"{components.slug(title)}_{data.current_build().build}_2025-03-12.pdf"
    assert offered[name]().startswith(b"%PDF-")


def test_paper_says_what_was_asked_for() -> None:
    page = open_page("Payments", range="all", of="currency=JPY", grain="month", rate="recovery_rate")
    paper = page.session_state[printed.PAPER]
    assert paper.view[1:] == ["by month", "vs the period before", "of Currency: JPY"]
    said = [block.text for block in printed_blocks(page) if isinstance(block, reports.Said)]
    label = wording.plain(data.catalog(data.current_build())["recovery_rate"].label)
    assert f"Metric: **{label}**" in said
    assert next(iter(paper.definitions))[0] == "Payments"
