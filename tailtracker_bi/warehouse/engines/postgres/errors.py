"""What the server refuses, in the words of who has to do something about it."""

from __future__ import annotations

from typing import NoReturn

from adbc_driver_postgresql import dbapi

from tailtracker_bi.errors import BuildError

_LOST = "the connection to it was lost: run this again; what is published stays as it was"
_AGED = (
    "it ended a transaction for its age: raise idle_in_transaction_session_timeout and transaction_timeout of the role"
)
_REASONS = {
    "08": _LOST,
    "57P": _LOST,
    "28": "it refuses the role: check user and password in TAILTRACKER_WAREHOUSE_URL",
    "3D": "there is no such database: create it, or name another in TAILTRACKER_WAREHOUSE_URL",
    "53100": "its disk is full: make room there, and run this again",
    "53200": "it has no memory left: lower work_mem, or give it more",
    "53300": "it takes no more connections",
    "53400": "a file of its own grew beyond temp_file_limit: raise it for the role, or work_mem, and run this again",
    "57014": "it cancelled a statement: raise statement_timeout of the role, and run this again",
    "25P03": _AGED,
    "25P04": _AGED,
    "40001": "another session got in the way: run this again",
    "40P01": "another session got in the way (deadlock): run this again",
    "55P03": "another session holds locks on what has to be replaced: end it, and run this again",
}
"""What an SQLSTATE that begins so means, and what to do."""


class PostgresError(BuildError):
    """What the server refused, and what to do about it."""

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def refuse(error: dbapi.Error) -> NoReturn:
    """Raise what people can do something about."""
    state = error.sqlstate or ""
    told = dict(error.details or ()).get(b"PG_DIAG_MESSAGE_PRIMARY", "") if hasattr(error, "details") else ""
    primary = told.decode() if isinstance(told, bytes) else str(told)
    for beginning, reason in _REASONS.items():
        if state.startswith(beginning):
            raise PostgresError(f"the warehouse's database: {reason}", state) from None
    if not state:
        what = str(error)
        if any(sign in what for sign in ("closed the connection", "terminat", "no connection", "not connected")):
            raise PostgresError(f"the warehouse's database: {_LOST}", "08006") from None
        if "connect" in what:
            raise PostgresError(f"the warehouse's database: {_unreachable(what)}", "08001") from None
    if state == "42501":
        raise PostgresError(f"the warehouse's database: {primary}: grant the role that right", state) from None
    raise PostgresError(
        primary or f"the warehouse's database failed ({state or type(error).__name__})", state
    ) from None


def _unreachable(told: str) -> str:
    if "password authentication failed" in told or "no password supplied" in told:
        return _REASONS["28"]
    if any(state in told for state in ("recovery mode", "starting up", "shutting down", "not yet accepting")):
        return "it is starting, or recovers from a crash: run this again in a minute"
    if "does not exist" in told:
        return "there is no such database or role: check TAILTRACKER_WAREHOUSE_URL"
    if "certificate" in told or "SSL" in told:
        return "TLS failed: check sslmode and sslrootcert in TAILTRACKER_WAREHOUSE_URL"
    return "it can't be reached: is it up, and TAILTRACKER_WAREHOUSE_URL right?"
