"""SQL: people's own SELECT over the published tables. It is in the address bar, so that a link shows its result."""

from __future__ import annotations

from urllib.parse import quote

import pyarrow as pa
import pyarrow.types as kinds
import streamlit as st

from dashboards import data
from dashboards.components import choose_form, draw, find_build, hand_out, nothing_here
from dashboards.controls import select, switch
from dashboards.waiting import answered, forget
from tailtracker_bi.bundle import Answer, QueryError, Table
from tailtracker_bi.figures.quick_chart import NotDrawnError, numbers_of, quick_chart
from tailtracker_bi.figures.wording import plain

LINK, EDITOR, ASKED, LINKED = "sql", "statement", "asked", "linked"
"""Where the statement is: in the address bar; in the editor; the one whose result is shown; and the link that was
followed last."""
NUMBER = "number"
"""In the address bar, too: which column is drawn."""
LONGEST_LINK = 6_000
"""Signs of a statement as a link holds it: servers and mails take no more for sure."""
FORMS = {"table": "Table", "chart": "Chart"}
MONOSPACED = (
    "<style>textarea { font-family: 'Source Code Pro', monospace !important; font-size: 0.875rem !important }</style>"
)


def follow_link() -> None:
    """Take the statement of a link that is new, also of Back and Forward, to the editor, and ask it."""
    link = st.query_params.get(LINK, "")
    if EDITOR in st.session_state and st.session_state.get(LINKED) == link:
        return
    # Who comes back to the page without a link finds what was written last.
    st.session_state[EDITOR] = link or st.session_state.get(ASKED, "")
    st.session_state[ASKED] = st.session_state[EDITOR] if link else ""
    st.session_state[LINKED] = link
    st.session_state.pop(NUMBER, None)


def ask_for(statement: str) -> None:
    """Ask a statement anew, and put it into the address bar where it has room there."""
    st.session_state[ASKED] = st.session_state[EDITOR] = statement
    forget()
    st.session_state.pop(NUMBER, None)
    link = statement if fits_a_link(statement) else ""
    st.session_state[LINKED] = link
    # At once: each change of the address bar is a step back.
    others = {key: st.query_params.get_all(key) for key in st.query_params if key not in {LINK, NUMBER}}
    st.query_params.from_dict(others | ({LINK: [link]} if link else {}))


def fits_a_link(statement: str) -> bool:
    return len(quote(statement)) <= LONGEST_LINK


def ask_what_is_written() -> None:
    ask_for(st.session_state[EDITOR].strip())


def editor(table: Table) -> None:
    st.html(MONOSPACED)
    with st.form("sql", border=False):
        st.text_area(
            "SELECT statement",
            key=EDITOR,
            height=180,
            placeholder=table.first_rows,
            help="Ctrl+Enter runs it. It is answered apart, read-only, within limits of time, memory and rows.",
        )
        st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", on_click=ask_what_is_written)
    if not fits_a_link(st.session_state[ASKED]):
        st.caption(":material/link_off: The statement is too long for a link: the address bar does not hold it.")


def refused(error: QueryError) -> None:
    st.error(plain(str(error).removeprefix("query: ")), icon=":material/error:")
    if error.pointer:
        st.code(error.pointer, language=None)


def result(answer: Answer) -> None:
    rows = answer.rows
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        form = switch("Show as", FORMS, "show", "table")
        choose_form()
        # As they came: the order is what was asked for, too.
        hand_out(
            rows.column_names,
            lambda: list(zip(*(column.to_pylist() for column in rows.columns), strict=True)),
            "sql",
        )
    if answer.is_cut:
        st.warning(
            f"**The first {counted(rows.num_rows)}: there are more.** Narrow or group them; "
            "`tailtracker-bi query` prints all.",
            icon=":material/content_cut:",
        )
    else:
        st.caption(counted(rows.num_rows))
    if form == "chart":
        chart(rows)
    else:
        types = dict(zip(rows.column_names, answer.types, strict=True))
        columns = {name: st.column_config.Column(help=kind) for name, kind in types.items()}
        st.dataframe(for_the_eye(rows), hide_index=True, alt="The rows of the result", column_config=columns)


def for_the_eye(rows: pa.Table) -> pa.Table:
    """Rows as a table of a page can show them: what is no number, text, day or truth is written as text."""
    known = (
        kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_string, kinds.is_boolean, kinds.is_date,
        kinds.is_timestamp,
    )  # fmt: skip
    columns = [
        column
        if any(is_of(column.type) for is_of in known)
        else pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        for column in rows.columns
    ]
    return pa.table(columns, names=rows.column_names)


def chart(rows: pa.Table) -> None:
    numbers = numbers_of(rows)
    if not numbers:
        nothing_here("A chart needs a column of numbers.")
        return
    number = numbers[0] if len(numbers) == 1 else select("Number", {name: name for name in numbers}, NUMBER)
    try:
        spec = quick_chart(rows, number)
    except NotDrawnError as why:
        nothing_here(plain(why))
        return
    has_state = "is_complete" in rows.column_names
    draw(spec, "" if has_state else "Periods that are not complete are told apart where the rows have `is_complete`.")


def counted(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def browser(tables: dict[str, Table]) -> Table:
    """What may be asked: a table, its columns, and what they are."""
    name = select("Table", {name: name for name in tables}, "table", "metric_values")
    table = tables[name]
    st.markdown(f"{table.description} {counted(table.rows)}.".strip())
    st.button("Show first rows", icon=":material/table_rows:", on_click=ask_for, args=(table.first_rows,))
    st.markdown(
        "\n".join(
            f"- `{column.name}` :gray[{plain(column.type.lower())}]"
            + (f": {column.description}" if column.description else "")
            for column in table.columns
        )
    )
    return table


build = find_build("SQL", "Ask the published tables yourself, in one SELECT statement.")
asking, browsing = st.columns([5, 2], gap="medium")
with browsing:
    table = browser({table.name: table for table in data.schema(build)})
follow_link()
with asking:
    editor(table)
    if st.session_state[ASKED]:
        statement = st.session_state[ASKED]
        found = answered("query", (build.build, statement), lambda told: data.ask(build, statement, told))
        if isinstance(found, QueryError):
            refused(found)
        else:
            result(found)
