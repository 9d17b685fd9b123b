"""A stand-in for the European Central Bank's file of reference rates, over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from tailtracker_bi.sandbox.servers.server import Handler, serving

PATH = "/stats/eurofxref/eurofxref-hist.xml"


@dataclass(frozen=True)
class RatesFile:
    """What is known of all days, and which day it is."""

    rates: Mapping[date, Mapping[str, Decimal]]
    today: Callable[[], date]

    @property
    def content(self) -> bytes:
        """The file of a morning: the rates of today are set in the afternoon."""
        known = sorted((day for day in self.rates if day < self.today()), reverse=True)
        of_days = ({currency.upper(): str(rate) for currency, rate in self.rates[day].items()} for day in known)
        return document(*zip(map(str, known), of_days, strict=True))


def document(*days: tuple[str, Mapping[str, str]]) -> bytes:
    """A file of the bank's, newest day first, as it writes them: of each day what one euro buys, by currency."""
    cubes = "".join(
        f'<Cube time="{day}">'
        + "".join(f'<Cube currency="{currency}" rate="{rate}"/>' for currency, rate in rates.items())
        + "</Cube>"
        for day, rates in days
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
        "<gesmes:subject>Reference rates</gesmes:subject>"
        "<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>"
        f"<Cube>{cubes}</Cube></gesmes:Envelope>"
    ).encode()


class _Handler(Handler):
    api: ClassVar[RatesFile]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        content = self.api.content
        self.send(200, content, {"content-type": "text/xml", "content-length": str(len(content))})


@contextmanager
def serve(rates: Mapping[date, Mapping[str, Decimal]], today: Callable[[], date]) -> Iterator[str]:
    """Serve on 127.0.0.1 until the block ends; gives where the file is."""
    with serving(_Handler, RatesFile(rates, today)) as url:
        yield f"{url}{PATH}"
