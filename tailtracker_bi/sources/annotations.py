"""Incidents, releases and campaigns from a file, to be shown beside the numbers of their days.

A list of JSON objects, each with an `id`, a `kind`, a `title`, when it began and, unless it is a moment or goes on,
when it ended. What stands in the file is so when it is read, however long nobody has had to write to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import orjson
import pyarrow as pa
from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    HttpUrl,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from tailtracker_bi.privacy import hash_personal_id, is_personal_id
from tailtracker_bi.settings import AbsolutePath, Settings, SourceSettings
from tailtracker_bi.sources.base import Check, KnownIds, ObjectSource, Read, nothing_known
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import (
    QUARANTINE_SCHEMA,
    VERSION_SCHEMA,
    BadResponseError,
    Counts,
    SourceUnavailableError,
    Table,
    Versions,
)

COLUMNS = pa.schema(
    [
        ("kind", pa.string()),
        ("title", pa.string()),
        ("started_at", pa.timestamp("us")),  # UTC
        ("ended_at", pa.timestamp("us")),  # UTC; null: a moment, or it goes on
        ("url", pa.string()),
    ]
)
LARGEST_BYTES = 8 << 20


class AnnotationSettings(SourceSettings):
    """Where the file is."""

    file: AbsolutePath | None = Field(None, alias="TAILTRACKER_ANNOTATIONS_FILE")


class Annotation(BaseModel):
    """An object of the file; fields that nobody asked for are left where they are."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: Literal["incident", "release", "campaign"]
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    url: HttpUrl | None = None

    @field_validator("started_at", "ended_at")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("it is in no year that there is") from None

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and (url.username or url.password or url.query):
            raise ValueError("it must be without user and query, which may hold secrets: everybody sees it")
        return url

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Annotation:
        if self.ended_at is not None and self.ended_at < self.started_at:
            raise ValueError("it ended before it began")
        return self

    def row(self) -> dict[str, object]:
        """Its values in COLUMNS, without personal data and what a terminal would obey."""
        moments = {"started_at": self.started_at, "ended_at": self.ended_at}
        texts = {"title": self.title, "url": self.url and str(self.url)}
        return {
            "kind": self.kind,
            **{name: text and readable(text, ()) for name, text in texts.items()},
            **{name: moment and moment.replace(tzinfo=None) for name, moment in moments.items()},
        }


class Annotations(ObjectSource):
    """What happened to the app and around it, by a file that people or a deployment write."""

    name = "annotations"
    title = "Annotations"
    tables = (Table("annotations", COLUMNS),)
    opens_calendar = False
    why_off = "TAILTRACKER_ANNOTATIONS_FILE is not set"

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        return settings.of(AnnotationSettings).file is not None

    @contextmanager
    def session(
        self, since: Mapping[str, datetime], spool: Path, known_ids: KnownIds = nothing_known
    ) -> Iterator[Read]:
        yield self._read

    def check(self) -> Check:
        try:
            objects = self._told()
        except (BadResponseError, SourceUnavailableError) as error:
            return Check(self.name, is_ok=False, detail=str(error))
        wrong = [reason for _, reason in map(_judged, objects) if reason]
        return Check(self.name, is_ok=not wrong, detail="; ".join([f"{len(objects)} annotations", *wrong[:1]]))

    @contextmanager
    def _read(self, table: Table) -> Iterator[Versions]:
        objects = self._told()
        judged = [_judged(item) for item in objects]
        ids = Counter(found.id for found, _ in judged if found)
        if twice := sorted(id_ for id_, count in ids.items() if count > 1):
            raise BadResponseError(f"{self.name}: id should tell annotations apart, and {len(twice)} stand twice")
        rows = [
            {"object_id": self._landed_id(found.id), "origin": "snapshot", "is_deleted": False, **found.row()}
            for found, _ in judged
            if found
        ]
        day = self.settings.now.date()
        aside = [
            {"day": day, "reason": reason, "record": f"object {number}"}
            for number, (_, reason) in enumerate(judged, start=1)
            if reason
        ]
        yield Versions(
            rows=pa.Table.from_pylist(rows, pa.schema([*VERSION_SCHEMA, *table.schema])).to_reader(),
            is_snapshot=True,
            quarantine=pa.Table.from_pylist(aside, QUARANTINE_SCHEMA).to_reader(),
            counts=Counts(received=len(objects), quarantined=len(aside)),
        )

    def _landed_id(self, id_: str) -> str:
        return hash_personal_id(id_, self.settings.hash_key) if is_personal_id(id_) else id_

    def _told(self) -> list[object]:
        """The objects of the file, unchecked."""
        file = self.settings.of(AnnotationSettings).file
        try:
            if file is None or file.stat().st_size > LARGEST_BYTES:
                raise BadResponseError(f"{self.name}: {file} is larger than {LARGEST_BYTES >> 20} MiB")
            content = file.read_bytes()
        except OSError as error:
            why = f"{error.strerror}: is TAILTRACKER_ANNOTATIONS_FILE the right one?"
            raise SourceUnavailableError(f"{self.name}: {file} can't be read: {why}") from None
        try:
            objects = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            line, column = error.lineno, error.colno
            where = f"line {line}, column {column}"
            raise BadResponseError(f"{self.name}: {file}: {where}: not JSON: is it still being written?") from None
        if not isinstance(objects, list):
            raise BadResponseError(f"{self.name}: {file} holds no list of objects")
        return objects


def _judged(item: object) -> tuple[Annotation | None, str]:
    """The annotation, or what is wrong with it: which field, and why, without its value."""
    try:
        return Annotation.model_validate(item), ""
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return None, f"{'.'.join(map(str, wrong['loc'])) or 'object'}: {wrong['msg'].removeprefix('Value error, ')}"
