"""The roles that there are, and what each may do."""

from __future__ import annotations

from enum import StrEnum


class Right(StrEnum):
    """Something that not everybody may do."""

    figures = "See figures, and where they come from"
    small_cells = "See figures of few people, and what takes them apart"
    query = "Ask SQL, and the events themselves"
    export = "Take figures away, as CSV, PNG and PDF"
    annotate = "Write notes on days, which all see"
    access = "See who may see what, and who was refused"


class Role(StrEnum):
    """What somebody is here; who has several roles may do what any of them may."""

    executive = "executive"
    analyst = "analyst"
    data_engineer = "data_engineer"
    admin = "admin"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.executive: frozenset({Right.figures, Right.export}),
    Role.analyst: frozenset({Right.figures, Right.small_cells, Right.query, Right.export, Right.annotate}),
    Role.data_engineer: frozenset({Right.figures, Right.small_cells, Right.query, Right.annotate}),
    Role.admin: frozenset(Right),
}
"""Who may ask SQL may see figures of few people, too: a query shows them."""
