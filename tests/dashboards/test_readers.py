"""What readers write on the pages: notes on charts, saved views, and what was restated since they looked last."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards import access, data, readers
from tailtracker_bi import bundle
from tailtracker_bi.access import AccessError, NotSignedInError, Right, Role, Visitor
from tailtracker_bi.readers import Note, SavedView, UnfitError, store_of
from tests.dashboards import open_page
from tests.dashboards.test_access import claims, look
from tests.dashboards.test_inferences import first_chart
from tests.worlds import sample_bundle

DAY = date(2025, 3, 3)
NEXT_BUILD = "20250313T060000-77aa11"


@pytest.fixture(scope="module")
def known_home(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a build that is read once for all tests, which leave it as it is."""
    folder = tmp_path_factory.mktemp("known")
    sample_bundle.changed(bundle.current(home), folder)
    return folder


@pytest.fixture(autouse=True)
def _nothing_written_yet(known_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TAILTRACKER_HOME", str(known_home))
    yield
    store_of(known_home).close()
    shutil.rmtree(known_home / "readers", ignore_errors=True)


@pytest.fixture
def own_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of a test's own, for another build or for damage."""
    folder = tmp_path / "home"
    sample_bundle.changed(bundle.current(home), folder)
    monkeypatch.setenv("TAILTRACKER_HOME", str(folder))
    return folder


def be(role: Role | None, monkeypatch: pytest.MonkeyPatch, identity: str = "ada") -> None:
    def here() -> Visitor:
        if role is None:
            raise NotSignedInError("You are not signed in.", "not signed in")
        return Visitor((role,), 5 if role is Role.executive else 0)

    def identified() -> str:
        here()
        return identity

    monkeypatch.setattr(access, "here", here)
    monkeypatch.setattr(access, "identity", identified)
    monkeypatch.setattr(access, "note_refusal", lambda *_: None)


def opened(page: AppTest, *panels: str) -> AppTest:
    """The page with panels open that are made once they are."""
    for panel in panels:
        page.session_state[panel] = True
    return page.run()


def markdown(page: AppTest) -> str:
    return "\n".join(text.value for text in page.main.markdown)


def notes_of(page: AppTest) -> list[str]:
    return [row["text"] for row in first_chart(page)[1].get("notes", [])]


def press(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if button.label == label).click()
    return page.run()


def write(page: AppTest, title: str, **fields: Any) -> AppTest:
    """Write a note in the open panel and press its button."""
    next(box for box in page.text_input if box.label == "Note").input(title)
    for box in page.date_input:
        if box.label in fields:
            box.set_value(fields[box.label])
    for chosen in page.selectbox:
        if chosen.label in fields:
            chosen.select(fields[chosen.label])
    return press(page, "Add")


def test_a_note_is_written_on_the_page_drawn_on_its_charts_and_listed() -> None:
    page = opened(open_page("Active users"), "notes panel")
    assert "Nothing is noted on these days." in markdown(page)
    write(
        page, "Sale <b>now</b> **50%** [x](http://evil.example)", Day=DAY, **{"Last day, of several": date(2025, 3, 5)}
    )
    title = "Sale <b>now</b> **50%** [x](http://evil.example)"
    assert notes_of(page) == [f"Note: {title}, until 5 Mar 2025"]
    spec, _ = first_chart(page)
    assert f"Notes: Note: {title}, until 5 Mar 2025 (3 Mar 2025)." in spec["description"]
    [line] = [line for line in markdown(page).splitlines() if "Sale" in line]
    assert line.startswith("- 3 Mar 2025 to 5 Mar 2025: **Sale \\<b\\>now")
    assert line.endswith("(by you)")
    assert "<b>" not in line
    assert "http://" not in line.replace("\\", "")
    # Another session has it on its next rerun, on other pages too; what was written is no longer in the form.
    assert notes_of(open_page("Lifecycle", grain="day")) == notes_of(page)
    assert [box.value for box in page.text_input if box.label == "Note"] == [""]


@pytest.mark.parametrize(
    ("shown", "on"),
    [
        ("", {("Active users", "first"), ("Lifecycle", "first")}),
        ("page", {("Active users", "first")}),
        ("metric stickiness", set()),
        ("metric active_users", {("Active users", "first")}),
    ],
)
def test_a_note_of_a_page_or_a_metric_is_drawn_there_alone(shown: str, on: set[tuple[str, str]]) -> None:
    page = opened(open_page("Active users"), "notes panel")
    write(page, "Sale", Day=DAY, Shown=shown)
    drawn = {(title, "first") for title in ("Active users", "Lifecycle") if notes_of(open_page(title, grain="day"))}
    assert drawn == on


def test_ones_own_note_is_changed_and_removed() -> None:
    page = opened(open_page("Active users"), "notes panel")
    write(page, "Sale", Day=DAY, Shown="page")
    next(box for box in page.selectbox if box.label == "Write or change").select(1).run()
    assert [box.value for box in page.text_input if box.label == "Note"] == ["Sale"]
    next(box for box in page.text_input if box.label == "Note").input("Release")
    press(page, "Save")
    assert notes_of(page) == ["Note: Release"]
    next(box for box in page.selectbox if box.label == "Write or change").select(1).run()
    press(page, "Remove")
    assert notes_of(page) == []


def test_what_does_not_fit_is_said_and_what_was_written_stays() -> None:
    page = opened(open_page("Active users"), "notes panel")
    write(page, "Sale", Day=DAY, **{"Last day, of several": date(2025, 3, 1)})
    assert page.error[0].value.startswith("The days must lie between 1 Jan 2025 and")
    assert [box.value for box in page.text_input if box.label == "Note"] == ["Sale"]
    assert notes_of(page) == []


@pytest.mark.usefixtures("signed_in")
def test_executives_read_notes_and_write_none_and_others_change_their_own() -> None:
    def panel(role: Role, **more: Any) -> AppTest:
        page = look("Active users", claims(role, **more))
        page.session_state["notes panel"] = True
        return page.run()

    ada = panel(Role.analyst)
    write(ada, "Sale", Day=DAY)
    executive = panel(Role.executive)
    assert notes_of(executive) == ["Note: Sale"]
    assert "(by another reader)" in markdown(executive)
    assert not [box for box in executive.text_input if box.label == "Note"]
    engineer = panel(Role.data_engineer)
    assert not [box for box in engineer.selectbox if box.label == "Write or change"]
    # Another person with the same role is another reader; who signs in again is the same.
    assert "(by another reader)" in markdown(panel(Role.analyst, sub="sub of another"))
    assert "(by you)" in markdown(panel(Role.analyst, iat=claims("analyst")["iat"] + 30))
    admin = panel(Role.admin)
    next(box for box in admin.selectbox if box.label == "Write or change").select(1).run()
    assert "Save" not in {button.label for button in admin.button}
    press(admin, "Remove")
    assert notes_of(panel(Role.executive)) == []


@pytest.mark.parametrize("role", [None, *Role])
def test_notes_are_refused_where_they_are_written_too(role: Role | None, monkeypatch: pytest.MonkeyPatch) -> None:
    be(Role.admin, monkeypatch, "another")
    build = data.current_build()
    readers.write_note(build, Note("Of another", DAY))
    be(role, monkeypatch)
    may = role is not None and Right.annotate in Visitor((role,), 0).rights
    for act in (
        lambda: readers.write_note(build, Note("Own", DAY)),
        lambda: readers.change_note(build, 2, Note("Changed", DAY)),
        lambda: readers.remove_note(2),
    ):
        if may:
            act()
        else:
            with pytest.raises(AccessError):
                act()
    if may and role is not Role.admin:
        with pytest.raises(UnfitError):
            readers.remove_note(1)
    if role is not None:
        assert [note.title for note in readers.kept(build).notes] == ["Of another"]


@pytest.mark.parametrize(
    "note",
    [
        Note("Too early", date(2024, 12, 31)),
        Note("Too late", date(2026, 3, 14)),
        Note("Too long", DAY, date(2026, 3, 14)),
        Note("Backwards", DAY, DAY - timedelta(days=1)),
        Note("Of nothing", DAY, None, "unheard_of"),
    ],
)
def test_notes_are_of_known_days_and_metrics(note: Note) -> None:
    build = data.current_build()
    readers.write_note(build, Note("Kept", DAY))
    for act in (lambda: readers.write_note(build, note), lambda: readers.change_note(build, 1, note)):
        with pytest.raises(UnfitError):
            act()
    assert [kept.title for kept in readers.kept(build).notes] == ["Kept"]
    # The first and the last day are within.
    for own in (Note("First", date(2025, 1, 1)), Note("Planned", date(2026, 3, 13))):
        readers.write_note(build, own)


def test_every_function_asks_who_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    build = data.current_build()
    be(None, monkeypatch)
    wanted: dict[str, tuple[Any, ...]] = {
        "kept": (build,), "note_bounds": (build,), "write_note": (build, Note("x", DAY)),
        "change_note": (build, 1, Note("x", DAY)), "remove_note": (1,), "views": (),
        "save_view": (SavedView("x", "revenue", {}),), "rename_view": (1, "x"), "remove_view": (1,),
        "look_anew": (build,),
    }  # fmt: skip
    public = {
        name
        for name, function in vars(readers).items()
        if getattr(function, "__module__", "") == "dashboards.readers" and not name.startswith("_") and name != "Kept"
    }
    assert public == {*wanted}
    for name, args in wanted.items():
        with pytest.raises(AccessError):
            getattr(readers, name)(*args)


def links(page: AppTest) -> dict[str, tuple[str, str]]:
    """Of saved views: the page and the query that each link leads to."""
    return {
        one.proto.label.replace("\\", ""): (one.proto.page, one.proto.query_string) for one in page.get("page_link")
    }


def save(page: AppTest, name: str) -> AppTest:
    next(box for box in page.text_input if box.label == "Save this view as").input(name)
    return press(page, "Save this view")


def test_a_view_is_saved_opened_renamed_and_removed() -> None:
    page = opened(open_page("Revenue", grain="month", of="plan=premium"), "saved views")
    save(page, "Premium [a](http://x.example)")
    # Of others, too, that this machine has.
    there = opened(open_page("Overview"), "saved views")
    found = links(there)["Premium [a](http:\u2060//x.example)"]
    assert found == ("revenue", "grain=month&of=plan%3Dpremium")
    save(there, "Start")
    assert links(there)["Start"] == ("", "")
    save(there, "start")
    assert [box.value for box in there.error] == [
        "You have a view of that name\\: choose another, or remove that one first."
    ]
    next(box for box in there.text_input if box.label == "Its new name").input("Of premium")
    press(there, "Rename")
    assert {"Of premium", "Start"} < {*links(there)}
    press(there, "Remove")
    assert "Of premium" not in links(there)


def test_a_view_of_a_page_that_is_not_open_or_not_there_is_no_link(own_home: Path) -> None:
    readers.save_view(SavedView("Gone", "unheard_of", {}))
    store = store_of(own_home)
    with store.writing() as connection:
        connection.execute("update views set reader = ?, page = 'https://evil.example'", [store.reader("this machine")])
    readers.save_view(SavedView("Not there", "unheard_of", {}))
    page = opened(open_page("Overview"), "saved views")
    assert {*links(page)} == {"Where the data comes from", "What is missing, and what to do about it"}
    assert "Not there: its page is not open to you." in [one.value for one in page.caption]


def publish_another(home: Path, *statements: str) -> None:
    """A later build, in which the first one's restatements are known, and those of `statements` are new."""
    first = bundle.current(home)
    later = bundle.Bundle(NEXT_BUILD, home / "published" / f"{NEXT_BUILD}.duckdb")
    sample_bundle.changed(
        first, home / "draft", f"update bundle_info set build = '{NEXT_BUILD}', as_of = '2025-03-13'", *statements
    )
    (home / "draft/published" / first.path.name).rename(later.path)
    (home / "published/current").write_text(NEXT_BUILD)


def restate(*rows: str) -> str:
    return "insert into restatements values " + ", ".join(
        f"({row}, '{NEXT_BUILD}', date '2025-03-13', 'late events')" for row in rows
    )


OF_DAU = "'dau', 'day', date '2025-03-04', 'all', 'all', 31, 33"
LINE = "1 value of a metric on this page was restated since you last looked (data as of 12 Mar 2025)"


def lines(page: AppTest) -> list[str]:
    return [panel.label for panel in page.expander if "restated since" in panel.label]


def test_who_looks_for_the_first_time_is_told_of_nothing_and_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "restated_since", lambda *_: pytest.fail("it was asked for"))
    for _ in range(2):
        assert lines(open_page("Active users")) == []


def test_what_was_restated_since_is_said_where_it_is_shown_and_once_seen_no_more(own_home: Path) -> None:
    open_page("Active users")
    publish_another(
        own_home,
        restate(
            OF_DAU,
            "'dau', 'day', date '2025-03-04', 'platform', 'ios', 1, 2",
            "'mrr', 'week', date '2025-02-24', 'all', 'all', 100, null",
        ),
    )
    page = open_page("Active users")
    assert lines(page) == [LINE]
    table = next(table.value for table in page.dataframe if "After" in table.value)
    assert table.to_dict("records") == [
        {"Metric": "Daily active people", "Period": "4 Mar 2025", "Of": "Everyone", "Before": "31", "After": "33",
         "Why": "late events"}
    ]  # fmt: skip
    assert lines(open_page("Lifecycle")) == []
    assert lines(open_page("Revenue")) == [LINE]
    assert lines(open_page("Revenue", grain="day")) == []
    narrowed = open_page("Active users", of="platform=ios")
    assert lines(narrowed) == [LINE]
    assert "**3 values restated since you last looked (data as of 12 Mar 2025):**" in markdown(open_page("Data health"))
    press(page, "I have seen this")
    for title in ("Active users", "Revenue"):
        assert lines(open_page(title)) == []
    assert "since you last looked" not in markdown(open_page("Data health"))


def test_it_is_news_for_some_hours_and_then_known(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2025, 3, 12, 7, tzinfo=UTC)
    monkeypatch.setattr(readers, "_now", lambda: now)
    open_page("Active users")
    publish_another(own_home, restate(OF_DAU))
    for hours, told in ((24, [LINE]), (31, [LINE]), (32, [])):
        monkeypatch.setattr(readers, "_now", lambda hours=hours: now + timedelta(hours=hours))
        assert lines(open_page("Active users")) == told


@pytest.mark.usefixtures("signed_in")
def test_who_sees_no_parts_of_few_is_told_of_the_whole_alone(own_home: Path) -> None:
    look("Data health", claims("executive"))
    publish_another(own_home, restate(OF_DAU, "'dau', 'day', date '2025-03-04', 'platform', 'ios', 1, 2"))
    page = look("Data health", claims("executive"))
    assert "**1 value restated since you last looked" in markdown(page)
    # Who never looked before knows what they see.
    assert "since you last looked" not in markdown(look("Data health", claims("analyst")))


def test_a_build_from_before_restatements_has_none(own_home: Path) -> None:
    open_page("Active users")
    publish_another(own_home, "drop table restatements")
    assert lines(open_page("Active users")) == []


def a_file(folder: Path) -> None:
    folder.write_text("in its place")


def damaged(folder: Path) -> None:
    folder.mkdir()
    (folder / "readers.sqlite3").write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("trouble", [a_file, damaged])
@pytest.mark.parametrize("title", ["Active users", "Data health"])
def test_where_nothing_can_be_kept_one_line_says_so_and_all_figures_are_there(
    title: str, trouble: Callable[[Path], None], own_home: Path
) -> None:
    usual = open_page(title)
    store_of(own_home).close()
    for file in (own_home / "readers").iterdir():
        file.unlink()
    (own_home / "readers").rmdir()
    trouble(own_home / "readers")
    page = opened(open_page(title), "notes panel", "saved views")
    said = [one.value for one in page.caption if "What readers write can't be read or kept" in one.value]
    assert len(said) == 1
    assert len(page.get("vega_lite_chart")) == len(usual.get("vega_lite_chart"))
    assert [one.value for one in page.metric] == [one.value for one in usual.metric]
    assert len(page.dataframe) == len(usual.dataframe)
    assert any("They can't be read at the moment" in one.value for one in page.caption)
    assert not [box for box in page.text_input if box.label == "Note"]
