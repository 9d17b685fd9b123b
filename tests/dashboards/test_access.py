"""Who sees what on the pages: by role, in the router and in what the pages read, whatever the page has checked."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import time
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import access, components, data
from tailtracker_bi import bundle
from tailtracker_bi.access import AccessError, NotSignedInError, PartsNotOpenError, Right, Role, Visitor
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.reports import Paper
from tests.dashboards import APP, PAGES, ROLES, SIGN_IN

ALL = [*PAGES, "Access"]
CLOSED = {
    Role.executive: {"Why did it change?", "Explore", "SQL", "Access"},
    Role.analyst: {"Access"},
    Role.data_engineer: {"Access"},
    Role.admin: set(),
}
WITHOUT_CSV = {Role.data_engineer}


@pytest.fixture(autouse=True)
def policy(signed_in: Path) -> Path:
    """People sign in, and each role has an address."""
    access.refusals.clear()
    return signed_in


def claims(name: str, **more: Any) -> dict[str, Any]:
    known = {"email": f"{name}@tailtracker.example", "email_verified": True, "iat": int(time()) - 60}
    return {"is_logged_in": True, "iss": "https://id.tailtracker.example", "sub": f"sub of {name}"} | known | more


def look(title: str, user: dict[str, Any] | None, **link: Any) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=60)
    if title != "Overview":
        page.switch_page(f"app_pages/{PAGES.get(title, title.lower())}.py")
    page.query_params = dict(link)
    if user is not None:
        page.user = user
    page.run()
    assert not page.exception, page.exception[0].message
    return page


def refused(page: AppTest) -> str:
    return "\n".join(box.value for box in page.error).replace("\\", "")


def shows_nothing(page: AppTest) -> bool:
    return not (page.metric or page.dataframe or page.get("vega_lite_chart") or page.text_area or page.table)


@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=[pytest.mark.slow] * (role is not Role.executive)) for role in Role]
)
@pytest.mark.parametrize("title", ALL)
def test_a_page_is_shown_to_roles_that_may_see_it_and_refused_in_words_to_others(title: str, role: Role) -> None:
    page = look(title, claims(role))
    assert [heading.value for heading in page.title] == [title]
    if title in CLOSED[role]:
        assert refused(page).startswith(f"{title} is not open to your role ({role.replace('_', ' ')}).")
        assert shows_nothing(page)
        assert [(one.what, one.why) for one in access.refusals] == [(title, f"not open to {role.replace('_', ' ')}")]
    else:
        assert refused(page) == ""
        assert not access.refusals
        assert page.sidebar.caption[0].value.endswith(role.replace("_", " ").capitalize())


@pytest.mark.parametrize("title", ALL)
@pytest.mark.parametrize(
    ("user", "told"),
    [
        (None, "You are not signed in."),
        ({"is_logged_in": False}, "You are not signed in."),
        (claims("admin") | {"is_logged_in": "true"}, "You are not signed in."),
        (claims("admin", iat=time() - 13 * 3600), "Your sign-in is over: sign in again."),
    ],
)
def test_who_is_not_signed_in_sees_how_to_and_nothing_else(title: str, user: dict[str, Any] | None, told: str) -> None:
    page = look(title, user)
    assert [button.label for button in page.button] == ["Sign in"]
    assert [text.value for text in page.main.markdown] == [f"{told} You come back to the page that you asked for."]
    assert shows_nothing(page)


@pytest.mark.parametrize("more", [{"email": "stranger@tailtracker.example"}, {"email_verified": False}])
def test_who_has_no_role_is_told_so_and_is_named_nowhere(
    more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    page = look("Overview", claims("admin", **more))
    assert "nothing here is open to you" in refused(page)
    assert shows_nothing(page)
    assert [button.label for button in page.button] == ["Sign out"]
    said = caplog.text + str(access.refusals) + refused(page)
    assert "refused to" in caplog.text
    assert "@" not in said
    assert "sub of" not in said


def test_a_refusal_is_logged_once_a_session(caplog: pytest.LogCaptureFixture) -> None:
    page = look("SQL", claims("executive"))
    page.run()
    assert caplog.text.count("refused to") == 1
    look("SQL", claims("executive"))
    assert len(access.refusals) == 2
    assert len({one.who for one in access.refusals}) == 1


def test_a_role_that_is_taken_away_is_gone_on_the_next_rerun(policy: Path) -> None:
    page = look("SQL", claims("analyst"), sql="from metric_values limit 1")
    assert not shows_nothing(page)
    policy.write_text(ROLES.replace("analyst@", "nobody@"))
    page.run()
    assert shows_nothing(page)
    assert "nothing here is open to you" in refused(page)


@pytest.mark.parametrize(
    "broken", [lambda file: file.unlink(), lambda file: file.write_text("roles: [x"), lambda file: file.chmod(0o666)]
)
def test_where_roles_can_not_be_read_nobody_is_let_in(
    broken: Any, policy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken(policy)
    page = look("Overview", claims("admin"))
    assert "Nobody is let in at the moment" in refused(page)
    assert "access.yml" not in refused(page)
    assert "access.yml" in caplog.text
    assert shows_nothing(page)


def test_who_signs_out_is_out_in_all_tabs_and_so_is_a_copied_cookie() -> None:
    user = claims("admin")
    here, there = look("Overview", user), look("Overview", user)
    next(button for button in here.button if button.label == "Sign out").click().run()
    assert [button.label for button in here.button] == ["Sign in"]
    assert [button.label for button in there.run().button] == ["Sign in"]
    assert shows_nothing(look("Overview", user))
    again = look("Overview", claims("admin", iat=user["iat"] + 1))
    assert not shows_nothing(again)


def be(role: Role | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def here() -> Visitor:
        if role is None:
            raise NotSignedInError("You are not signed in.", "not signed in")
        return Visitor((role,), 5 if role is Role.executive else 0)

    monkeypatch.setattr(access, "here", here)


READS = {
    "current_build": lambda _: data.current_build(),
    "rows": lambda build: data.rows(build, "stickiness"),
    "series": lambda build: data.series(build, "dau", "day"),
    "parts": lambda build: data.parts(build, "dau", "day", "country"),
    "reading": lambda build: data.reading(build, "dau", "day"),
    "catalog": lambda build: data.catalog(build),
    "sources": lambda build: data.sources(build),
    "explanation": lambda build: data.explanation(
        build, "dau", "day", pd.Timestamp("2025-03-03").date(), pd.Timestamp("2025-02-03").date()
    ),
    "schema": lambda build: data.schema(build),
    "ask": lambda build: data.ask(build, "select 1", lambda: None),
    "explorable": lambda build: data.explorable(build),
    "as_file": lambda _: data.as_file(["a"], lambda: [[1]], "csv", Paper("", "", "", date(2025, 3, 12))),
    "as_png": lambda _: data.as_png({}, "", []),
    "as_pdf": lambda _: data.as_pdf(Paper("", "", "", date(2025, 3, 12))),
}
NEEDED = {
    "explanation": Right.small_cells, "schema": Right.query, "ask": Right.query, "explorable": Right.query,
    "as_file": Right.export, "as_png": Right.export, "as_pdf": Right.export,
}  # fmt: skip


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("name", READS)
def test_what_pages_read_is_refused_there_too_also_where_it_is_kept(
    name: str, role: Role | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = bundle.current(home)
    be(Role.admin, monkeypatch)
    READS[name](build)
    be(role, monkeypatch)
    monkeypatch.setattr(access, "note_refusal", lambda *_: None)
    if role is not None and NEEDED.get(name, Right.figures) in Visitor((role,), 0).rights:
        READS[name](build)
    else:
        with pytest.raises(AccessError):
            READS[name](build)


def test_every_public_function_that_reads_asks_who_is_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the build, and none is left out of this."""
    be(None, monkeypatch)
    build = bundle.current(home)
    be(Role.admin, monkeypatch)
    dau = data.catalog(build)["dau"]
    be(None, monkeypatch)
    wanted: dict[str, tuple[Any, ...]] = {
        "lacks": ("stickiness",), "rows": ("stickiness",), "series": ("dau", "day"), "reading": ("dau", "day"),
        "recent": ("dau", "day"), "parts": ("dau", "day", "plan"), "hides": ("dau", "day", data.EVERYONE),
        "series_by_segment": (dau, "day", "plan"), "explanation": ("dau", "day", None, None), "segments_of": ("dau",),
        "segment_values": (["dau"],), "grains_of": ("dau",), "ask": ("select 1", None),
        "explored": (None, None), "inferred": ("anomalies", "dau"), "why_not_inferred": ("anomalies", "dau"),
        "span": (("dau",),), "single_period": ("day", None),
    }  # fmt: skip
    public = [
        name
        for name, function in vars(data).items()
        if getattr(function, "__module__", "") == "dashboards.data"
        and "build" in getattr(function, "__annotations__", {})
    ]
    assert {*wanted} <= {*public}
    for name in public:
        if not name.startswith("_"):
            with pytest.raises(AccessError):
                getattr(data, name)(build, *wanted.get(name, ()))


def test_figures_of_few_people_are_kept_apart_from_all_of_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = bundle.current(home)
    read: dict[Role, pd.DataFrame] = {}
    for role in (Role.admin, Role.executive, Role.analyst, Role.executive):
        be(role, monkeypatch)
        read[role] = data.series_by_segment(build, data.catalog(build)["dau"], "day", "country")
    everything, told = read[Role.analyst], read[Role.executive]
    assert "is_hidden" not in everything
    assert told["is_hidden"].any()
    few = everything["value"].between(1, 4)
    assert few.any()
    assert told.loc[few.to_numpy(), "value"].isna().all()
    assert told.loc[few.to_numpy(), "is_hidden"].all()
    shown = ~told["is_hidden"]
    assert told.loc[shown, "value"].equals(everything.loc[shown.to_numpy(), "value"])
    # Nothing is no secret.
    assert (told.loc[shown, "value"] == 0).any()


@pytest.mark.parametrize(
    ("table", "segment"),
    [
        ("funnel_steps", "platform"),
        ("retention_cohorts", "platform"),
        ("mrr_movements", "plan"),
        ("restatements", "plan"),
    ],
)
def test_of_other_tables_only_the_whole_is_told(
    table: str, segment: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = bundle.current(home)
    be(Role.executive, monkeypatch)
    assert set(data.rows(build, table)["segment"]) <= {"all"}
    with pytest.raises(PartsNotOpenError):
        data.rows(build, table, segment=segment)
    be(Role.analyst, monkeypatch)
    data.rows(build, table, segment=segment)


def test_every_table_of_the_bundle_is_said_to_have_parts_or_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be(Role.executive, monkeypatch)
    build = bundle.current(home)
    for table in bundle.tables(build):
        data.rows(build, table)


def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """What the page hands out as CSV, by its name."""
    found: dict[str, pd.DataFrame] = {}

    def note(label: str, make: Callable[[], bytes], **more: Any) -> None:
        if label == "CSV":
            found[more["file_name"].removesuffix(".csv")] = pd.read_csv(io.BytesIO(make()))

    monkeypatch.setattr(components.st, "download_button", note)
    return found


@pytest.mark.parametrize("role", Role)
def test_tables_charts_and_csv_show_what_the_role_may_see(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    files = written(monkeypatch)
    page = look("Active users", claims(role), grain="day", segment="country")
    assert bool(files) == (role not in WITHOUT_CSV)
    cells = pd.concat(
        table.value.drop(columns=["Period", "State"]).stack()
        for table in page.dataframe
        if {"Japan", "Brazil"} & {*table.value.columns}
    )
    counts = pd.to_numeric(cells[cells.str.fullmatch(r"[\d,]+")].str.replace(",", ""))
    captions = "\n".join(caption.value for caption in page.caption)
    if role is Role.executive:
        assert (cells == "hidden").any()
        assert not counts.between(1, 4).any()
        assert "Hidden: parts of fewer than 5 people, and the smallest beside them." in captions
        rows = next(rows for name, rows in files.items() if name.endswith("_country"))
        assert rows.loc[rows["is_hidden"], ["numerator", "value"]].isna().all(axis=None)
        assert not rows["value"].between(1, 4).any()
    else:
        assert not (cells == "hidden").any()
        assert counts.between(1, 4).any()
        assert "Hidden" not in captions
        assert all("is_hidden" not in rows for rows in files.values())


def test_what_was_offered_is_refused_where_the_role_is_gone_by_the_click(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: dict[str, Callable[[], bytes]] = {}
    monkeypatch.setattr(components.st, "download_button", lambda label, make, **_: offered.setdefault(label, make))
    look("Active users", claims("executive"))
    assert {*offered} == {"PDF", "CSV", "PNG"}
    for make in offered.values():
        make()
    policy.write_text(ROLES.replace("executive@", "nobody@"))
    for make in offered.values():
        with pytest.raises(AccessError):
            make()
    offered.clear()
    policy.write_text(ROLES)
    look("Active users", claims("data_engineer"))
    assert offered == {}


@pytest.mark.parametrize(
    ("title", "link"),
    [
        pytest.param(title, link, marks=[pytest.mark.slow] * (number % 3 != place))
        for number, title in enumerate(title for title in PAGES if title not in CLOSED[Role.executive])
        for place, link in enumerate([{"of": "country=Japan"}, {"segment": "country"}, {"of": "plan=basic"}])
    ],
)
def test_a_page_that_is_narrowed_to_few_says_that_they_are_hidden_and_never_that_there_are_none(
    title: str, link: dict[str, str]
) -> None:
    page = look(title, claims("executive"), **link)
    assert refused(page) == ""
    said = "\n".join(box.value for kind in (page.info, page.warning) for box in kind)
    for false in ("Nobody", "No movement", "No cohort", "Nothing to"):
        assert false not in said, said


def test_without_a_provider_all_is_open_on_this_machine_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SIGN_IN, "TAILTRACKER_ACCESS"):
        monkeypatch.delenv(name)
    access.sign_in.cache_clear()
    page = look("Access", None)
    assert refused(page) == ""
    assert "open on this machine alone" in page.sidebar.caption[0].value
    for address, is_open in (
        ("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("0.0.0.0", False), ("", False),  # noqa: S104
    ):  # fmt: skip
        monkeypatch.setattr(access.st, "get_option", lambda _, address=address: address)
        assert (access.rights() != frozenset()) == is_open, address
    page = look("Overview", None)
    assert "nobody signs in to it" in refused(page)
    assert shows_nothing(page)


def test_addresses_of_people_are_not_on_the_page_of_who_may_see_what() -> None:
    look("SQL", claims("executive"))
    page = look("Access", claims("admin"))
    text = str([table.value.to_dict() for table in page.dataframe]) + str([text.value for text in page.markdown])
    assert "@" not in text
    assert page.dataframe[-1].value["What"].tolist() == ["SQL"]
    assert page.dataframe[1].value["Addresses"].tolist() == ["1"] * 4


def test_an_answer_is_for_whom_it_was_made_even_if_their_rights_change_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    @data.once_a_build
    def inner(build: Bundle) -> int:
        return data._for_whom()

    @data.once_a_build
    def outer(build: Bundle) -> int:
        be(Role.admin, monkeypatch)
        asked.append(1)
        return inner(build)

    build = Bundle("one", tmp_path)
    be(Role.executive, monkeypatch)
    assert outer(build) == 5
    be(Role.executive, monkeypatch)
    assert outer(build) == 5
    assert inner(build) == 5
    assert asked == [1]
