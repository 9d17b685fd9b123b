"""Who has which role: by verified address, domain or group; never by what somebody may write about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tailtracker_bi.access import RIGHTS, AccessError, NotSignedInError, Policy, Right, Role, admit, load_policy
from tailtracker_bi.errors import SettingsError

NOW = 1_780_000_000.0
ADA = {"email": "ada@tailtracker.example", "email_verified": True, "iat": NOW - 60}
POLICY = Policy.model_validate(
    {
        "roles": {
            "executive": ["@board.example"],
            "analyst": ["Ada@TailTracker.example", "group:analysts"],
            "data_engineer": ["group:Data Engineering"],
            "admin": ["grace@tailtracker.example", "group:s"],
        }
    }
)


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({}, ["analyst"]),
        ({"email": "ADA@TAILTRACKER.EXAMPLE"}, ["analyst"]),
        ({"email_verified": "true"}, ["analyst"]),
        ({"email": "anybody@Board.example"}, ["executive"]),
        ({"email": "grace@tailtracker.example", "groups": ["analysts"]}, ["analyst", "admin"]),
        ({"email": None, "groups": "analysts"}, ["analyst"]),
        ({"email_verified": False, "groups": ["staff", "Data Engineering"]}, ["data_engineer"]),
    ],
)
def test_an_address_a_domain_or_a_group_gives_a_role(claims: dict[str, Any], roles: list[str]) -> None:
    assert [*admit(POLICY, ADA | claims, NOW).roles] == roles


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": 1.5},
        {"email_verified": None},
        {"email": "ada+admin@tailtracker.example"},
        {"email": "ada@tailtracker.example.evil.test"},
        {"email": "ada@evil.test, ada@tailtracker.example"},
        {"email": "x@evil.test@board.example.evil.test"},
        {"email": " ada@tailtracker.example"},
        {"email": ["ada@tailtracker.example"]},
        {"email": "anybody@sub.board.example"},
        {"email": "anybody@notboard.example"},
        {"email": "board.example"},
        # The Kelvin sign becomes a k in lower case.
        {"email": "grace@tailtrac\u212aer.example"},
        {"email": "", "groups": "data engineering"},
        {"email": "", "groups": ["a", "n", "a", "l", "y", "t"]},
        {"email": "", "groups": {"analysts": True}},
        {"email": "", "groups": None, "roles": ["analysts"], "preferred_username": "grace@tailtracker.example"},
        {"email": "", "groups": ["@board.example", "ada@tailtracker.example"]},
    ],
)
def test_nothing_else_gives_one(claims: dict[str, Any]) -> None:
    with pytest.raises(AccessError, match="nothing here is open to you") as refusal:
        admit(POLICY, ADA | claims, NOW)
    assert not isinstance(refusal.value, NotSignedInError)
    assert "@" not in str(refusal.value) + refusal.value.why


@pytest.mark.parametrize(
    ("began", "is_over"),
    [
        (NOW, False),
        (NOW - 12 * 3600, False),
        (NOW - 12 * 3600 - 1, True),
        (NOW + 60, False),
        (NOW + 3600, True),
        (None, True),
        ("1780000000", True),
        (True, True),
    ],
)
def test_a_sign_in_is_over_after_some_hours(began: Any, is_over: bool) -> None:
    if is_over:
        with pytest.raises(NotSignedInError, match="sign in again"):
            admit(POLICY, ADA | {"iat": began}, NOW)
    else:
        assert admit(POLICY, ADA | {"iat": began}, NOW).roles == (Role.analyst,)


def test_several_roles_may_what_any_of_them_may() -> None:
    both = admit(POLICY, ADA | {"email": "anybody@board.example", "groups": ["Data Engineering"]}, NOW)
    assert both.rights == RIGHTS[Role.executive] | RIGHTS[Role.data_engineer]
    assert both.hidden_below == 0
    assert admit(POLICY, ADA | {"email": "anybody@board.example"}, NOW).hidden_below == 5


def test_rights_of_roles_are_of_a_piece() -> None:
    assert {*RIGHTS} == {*Role}
    for role, rights in RIGHTS.items():
        assert Right.figures in rights, role
        # A query shows what is hidden elsewhere.
        assert Right.query not in rights or Right.small_cells in rights, role
    assert [role for role, rights in RIGHTS.items() if Right.access in rights] == [Role.admin]


def written(tmp_path: Path, text: str, mode: int = 0o644) -> Path:
    file = tmp_path / "access.yml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_the_file_says_who_has_which_role(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "roles:\n  analyst: ['@tailtracker.example', group:analysts]\n  admin:\nhours: 2\nfewest: 10\n"
        "groups_claim: https://tailtracker.example/groups\n",
    )
    policy = load_policy(file)
    assert policy.roles == {Role.analyst: {"@tailtracker.example", "group:analysts"}, Role.admin: frozenset()}
    assert (policy.hours, policy.fewest, policy.groups_claim) == (2, 10, "https://tailtracker.example/groups")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: roles: Field required"),
        ("roles:\n  analyst:\n    - ada@x.example\n    - everybody\n", "line 4: roles: must be an address, a domain"),
        ("roles:\n  analyst: ['*']\n", "line 2: roles: must be"),
        ("roles:\n  analyst: ['@']\n", "line 2: roles: must be"),
        ("roles:\n  analyst: ['@example']\n", "line 2: roles: must be"),
        ("roles:\n  analyst: ['group: ']\n", "line 2: roles: must be"),
        ("roles:\n  analyst: ada@x.example\n", "line 2: roles: "),
        ("roles:\n  analyst: []\n  ada@x.example: admin\n", "line 3: no such role; there are executive, analyst"),
        ("roles:\n  ada@x.example: []\n  ada@x.example: []\n", "line 3: "),
        ("roles: {}\nada@x.example: admin\n", "line 2: no such key; there are roles, groups_claim, hours, fewest"),
        ("roles: {}\nhours: 0\n", "line 2: hours: "),
        ("roles: {}\nfewest: 2\n", "line 2: fewest: "),
        ("roles:\n  analyst: [@x.example]\n", "line 2: not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_the_address(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_policy(written(tmp_path, text))
    assert said in str(refusal.value)
    assert "ada@" not in str(refusal.value)


def test_a_file_that_others_may_write_or_nobody_can_read_gives_no_roles(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="may be written by others"):
        load_policy(written(tmp_path, "roles: {}\n", 0o664))
    with pytest.raises(SettingsError, match="TAILTRACKER_ACCESS: can't read"):
        load_policy(tmp_path / "none.yml")
