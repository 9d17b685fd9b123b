"""A YAML file says who has which role. And what that makes of somebody whom a provider has signed in.

Addresses are personal data: no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tailtracker_bi.access.roles import RIGHTS, Right, Role
from tailtracker_bi.analytics import yaml_with_lines
from tailtracker_bi.errors import SettingsError, TailTrackerError
from tailtracker_bi.privacy import mask_text

GROUP = "group:"
FEWEST = 5
"""Parts of fewer people are hidden from who may not see them, where nothing else is said."""
CLOCKS_DIFFER = 120
"""Seconds by which the provider's clock may be ahead of this one."""
_ADDRESS = re.compile(r"[!-?A-~]*@[a-z0-9-]+(?:\.[a-z0-9-]+)+")


class AccessError(TailTrackerError):
    """Something is not open to who asks: the message tells them, `why` is for the log."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class NotSignedInError(AccessError):
    """Nobody is signed in, or not any more: to sign in may help."""


class PartsNotOpenError(AccessError):
    """Something is shown in the whole alone, as parts of it are of few people."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: shown to your role of everyone alone, as some parts are of few people.", "parts of few people"
        )


def _plain(address: str) -> str:
    """As it is compared. Some letters beyond ASCII become one of it in lower case: those stay what they are."""
    return address.lower() if address.isascii() else address


def _is_verified(claims: Mapping[str, Any]) -> bool:
    """Some providers say so in a text."""
    return claims.get("email_verified") is True or claims.get("email_verified") == "true"


def _who(entry: str) -> str:
    if entry.startswith(GROUP):
        if entry.removeprefix(GROUP).strip():
            return entry
    elif _ADDRESS.fullmatch(_plain(entry)):
        return _plain(entry)
    raise ValueError('must be an address, a domain ("@example.com") or a group ("group:name of it")')


Who = Annotated[str, AfterValidator(_who)]
SomeOrNone = Annotated[frozenset[Who], BeforeValidator(lambda entries: [] if entries is None else entries)]


class Policy(BaseModel):
    """Who has which role, and what goes for all."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    roles: dict[Role, SomeOrNone]
    groups_claim: str = Field("groups", min_length=1)
    hours: float = Field(12, gt=0, le=720)
    fewest: int = Field(FEWEST, ge=3, le=1000)

    def roles_of(self, claims: Mapping[str, Any]) -> tuple[Role, ...]:
        """The roles of somebody of whom the provider says this.

        An address counts where the provider has verified it, as who signs up there may else write any; groups come
        from the provider alone.
        """
        known = {f"{GROUP}{group}" for group in _texts(claims.get(self.groups_claim))}
        address = claims.get("email")
        if isinstance(address, str) and _is_verified(claims):
            address = _plain(address)
            if _ADDRESS.fullmatch(address) and not address.startswith("@"):
                known |= {address, address[address.index("@") :]}
        return tuple(role for role in Role if known & self.roles.get(role, frozenset()))

    def hidden_from(self, roles: Collection[Role]) -> int:
        """Parts of fewer people are hidden from who has these roles; 0: none."""
        return 0 if any(Right.small_cells in RIGHTS[role] for role in roles) else self.fewest

    def hidden_in_mails_to(self, address: str) -> int:
        """The same of who is written to at an address, which the provider need not verify: they get what is sent there.

        Who has no role by their address, or their domain, is shown as little as the least of the roles is.
        """
        return self.hidden_from(self.roles_of({"email": address, "email_verified": True}))


@dataclass(frozen=True)
class Visitor:
    """Somebody who is let in."""

    roles: tuple[Role, ...]
    hidden_below: int
    """Parts of fewer people are hidden from them; 0: none."""

    @property
    def rights(self) -> frozenset[Right]:
        return frozenset().union(*(RIGHTS[role] for role in self.roles))

    def require(self, right: Right, what: str) -> None:
        """Raise AccessError where they have not got a right; `what` is then said not to be open to them."""
        if right not in self.rights:
            raise AccessError(
                f"{what} is not open to your role ({self.named}). Ask whoever runs this dashboard if you need it.",
                f"not open to {self.named}",
            )

    @property
    def named(self) -> str:
        """Their roles in words."""
        return ", ".join(role.replace("_", " ") for role in self.roles)


def admit(policy: Policy, claims: Mapping[str, Any], now: float) -> Visitor:
    """Who it is that the provider says this of; `now` is the clock's, in seconds since 1970.

    Raises NotSignedInError where their sign-in is over, and AccessError where no role is theirs.
    """
    began = claims.get("iat")
    is_number = isinstance(began, int | float) and not isinstance(began, bool)
    if not is_number or not -CLOCKS_DIFFER <= now - began <= policy.hours * 3600:  # type: ignore[operator]
        raise NotSignedInError("Your sign-in is over: sign in again.", "sign-in is over")
    roles = policy.roles_of(claims)
    if not roles:
        is_unverified = bool(claims.get("email")) and not _is_verified(claims)
        because = "Your provider has not verified your address, and none" if is_unverified else "None"
        raise AccessError(
            f"You are signed in, and nothing here is open to you. {because} of your groups has a role here. "
            "Ask whoever runs this dashboard for a role, then sign in again.",
            "address not verified, no group with a role" if is_unverified else "no role",
        )
    return Visitor(roles, policy.hidden_from(roles))


def load_policy(file: Path) -> Policy:
    """Read and check who has which role. Raises SettingsError naming the line of each mistake, and nobody."""
    try:
        text, others = file.read_text(encoding="utf-8"), file.stat().st_mode & 0o022
    except OSError as error:
        raise SettingsError(f"TAILTRACKER_ACCESS: can't read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"TAILTRACKER_ACCESS: {file} is not UTF-8 text") from None
    if others:
        raise SettingsError(f"{file} may be written by others, who could give themselves roles: `chmod go-w {file}`")
    try:
        content, lines = yaml_with_lines(str(file), text)
    except SettingsError as error:
        raise SettingsError(mask_text(str(error))) from None
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        mistakes = (_explain(problem, lines) for problem in error.errors(include_url=False, include_input=False))
        raise SettingsError(f"{file}: " + "; ".join(dict.fromkeys(mistakes))) from None


def _explain(problem: Any, lines: Mapping[tuple[Any, ...], int]) -> str:
    path = tuple(part for part in problem["loc"] if part != "[key]")
    line = next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 1)
    if "[key]" in problem["loc"]:
        return f"line {line}: no such role; there are {', '.join(Role)}"
    if problem["type"] == "extra_forbidden":
        return f"line {line}: no such key; there are {', '.join(Policy.model_fields)}"
    return f"line {line}: {path[0] if path else 'the file'}: {str(problem['msg']).removeprefix('Value error, ')}"


def _texts(claim: object) -> list[str]:
    """Groups as providers give them: one as a text, or a list of them."""
    entries = claim if isinstance(claim, list) else [claim]
    return [entry for entry in entries if isinstance(entry, str)]
