"""How long a page takes the dashboard, for one who looks and for many at once, and what the server keeps in memory.

    python -m benchmarks.visitors HOME [--visitors 25] [--seconds 120]

Over the current build of a HOME. Visitors speak to the server as a browser does, and read all that it sends; what a
browser then draws is not measured. Cold is the first visit of a page since the server started, warm a further one in a
session of its own, changed the same page for another view. Visitors at once each open a page, look at it for 1 to 9
seconds, and change its view or open another.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.readers import PAGES

VIEWS = ("", "grain=month", "grain=day&range=30", "segment=platform", "against=year", "of=platform%3DiOS", "range=365")
WARM_ROUNDS = 5
SEED = 1


class VisitError(Exception):
    """The page ended with an error."""


async def visit(stream: ClientConnection, page: str, view: str = "") -> float:
    """Ask for a page and read it to its end; gives the seconds."""
    began = time.perf_counter()
    asked = BackMsg()
    asked.rerun_script.query_string = view
    asked.rerun_script.page_name = "" if page == PAGES[0] else page
    await stream.send(asked.SerializeToString())
    while True:
        told = ForwardMsg.FromString(bytes(await stream.recv(decode=False)))
        if told.delta.new_element.HasField("exception"):
            raise VisitError(f"{page}?{view}: {told.delta.new_element.exception.message}")
        if told.WhichOneof("type") == "script_finished":
            if told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return time.perf_counter() - began
            if told.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                raise VisitError(f"{page}?{view}: compile error")


@contextmanager
def server(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("tailtracker-bi")), "dashboard", "--port", str(port)]
    environment = {"PATH": "/usr/bin:/bin", "TAILTRACKER_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                with closing(socket.socket()) as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield f"ws://127.0.0.1:{port}/_stcore/stream", psutil.Process(process.pid)
        finally:
            process.terminate()


def session(url: str) -> connect:
    return connect(url, subprotocols=["streamlit"], max_size=None, origin=url.replace("ws", "http", 1).split("/_")[0])  # type: ignore[list-item, arg-type]


async def one_by_one(url: str) -> dict[str, dict[str, list[float]]]:
    """Seconds by page and how it was opened."""
    found: dict[str, dict[str, list[float]]] = {page: {} for page in PAGES}
    for kind, rounds in (("cold", 1), ("warm", WARM_ROUNDS)):
        for _ in range(rounds):
            for page in PAGES:
                async with session(url) as stream:
                    found[page].setdefault(kind, []).append(await visit(stream, page))
    for page in PAGES:
        async with session(url) as stream:
            await visit(stream, page)
            found[page]["changed"] = [await visit(stream, page, view) for view in VIEWS * 2]
    return found


async def many(url: str, visitors: int, seconds: float) -> tuple[list[float], list[str]]:
    """Seconds of each page that visitors opened at once, and what went wrong."""
    taken: list[float] = []
    wrong: list[str] = []
    until = time.monotonic() + seconds

    async def look(chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0, 5))
        async with session(url) as stream:
            page = PAGES[0]
            while time.monotonic() < until:
                try:
                    taken.append(await visit(stream, page, chance.choice(VIEWS)))
                except VisitError as error:
                    wrong.append(str(error))
                await asyncio.sleep(chance.uniform(1, 9))
                page = page if chance.random() < 0.5 else chance.choice(PAGES)

    await asyncio.gather(*(look(random.Random(SEED + number)) for number in range(visitors)))  # noqa: S311
    return taken, wrong


def most(seconds: list[float]) -> float:
    """The 95th percentile."""
    return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("home", type=Path)
    asked.add_argument("--visitors", type=int, default=25)
    asked.add_argument("--seconds", type=float, default=120)
    given = asked.parse_args()
    with server(given.home.absolute()) as (url, process):
        pages = asyncio.run(one_by_one(url))
        print(f"{'page, seconds':28}{'cold':>8}{'warm p95':>10}{'changed p95':>13}")
        for page, own in pages.items():
            print(f"{page:28}{own['cold'][0]:8.2f}{most(own['warm']):10.2f}{most(own['changed']):13.2f}")
        for kind in ("warm", "changed"):
            every = [seconds for own in pages.values() for seconds in own[kind]]
            print(f"all pages, {kind}: median {median(every):.2f} s, p95 {most(every):.2f} s")
        before = process.memory_info().rss
        taken, wrong = asyncio.run(many(url, given.visitors, given.seconds))
        after = process.memory_info().rss
        print(
            f"{given.visitors} visitors for {given.seconds:.0f} s: {len(taken)} pages, median {median(taken):.2f} s, "
            f"p95 {most(taken):.2f} s, {len(wrong)} errors; memory {before >> 20} MiB before, {after >> 20} after"
        )
        for error in sorted(set(wrong)):
            print(error)


if __name__ == "__main__":
    main()
