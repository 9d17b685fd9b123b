"""The pages of the dashboard over a small published build, one by one."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from datetime import date
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import components, data
from tailtracker_bi import bundle
from tailtracker_bi.figures import wording
from tailtracker_bi.figures.exported import as_data
from tests.dashboards import PAGES, SECTIONS, open_page
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


def controls(page: AppTest) -> dict[str, Any]:
    kinds = (page.selectbox, page.button_group, page.multiselect, page.date_input)
    return {str(control.key): control.value for kind in kinds for control in kind}


def test_tiles_show_the_latest_complete_day_not_the_newest_day() -> None:
    tiles = {tile.label: tile.value for tile in open_page("Overview").metric}
    active = sum(date(2025, 3, 6) in person.active for person in sample_bundle.invent_people())
    assert tiles["Daily active people"] == str(active)
    assert tiles["Stickiness"].endswith("%")


@pytest.mark.parametrize(("title", "sections"), SECTIONS.items())
def test_a_page_shows_its_sections(title: str, sections: tuple[str, ...]) -> None:
    page = open_page(title)
    assert [heading.value for heading in page.header] == list(sections)
    assert any("Data as of 12 Mar 2025" in text.value for text in page.markdown)


@pytest.mark.parametrize("title", [title for title in PAGES if title != "Data status"])
def test_charts_are_what_vega_lite_takes_and_each_layer_has_its_rows(title: str) -> None:
    charts = [chart.proto for chart in open_page(title).get("vega_lite_chart")]
    assert charts
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
    assert "20250313T060000-77aa01" in list(open_page("Data status").dataframe[-1].value["Value"])


def test_a_metric_without_data_says_why(home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    message = said(open_page("Overview", metric="subscribers")).replace("\\", "")
    assert "Subscribers: no data." in message
    assert "STRIPE_API_KEY is not set" in message


LINKS: list[tuple[str, dict[str, Any]]] = [
    ("Overview", {"metric": "pulse", "range": "all", "grain": "week", "compare": "month"}),
    (
        "Active users and retention",
        {"metric": "wau", "segment": "country", "country": ["Japan", "Brazil"], "mode": "unbounded", "cohorts": "month"}
        | {"dates": ["2025-02-01", "2025-02-20"]},
    ),
    (
        "Revenue",
        {"metric": "arr", "segment": "plan", "plan": ["premium", "basic"], "in": "USD", "of": "country=United States"},
    ),
    (
        "Payments",
        {"metric": "fees", "segment": "card_brand", "grain": "month", "dates": ["2025-01-10", "2025-02-20"]},
    ),
    (
        "Pets and alerts",
        {"accounts": "total_pets", "accounts_by": "species", "alerts": "pets_recovered", "alerts_by": "urgency"},
    ),
]


@pytest.mark.parametrize(("title", "link"), LINKS)
def test_a_link_carries_ids_restores_the_view_and_stays_in_the_address_bar(title: str, link: dict[str, Any]) -> None:
    page = open_page(title, **link)
    shown = controls(page)
    if "dates" in link:
        shown["dates"] = list(map(str, shown["dates"]))
    assert {key: shown[key] for key in link} == link
    assert page.query_params == link
    assert "not known here" not in said(page)


def test_an_unknown_id_in_a_link_is_told_until_something_else_is_chosen() -> None:
    page = open_page("Revenue", metric="ARR", dates="2025-02-01")
    assert controls(page)["metric"] == "mrr"
    message = said(page).replace("\\", "")
    assert "**Metric:** the link asks for ARR, which is not known here. Shown is MRR." in message
    assert "**Dates:** the link asks for 2025-02-01, which is not known here." in message
    assert "the link asks for ARR" in said(page.run())
    page.selectbox(key="metric").set_value("arr").run()
    assert "the link asks for ARR" not in said(page)
    assert page.query_params["metric"] == "arr"
    page.selectbox(key="metric").set_value("mrr").run()
    assert "metric" not in page.query_params
    assert controls(page)["metric"] == "mrr"


WRONG = ["zzz", "", "-1", "9999-99-99", "=1+1", "<script>", ["a", "b", "c"], ["2030-01-01", "2019-01-01"]]


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(title, marks=[pytest.mark.slow] * (title in {"Revenue", "Payments", "Pets and alerts"}))
        for title in PAGES
    ],
)
def test_a_wrong_value_in_the_address_bar_gives_the_default_view(title: str) -> None:
    default = controls(open_page(title))
    for value in WRONG:
        page = open_page(title, **dict.fromkeys([*default, "country", "unheard_of"], value))
        shown = {key: chosen for key, chosen in controls(page).items() if chosen is not None}
        assert shown.items() <= default.items(), value


@pytest.mark.parametrize("grain", ["day", "week", "month"])
@pytest.mark.parametrize("segment", ["all", "platform", "country", "plan", "app_version"])
def test_every_grain_and_segment_draws(grain: str, segment: str) -> None:
    page = open_page("Active users and retention", grain=grain, segment=segment, cohorts=grain)
    assert len(page.get("vega_lite_chart")) == 5


def test_a_segment_value_without_a_row_is_zero_and_a_day_not_received_is_unknown() -> None:
    build = data.current_build()
    points = data.series_by_segment(build, data.catalog(build)["dau"], "day", "country")
    canada = points[points["segment_value"] == "Canada"].set_index("period_start")["value"]
    assert canada[pd.Timestamp("2025-01-01")] == 0
    assert pd.isna(canada[pd.Timestamp(sample_bundle.GAP)])


def test_the_overview_groups_tiles_by_what_they_are_about_and_leaves_out_what_is_off(
    home_of_events_alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("Overview")
    groups = [heading.value for heading in page.subheader]
    assert groups[:5] == ["Engagement", "Retention", "Pets", "Subscriptions", "Payments"]
    assert {tile.label: tile.value for tile in page.metric}["MRR"] == "€507.77"
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_of_events_alone))
    assert [heading.value for heading in open_page("Overview").subheader][:2] == ["Engagement", "Retention"]
    assert "MRR" not in [tile.label for tile in open_page("Overview").metric]


def test_metrics_that_share_a_label_can_be_told_apart() -> None:
    metrics = open_page("Overview").selectbox(key="metric").options
    assert {"Recovery rate (pets)", "Recovery rate (payments)"} <= set(metrics)


def test_a_source_has_one_badge_and_a_row_for_each_table() -> None:
    page = open_page("Data status")
    badges = [text.value for text in page.markdown if "-badge[" in text.value]
    assert [re.sub(r".*:material/\w+: (.*)\]", r"\1", badge).replace("\\", "") for badge in badges] == [
        "Mixpanel: late, up to 11 Mar 2025",
        "Stripe: up to 11 Mar 2025",
        "App database: up to 11 Mar 2025 (16 of 17 tables)",
    ]
    assert len(page.dataframe[0].value) == 1 + len(sample_bundle.STRIPE_TABLES) + len(sample_bundle.APP_TABLES)


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
def test_data_status_sums_up_what_is_wrong_and_names_the_worst_first(
    status: str, kind: str, told: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample_bundle.with_mixpanel(bundle.current(home), tmp_path, status, "the export was <cut> short")
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    page = open_page("Data status")
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


def test_data_status_tells_what_is_not_counted_in_whole_sentences(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = open_page("Data status")
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
    assert "Everything that was received is counted." in open_page("Data status").success[0].value
    older = sample_bundle.changed(bundle.current(home), tmp_path / "older", "drop table not_counted")
    monkeypatch.setenv("TAILTRACKER_HOME", str(older.path.parents[1]))
    assert "made before this was kept" in said(open_page("Data status"))
    assert not [caption for caption in open_page("Revenue").caption if "Not counted" in caption.value]


@pytest.mark.parametrize(
    ("title", "what", "times"),
    [
        ("Revenue", "3 subscription items (metered price, €12.00), 1 Feb 2025", 2 + 1 + 1),  # tiles, MRR, movements
        ("Overview", "7 events (not JSON), 1 Mar 2025 to 6 Mar 2025", 6 + 1 + 2),  # tiles, trend, funnels
        ("Active users and retention", "7 events (not JSON), 1 Mar 2025 to 6 Mar 2025", 3),
        ("Payments", "", 0),
    ],
)
def test_what_is_not_counted_is_told_beside_the_figure(title: str, what: str, times: int) -> None:
    captions = [caption.value.replace("\\", "") for caption in open_page(title).caption]
    found = [caption for caption in captions if "Not counted" in caption]
    assert {caption for caption in found if what in caption} == (
        {f":material/rule: Not counted: {what}. See Data status."} if times else set()
    )
    assert len([caption for caption in found if what in caption]) == times


def test_data_status_can_be_narrowed_to_a_source() -> None:
    table = open_page("Data status", source="app_db").dataframe[0].value
    assert table["Source"].unique().tolist() == ["App database"]
    assert len(table) == len(sample_bundle.APP_TABLES)
    empty = table.set_index("Table").loc["referrals"]
    assert (empty["State"], empty["Last day"], empty["Loaded (UTC)"]) == ("○ empty", "", "never")


def test_data_status_says_so_where_all_is_well_and_where_nothing_was_compared(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "well"))
    sample_bundle.with_mixpanel(bundle.current(home), tmp_path / "well", "ok", None)
    assert "All is well" in open_page("Data status").success[0].value
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "early"))
    sample_bundle.changed(bundle.current(home), tmp_path / "early", "drop table reconciliation")
    assert "before sources were compared" in said(open_page("Data status"))


def test_data_status_shows_what_this_build_restated(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = open_page("Data status").dataframe[3].value
    assert table.to_dict("records") == [
        {
            "Metric": "Daily active people", "Period": "4 Mar 2025", "Of": of, "Before": before, "Now": now,
            "Why": "late events",
        }
        for of, before, now in [("Everyone", "30", "31"), ("ios", "no data", "1")]
    ]  # fmt: skip
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "same"))
    sample_bundle.changed(bundle.current(home), tmp_path / "same", "delete from restatements where reason <> ''")
    assert "changed no value that was complete before" in said(open_page("Data status"))
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path / "early"))
    sample_bundle.changed(bundle.current(home), tmp_path / "early", "drop table restatements")
    assert "before restatements were kept" in said(open_page("Data status"))


def test_data_status_tells_the_build_and_compares_all_domains() -> None:
    page = open_page("Data status")
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
    assert list(differing.columns) == ["What", "Day", "First", "Second", "Difference", "Why"]
    assert differing["What"].nunique() == 3


def test_a_page_links_to_what_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [link.proto.label for link in open_page("Revenue").get("page_link")] == [
        "What is missing, and what to do about it"
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
    assert [header.value for header in page.header][:2] == ["Latest complete figures", "What came in and what went out"]


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
    page = open_page("Revenue")
    message = said(page)
    assert "MRR has no total in EUR for 3 periods from 9 Mar 2025 to 11 Mar 2025" in message
    assert "MRR has no total in EUR for March 2025" in message
    assert "It needs the rates of JPY, USD" in message
    assert {tile.label: tile.value for tile in page.metric}["MRR"] == "€485.42"
    by_day = page.dataframe[0].value
    assert by_day["MRR"].iloc[:4].tolist() == ["no data", "no data", "no data", "€485.42"]
    by_month = page.dataframe[1].value
    assert by_month["Closing"].tolist() == ["no data", "€453.01", "€332.35"]
    assert "Gross volume has no total in EUR" in said(open_page("Payments"))


def test_amounts_in_their_own_currency_stay_known_without_a_rate(
    home_without_a_rate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILTRACKER_HOME", str(home_without_a_rate))
    page = open_page("Revenue", segment="currency")
    newest = page.dataframe[0].value.iloc[0]
    paid = sum(
        customer.mrr(sample_money.LAST) for customer in sample_money.invent_customers() if customer.currency == "JPY"
    )
    assert (newest["JPY"], newest["State"]) == (f"¥{paid:,.0f}", "complete")
    assert "Exchange rates" not in open_page("Revenue", **{"in": "USD"}).dataframe[1].value


def amount(text: str) -> float:
    return float(re.sub("[^0-9.-]", "", text))


@pytest.mark.parametrize("link", [{}, {"in": "USD"}, {"of": "plan=premium"}, {"in": "JPY", "of": "plan=basic"}])
def test_the_movements_add_up_from_left_to_right(link: dict[str, str]) -> None:
    table = open_page("Revenue", **link).dataframe[1].value
    assert len(table) == 3
    for row in table.drop(columns=["Month", "State"]).to_dict("records"):
        *parts, closing = (amount(text) for text in row.values())
        assert sum(parts) == pytest.approx(closing, abs=0.03)


def test_months_of_movements_begin_where_the_last_one_ended() -> None:
    table = open_page("Revenue").dataframe[1].value
    # In a total, what is there on the first of a month was converted at the rate of the day before.
    assert table["Opening"].iloc[:-1].tolist() == table["Closing"].iloc[1:].tolist()


def test_outcomes_of_a_period_are_its_payments() -> None:
    page = open_page("Payments", grain="month")
    table = page.dataframe[1].value
    names = ["First attempt", "Recovered", "Failed", "Pending", "Blocked"]
    assert list(table.columns) == ["Period", *names, "State"]
    assert sum(int(count) for count in table[names].iloc[1]) == int(
        {tile.label: tile.value for tile in page.metric}["Payments"]
    )


def test_decline_codes_are_ranked_and_their_shares_add_up() -> None:
    table = open_page("Payments").dataframe[2].value
    counts = [int(count) for count in table["Payments"]]
    assert counts == sorted(counts, reverse=True)
    assert sum(amount(share) for share in table["Share"]) == pytest.approx(100, abs=0.3)
    assert table["Decline code"].iloc[0] == "Insufficient funds"


@pytest.mark.parametrize("grain", ["day", "week", "month"])
@pytest.mark.parametrize("segment", ["all", "card_brand", "country", "currency"])
def test_every_grain_and_segment_of_payments_draws(grain: str, segment: str) -> None:
    page = open_page("Payments", grain=grain, segment=segment, metric="gross_volume")
    assert len(page.get("vega_lite_chart")) == (6 if segment == "currency" else 4)


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


DOWNLOADS = [
    ("Overview", {"grain": "week"}, {"dau_by_day": "dau", "all_metrics_by_week": None}),
    ("Revenue", {"segment": "currency"}, {"mrr_by_day_currency": "mrr", "mrr_movements_all_all_all": "mrr"}),
    ("Payments", {}, {"volume_by_week": None, "decline_codes": "payments", "payment_outcomes_by_week": "payments"}),
    ("Pets and alerts", {}, {"differences": None}),
]


@pytest.mark.parametrize(("title", "link", "files"), DOWNLOADS)
def test_what_is_downloaded_is_data(
    title: str, link: dict[str, str], files: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(
        components.st, "download_button", lambda _, text, **more: written.update({more["file_name"]: text.decode()})
    )
    page = open_page(title, **link)
    assert page.title[0].value == title
    build = data.current_build()
    for name, metric_id in files.items():
        found = list(csv.DictReader(io.StringIO(written[f"{name}.csv"])))
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
            assert found == sorted(found, key=lambda row: [row[key] for key in list(row)[:6]])


def test_amounts_in_their_own_currency_say_so_in_the_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    build = data.current_build()
    mrr = data.catalog(build)["mrr"]
    told = as_data(mrr, data.series_by_segment(build, mrr, "day", "currency"), "day", "currency")
    assert (told["currency"] == told["segment_value"]).all()
    assert set(as_data(mrr, data.series(build, "mrr", "day"), "day")["currency"]) == {"EUR"}
    pets = as_data(data.catalog(build)["total_pets"], data.series(build, "total_pets", "day"), "day")
    assert set(pets["exact_since"]) == {date(2025, 1, 20)}
    assert set(pets["caveat"]) == {"Deletions are known from 2025-01-20 on."}


def test_a_change_that_may_be_chance_has_no_colour_and_says_so() -> None:
    page = open_page("Pets and alerts")
    tiles = {tile.label: tile for tile in page.metric}
    captions = [caption.value for caption in page.caption]
    # Six alerts a week.
    assert tiles["Lost pet alerts"].proto.color == tiles["Lost pet alerts"].proto.MetricColor.GRAY
    assert any(re.search(r"n = \d+, before \d+ · may be chance", caption) for caption in captions)
    assert "Deletions are known from 2025-01-20 on." in tiles["Pets"].proto.help
