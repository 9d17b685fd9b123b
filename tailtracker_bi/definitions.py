"""The Dagster entry: everything in `defs/`, one file a stage, in the order data flows."""

from pathlib import Path

from dagster import Definitions, load_from_defs_folder
from dagster import definitions as entry


@entry
def defs() -> Definitions:
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
