"""HTTP as sources need it: trying again what may get better, and reading bodies to their proven end.

HTTP clients accept a gzip body that was cut off. Here the body is read raw and decompressed under watch: a stream
counts as complete only if its last gzip member ended with a valid checksum, or, uncompressed, if HTTP itself says where
the body ends. Lines end at `\\n` only; U+2028 and its like are text.

httpx is loaded by the first who asks a server: whoever wants to know which sources there are need not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from isal import isal_zlib

from tailtracker_bi.settings import Settings
from tailtracker_bi.sources.foreign_text import readable
from tailtracker_bi.sources.records import BadResponseError, SourceUnavailableError, TooLargeError

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState, Retrying

TRIES = 4
LONGEST_WAIT_SECONDS = 300.0
BATCH_BYTES = 8 << 20
LONGEST_LINE = 32 << 20
# Ids alone, which no compression shortens, keep real exports far below this. A small answer may be anything.
HIGHEST_RATIO = 100
RATIO_COUNTS_FROM = 64 << 20
_GZIP = 16 + isal_zlib.MAX_WBITS


class RetryableError(BadResponseError):
    """An answer that may be better next time; `wait_seconds` is what the server asked for."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class UnreachableError(RetryableError):
    """No connection came about."""


class BusyError(RetryableError):
    """The server takes no more requests for now (429), whatever they ask for."""


def client(seconds: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """A client for one request after the other, of which each may take so many seconds in all.

    What takes longer ends in httpx's timeouts, as a single wait that is too long does; looking up a name, and trying
    several addresses of it, may add to that. It goes nowhere but where it is told: no proxies of the environment, no
    redirects.
    """
    import httpx

    from tailtracker_bi.sources.deadlines import TIMEOUT, DeadlineTransport

    transport = DeadlineTransport(seconds)
    headers = {"accept-encoding": "gzip"}
    return httpx.Client(auth=auth, headers=headers, timeout=TIMEOUT, trust_env=False, transport=transport)


def retrying(settings: Settings, say: Callable[[str], None]) -> Retrying:
    """Calls a function up to TRIES times while it raises RetryableError; waits, times a scale, as the server asks.

    Where settings say not to wait, a server that is asked too often (429) is not asked again.
    """

    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    def wait_seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_seconds if isinstance(error, RetryableError) else None
        return (
            min(asked if asked is not None else 2.0**state.attempt_number, LONGEST_WAIT_SECONDS) * settings.retry_scale
        )

    def may_be_better_next_time(error: BaseException) -> bool:
        return isinstance(error, RetryableError) and (settings.waits or not isinstance(error, BusyError))

    def say_retry(state: RetryCallState) -> None:
        wait = state.next_action.sleep if state.next_action else 0.0
        error = state.outcome.exception() if state.outcome else None
        say(f"{error}; try {state.attempt_number + 1} of {TRIES} in {wait:.0f} s")

    return Retrying(
        retry=retry_if_exception(may_be_better_next_time),
        stop=stop_after_attempt(TRIES),
        wait=wait_seconds,
        before_sleep=say_retry,
        reraise=True,
    )


Refused = Callable[[int, str], Exception]
"""What an answer that asking again does not mend means: its status and what it told, as the error to raise."""


@contextmanager
def answer(
    client: httpx.Client,
    url: str,
    where: str,
    refused: Refused,
    secrets: Sequence[str],
    params: Mapping[str, str] | None = None,
) -> Iterator[httpx.Response]:
    """The answer to a GET, its status judged, its body still unread; `where` begins with the source's name.

    Raises UnreachableError, BusyError (429) and RetryableError (5xx, and what breaks off on the way, the body's reading
    included) where asking again may help, and what `refused` says for any other status but 200.
    """
    import httpx

    try:
        with client.stream("GET", url, params=params) as response:
            judge(response, where, refused, secrets)
            yield response
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        base = f"{httpx.URL(url).scheme}://{httpx.URL(url).netloc.decode()}"
        message = readable(str(error), secrets)
        raise UnreachableError(f"{where.partition(':')[0]}: can't reach {base}: {message}") from None
    except httpx.HTTPError as error:
        raise RetryableError(f"{where}: {type(error).__name__}: {readable(str(error), secrets)}") from None


def judge(response: httpx.Response, where: str, refused: Refused, secrets: Sequence[str]) -> None:
    """Raise what the status of an answer means; nothing for 200."""
    status = response.status_code
    if status == 200:
        return
    message = f"{where}: answered {status}{_told(response, secrets)}"
    if status == 429:
        raise BusyError(message, retry_after(response.headers))
    if status >= 500:
        raise RetryableError(message, retry_after(response.headers))
    raise refused(status, f"{message}; redirects are not followed" if 300 <= status < 400 else message)


def _told(response: httpx.Response, secrets: Sequence[str]) -> str:
    """What an error answer says, on one line, without markup, secrets or personal data."""
    import httpx

    content = b""
    with suppress(httpx.HTTPError, BadResponseError):
        content = next(body(response), b"")
    return shown(content, secrets)


def shown(content: bytes, secrets: Sequence[str]) -> str:
    """The beginning of what a server sent, to follow on what is said of it; empty where it is markup or nothing."""
    text = readable(content, secrets)
    return "" if not text or text.startswith("<") else f": {text}"


def check_setting(setting: str) -> Refused:
    """For sources whose only setting says where they are: any refusal means that it is wrong."""
    return lambda _, told: SourceUnavailableError(f"{told}; check {setting}")


def body(response: httpx.Response) -> Iterator[bytes]:
    """The decompressed body in pieces of bounded size; raises BadResponseError unless it is whole."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    pieces = response.iter_raw()
    if encoding == "gzip":
        yield from gunzip(pieces)
    elif encoding == "identity":
        if "content-length" not in response.headers and "transfer-encoding" not in response.headers:
            raise BadResponseError("the body is neither gzip nor of known length: it can't be told whether it is whole")
        yield from pieces
    else:
        raise BadResponseError("the body has a content encoding that was not asked for")


def content(response: httpx.Response, most_bytes: int, where: str = "") -> bytes:
    """The body as a whole; raises RetryableError unless it is whole, and TooLargeError where it has no end in sight."""
    about = f"{where}: " if where else ""
    found = bytearray()
    try:
        for piece in body(response):
            found += piece
            if len(found) > most_bytes:
                raise TooLargeError(f"the answer is longer than {most_bytes >> 20} MiB")
    except TooLargeError as error:
        raise TooLargeError(f"{about}{error}") from None
    except BadResponseError as error:
        raise RetryableError(f"{about}{error}") from None
    return bytes(found)


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip of one or several members, at most BATCH_BYTES at a time.

    Raises BadResponseError where there is no member, one is cut off or its checksum is wrong, and TooLargeError where
    so much came out of so little that it can only be meant to fill the machine.
    """
    member = isal_zlib.decompressobj(_GZIP)
    is_inside = True
    packed = unpacked = 0
    for piece in pieces:
        data = piece
        packed += len(piece)
        while data:
            is_inside = True
            try:
                text = member.decompress(data, BATCH_BYTES)
            except isal_zlib.error as error:  # type: ignore[misc]  # its stub takes the class for an object
                raise BadResponseError(f"the gzip stream is broken: {readable(str(error), ())}") from None
            unpacked += len(text)
            if unpacked > max(RATIO_COUNTS_FROM, HIGHEST_RATIO * packed):
                raise TooLargeError(
                    f"a gzip bomb: {packed:,} bytes became more than {unpacked >> 20} MiB; "
                    f"no export is packed more than {HIGHEST_RATIO} times"
                )
            yield text
            data = member.unconsumed_tail
            if member.eof:
                data = member.unused_data
                member = isal_zlib.decompressobj(_GZIP)
                is_inside = False
    if is_inside:
        raise BadResponseError("the gzip stream was cut off before its end")


def line_batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes again, cut only after `\\n`, in batches of about BATCH_BYTES; the last may lack its newline."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) < BATCH_BYTES:
            continue
        cut = held.rfind(b"\n") + 1
        if cut:
            with memoryview(held) as whole:
                batch = bytes(whole[:cut])
            yield batch
            del held[:cut]
        if len(held) > LONGEST_LINE:
            raise BadResponseError(f"a line is longer than {LONGEST_LINE >> 20} MiB")
    if held:
        yield bytes(held)


def told_time(headers: Mapping[str, str]) -> datetime | None:
    """The server's clock, in UTC, when it answered; None where it does not tell."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, given in seconds or as a date; None where it asks nothing readable."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, float(parsedate_to_datetime(value).timestamp() - time.time()))
    except (ValueError, TypeError):
        return None
