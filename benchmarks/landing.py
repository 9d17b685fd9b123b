"""How fast a month of events lands, in rows per CPU-second, beside plain decompression and a plain Python loop.

    python -m benchmarks.landing [--large]

Each contender reads the same files in a process of its own: so its peak of memory is its own, too. They take turns, as
a machine is not equally fast all the time, and the median counts. `--large` adds a day of 5 million events and bombs of
10 GB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tailtracker_bi.lake import Lake
from tailtracker_bi.privacy import clean_value
from tailtracker_bi.sources import BadResponseError, Days, EventLines, http

FIRST, LAST = date(2024, 6, 1), date(2024, 6, 30)
ROUNDS = 5
LARGE_EVENTS = 5_000_000
BOMB_BYTES = 10 << 30
Work = Callable[[Path, Path], str]


def pieces(files: Path) -> Iterator[bytes]:
    """What HTTP would give: the compressed bytes of all files, one after the other."""
    for file in sorted(files.glob("2024-06-*.gz")):
        with file.open("rb") as raw:
            while piece := raw.read(1 << 16):
                yield piece


def decompress(files: Path, _: Path) -> str:
    return str(sum(text.count(b"\n") for text in unpacked(files)))


def unpacked(files: Path) -> Iterator[bytes]:
    """The same by zlib, file by file."""
    return (zlib.decompress(file.read_bytes(), wbits=31) for file in sorted(files.glob("2024-06-*.gz")))


def loop(files: Path, scratch: Path, clean: bool = False) -> str:
    """Plain Python: the same typed fields, the rest of the properties as JSON, duplicates dropped, one Parquet file.

    It holds everything in memory, trusts every line, and takes personal data out only where `clean` says so.
    """
    rows: dict[Any, tuple[Any, ...]] = {}
    for batch in unpacked(files):
        for line in batch.split(b"\n"):
            if not line:
                continue
            event = orjson.loads(line)
            if clean:
                event = clean_value(event)
            sent = event["properties"]
            time, person, insert_id = sent.pop("time"), sent.pop("distinct_id"), sent.pop("$insert_id", None)
            processed = sent.pop("mp_processing_time_ms", 0)
            key = (time // 86400, event["event"], person, insert_id) if insert_id else len(rows)
            if key in rows and rows[key][4] >= processed:
                continue
            rows[key] = (
                event["event"], time, person, insert_id, processed, sent.pop("$device_id", None),
                sent.pop("$user_id", None), sent.pop("platform", None) or sent.pop("$os", None),
                sent.pop("mp_country_code", None), sent.pop("$app_version_string", None), orjson.dumps(sent),
            )  # fmt: skip
    columns = [pa.array(values) for values in zip(*rows.values(), strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, [f"c{n}" for n in range(len(columns))]), scratch / "loop.parquet")
    return str(len(rows))


def loop_that_cleans(files: Path, scratch: Path) -> str:
    return loop(files, scratch, clean=True)


def land(files: Path, scratch: Path) -> str:
    """What a pull does with an answer: checked, cleaned, deduplicated and committed to the lake."""
    try:
        with EventLines(FIRST, LAST, scratch / "spool", b"key") as lines:
            for batch in http.line_batches(http.gunzip(pieces(files))):
                lines.add(batch)
            counts = lines.deduplicate()
            days = Days(FIRST, LAST, lines.rows(), lines.quarantine(), counts, content=lines.content())
            Lake(scratch).land("mixpanel", "events", days)
            return str(sum(count.received for count in counts.values()))
    except BadResponseError as error:
        return f"refused: {error}"


def _measured(work: Work, files: Path, scratch: Path, answers: Any) -> None:
    answer = work(files, scratch)
    used = resource.getrusage(resource.RUSAGE_SELF)
    answers.put((answer, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10))


def measure(work: Work, files: Path) -> tuple[str, float, int]:
    """What it answers, its CPU-seconds (of all its threads, imports included) and its peak memory in MiB."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with TemporaryDirectory(dir=files.parent) as scratch:
        process = context.Process(target=_measured, args=(work, files, Path(scratch), answers))
        process.start()
        found: tuple[str, float, int] = answers.get()
        process.join()
    return found


def idle(_: Path, __: Path) -> str:
    return "0"


def compare(files: Path) -> None:
    contenders = (idle, decompress, loop, loop_that_cleans, land)
    runs = [[measure(work, files) for work in contenders] for _ in range(ROUNDS)]
    speeds: dict[str, float] = {}
    for number, work in enumerate(contenders[1:], start=1):
        seconds = sorted(run[number][1] - run[0][1] for run in runs)
        speeds[work.__name__] = int(runs[0][number][0]) / median(seconds)
        print(
            f"{work.__name__:20}{median(seconds):8.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f}) CPU-s"
            f"{speeds[work.__name__]:12,.0f} rows/CPU-s{max(run[number][2] for run in runs):7} MiB"
        )
    for other in ("decompress", "loop", "loop_that_cleans"):
        print(f"land : {other} = {speeds['land'] / speeds[other]:.2f}")


def write_large(file: Path) -> None:
    """Equally large events with ids of their own; every 1000th is there twice."""
    packer = zlib.compressobj(1, wbits=31)
    with file.open("wb") as packed:
        for number in range(LARGE_EVENTS):
            n = number - (number % 1000 == 999)
            at = 1_717_200_000 + n * 86_400 // LARGE_EVENTS
            ids = f"{n * 2654435761 % 2**32:08x}-0000-4000-8000-{n * 40503 % 2**48:012x}"
            packed.write(packer.compress(
                f'{{"event":"Feature Used","properties":{{"time":{at},"distinct_id":"{ids}","$user_id":"{ids}",'
                f'"$device_id":"d-{ids}","$insert_id":"{n:016x}","mp_processing_time_ms":{at}123,"$os":"Android",'
                '"$model":"SM-A546B","$app_version_string":"4.1.0","mp_country_code":"DE","$city":"Berlin",'
                '"screen":"health","action":"save","is_premium_feature":false}}\n'.encode()
            ))  # fmt: skip
        packed.write(packer.flush())


def write_bomb(file: Path, line: bytes) -> None:
    packer, block = zlib.compressobj(9, wbits=31), line * ((1 << 20) // len(line))
    with file.open("wb") as packed:
        for _ in range(BOMB_BYTES // len(block)):
            packed.write(packer.compress(block))
        packed.write(packer.flush())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 5 million events and bombs of 10 GB")
    is_large = parser.parse_args().large
    with TemporaryDirectory() as directory:
        story = Path(directory) / "story"
        command = [str(Path(sys.executable).with_name("tailtracker-bi")), "sandbox", "generate", str(story)]
        options = ["--people", "15000", "--days", "60", "--until", "2024-06-30"]
        subprocess.run([*command, *options], check=True, capture_output=True)
        compare(story / "mixpanel")
        if not is_large:
            return
        large = Path(directory) / "large"
        large.mkdir()
        file = large / "2024-06-01.gz"
        kinds = {
            "5 million events": write_large,
            "bomb: one line": lambda file: write_bomb(file, bytes(1000)),
            "bomb: lines of zeros": lambda file: write_bomb(file, b"0\n"),
            "bomb: events": lambda file: write_bomb(file, b'{"event":"E","properties":{"time":1717200000}}\n'),
        }
        for name, write in kinds.items():
            write(file)
            answer, seconds, memory = measure(land, large)
            print(f"{name:22}{seconds:8.1f} CPU-s{memory:7} MiB  {answer}", flush=True)


if __name__ == "__main__":
    main()
