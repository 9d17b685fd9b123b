"""The Explore page: a link asks its question, the answer is drawn, and the question can be pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from dashboards.sections.explored import as_yaml
from tailtracker_bi import bundle
from tailtracker_bi.analytics import Funnel, Retention, load_analytics
from tailtracker_bi.bundle import AskedRetention, QueryError, Question, Trend
from tests.dashboards import open_page
from tests.worlds import sample_bundle

STEPS = ["User Registration", "Pet Profile Created"]


@pytest.fixture
def asked(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Question]:
    """The questions that a process would be started for; each is answered by what the sample has published.

    Of a build that no other test looks at: what pages keep of a build would go from one to the other.
    """
    sample_bundle.changed(bundle.current(home), tmp_path)
    monkeypatch.setenv("TAILTRACKER_HOME", str(tmp_path))
    questions: list[Question] = []

    def answer(build: Path, question: Question, *_: Any) -> pa.Table:
        questions.append(question)
        published = bundle.Bundle(build.stem, build)
        if isinstance(question, Funnel):
            return bundle.query(published, "from funnel_steps where funnel_id = 'onboarding'")
        if isinstance(question, Retention):
            return bundle.query(published, "from retention_cohorts where mode = 'n_day'")
        columns = "grain, period_start, segment, segment_value, value, is_complete"
        people = f"select 'people' as metric_id, {columns} from metric_values where metric_id = 'active_users'"
        return bundle.query(published, f"{people} union all {people.replace('people', 'events')}")

    monkeypatch.setattr(bundle, "explore", answer)
    monkeypatch.setattr(bundle, "properties", lambda _: ["alert_id"])
    return questions


def test_a_link_asks_its_question_once_and_what_is_chosen_beside_it_asks_nothing(asked: list[Question]) -> None:
    page = open_page("Explore", steps=STEPS, within="1d", same="alert_id")
    window = {"days": 1}
    funnel = {
        "id": "asked",
        "steps": [{"event": step} for step in STEPS],
        "window": window,
        "same_property": "alert_id",
    }
    assert asked == [Funnel.model_validate(funnel)]
    assert [heading.value for heading in page.header] == ["Steps", "Conversion over time"]
    assert len(page.get("vega_lite_chart")) == 2
    page.selectbox(key="segment").set_value("platform").run()
    assert len(page.get("vega_lite_chart")) == 3
    assert len(asked) == 1
    page.selectbox(key="within").set_value("30d").run()
    assert [dict(question)["window"].days for question in asked] == [1, 30]


def test_nothing_is_asked_before_there_is_a_question(asked: list[Question]) -> None:
    page = open_page("Explore")
    assert page.info[-1].value == "Choose two steps or more, in their order."
    assert asked == []


def test_retentions_and_trends_are_asked_and_drawn(asked: list[Question]) -> None:
    page = open_page("Explore", ask="retention", start=STEPS[0], back=STEPS[1], mode="unbounded", segment="platform")
    [question] = asked
    assert question == AskedRetention(id="asked", start_event=STEPS[0], return_event=STEPS[1], modes=["unbounded"])
    assert [heading.value for heading in page.header] == ["All cohorts together", "Cohorts"]
    page = open_page("Explore", ask="trend", event=STEPS[0])
    assert asked[-1] == Trend(event=STEPS[0])
    assert [heading.value for heading in page.header] == ["People", "Events"]
    assert len(page.get("vega_lite_chart")) == 2


def ways_back(page: AppTest) -> list[str]:
    return [button.label.replace("\\", "") for button in page.button if str(button.key).startswith("only ")]


def pasted(page: AppTest) -> list[str]:
    return [code.value for code in page.code if code.language == "yaml"]


def add(page: AppTest, place: str, name: str, how: str, value: str) -> None:
    page.selectbox(key="condition of").set_value(place)
    page.selectbox(key="condition property").set_value(name)
    page.button_group(key="condition how").set_value(how)
    page.text_input(key="condition value").set_value(value)
    next(button for button in page.button if button.label == "Add").click().run()
    assert not page.exception


def test_conditions_are_added_kept_in_the_link_asked_and_left_out_again(asked: list[Question]) -> None:
    page = open_page("Explore", steps=STEPS)
    add(page, "2", "country", "is", "Japan / x")
    assert page.query_params["where"] == "2/is/country/Japan%20%2F%20x"
    add(page, "1", "alert_id", "not", "7")
    assert ways_back(page) == [f"2. {STEPS[1]}: country is Japan / x", f"1. {STEPS[0]}: alert_id is not 7"]
    last = asked[-1]
    assert isinstance(last, Funnel)
    assert [[rule.model_dump(exclude_none=True) for rule in step.where] for step in last.steps] == [
        [{"property": "alert_id", "not_equals": "7"}], [{"property": "country", "equals": "Japan / x"}],
    ]  # fmt: skip
    # No declared funnel can have what people are split by.
    assert pasted(page) == []
    next(button for button in page.button if str(button.key).startswith("only 2/")).click().run()
    assert page.query_params["where"] == "1/not/alert_id/7"
    assert "not_equals: '7'" in pasted(page)[0]
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("link", "where"),
    [
        ({"ask": "trend", "event": STEPS[0], "where": "event/is/plan/premium"}, ["where"]),
        ({"ask": "retention", "where": "start/is/plan/premium"}, ["start_where"]),
        ({"ask": "retention", "where": "back/is/plan/premium"}, ["return_where"]),
    ],
)
def test_a_link_restores_the_conditions_of_trends_and_retentions(
    link: dict[str, Any], where: list[str], asked: list[Question]
) -> None:
    page = open_page("Explore", **link)
    [question] = asked
    told = question.model_dump(exclude_none=True)
    rules = {name: told[name] for name in ("where", "start_where", "return_where") if told.get(name)}
    assert rules == {where[0]: [{"property": "plan", "equals": "premium"}]}
    assert len(ways_back(page)) == 1
    assert pasted(page) == []


def test_what_can_be_no_condition_is_told_and_not_asked(asked: list[Question]) -> None:
    wrong = [
        "1/is/unheard/x",
        "9/is/plan/x",
        "1/like/plan/x",
        "1/is/plan",
        "",
        "1/is/plan/a/b",
        "1/is/alert_id/a@b.example",
    ]
    page = open_page("Explore", steps=STEPS, where=[*wrong, "1/is/plan/premium"])
    told = "\n".join(box.value for box in page.warning).replace("\\", "")
    assert "**Conditions:** the link asks for 1/is/unheard/x" in told
    assert len(ways_back(page)) == 1
    [question] = asked
    assert isinstance(question, Funnel)
    assert [len(step.where) for step in question.steps] == [1, 0]
    page = open_page("Explore", steps=STEPS, where=[f"1/not/plan/{number}" for number in range(4)])
    assert len(ways_back(page)) == 3
    add(page, "1", "plan", "not", "more")
    assert "no more can be" in page.error[0].value
    page = open_page("Explore", steps=STEPS)
    add(page, "1", "alert_id", "is", "somebody@example.com")
    assert "personal data" in page.error[0].value
    assert "where" not in page.query_params


def test_what_can_not_be_answered_is_told(monkeypatch: pytest.MonkeyPatch, asked: list[Question]) -> None:
    def refuse(*_: Any) -> None:
        raise QueryError("explore: it took longer than 60 s (TAILTRACKER_QUERY_SECONDS)")

    monkeypatch.setattr(bundle, "explore", refuse)
    page = open_page("Explore", ask="trend")
    [told] = [error.value.replace("\\", "") for error in page.error]
    assert told == "it took longer than 60 s (TAILTRACKER_QUERY_SECONDS)"


def test_a_build_without_events_says_how_to_get_some() -> None:
    assert "`tailtracker-bi refresh`" in str(open_page("Explore", ask="trend").error[0].value).replace("\\", "")


@pytest.mark.parametrize(
    "question",
    [
        Funnel.model_validate({"id": "asked", "steps": STEPS, "window": {"days": 7}}),
        Funnel.model_validate(
            {
                "id": "asked",
                "steps": [{"event": "It's: a #step", "where": [{"property": "channel", "not_equals": "test"}]}, "true"],
                "window": {"hours": 1},
                "same_property": "alert_id",
            }
        ),
        Retention(id="asked", start_event="any", modes=["unbounded"]),
    ],
)
def test_what_is_pasted_asks_the_same(question: Funnel | Retention, tmp_path: Path) -> None:
    file = tmp_path / "analytics.yml"
    file.write_text(as_yaml(question), encoding="utf-8")
    analytics = load_analytics(file)
    assert question in [*analytics.funnels, *analytics.retention]
    assert list(yaml.safe_load(as_yaml(question))) == ["funnels" if isinstance(question, Funnel) else "retention"]
