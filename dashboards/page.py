"""What the sections of a page share, and what a section is; how one looks is for `sections/`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dashboards import data, readers
from dashboards.controls import Narrowing, View, to_part, to_period
from tailtracker_bi.bundle import Bundle
from tailtracker_bi.figures import picking
from tailtracker_bi.figures.catalogue import Metric


@dataclass(frozen=True)
class Page:
    """What the sections of a page share: the build, its catalogue, what is asked to be shown, what readers wrote."""

    build: Bundle
    metrics: Mapping[str, Metric]
    view: View
    name: str
    kept: readers.Kept
    ids: Sequence[str] = ()
    """Of the metrics that it shows."""

    def known(self, metric_ids: Iterable[str]) -> list[Metric]:
        """Those that the catalogue has, in their order."""
        return [self.metrics[metric_id] for metric_id in metric_ids if metric_id in self.metrics]

    def grain_of(self, metric_id: str) -> str:
        """The page's grain or, of a metric that is not counted by it, its shortest; `day` where it has no values."""
        grains = data.grains_of(self.build, metric_id)
        return self.view.grain if self.view.grain in grains or not grains else grains[0]

    def covers(self, metric: Metric) -> bool:
        """Whether the metric is known for the part that the page is narrowed to."""
        segment = self.view.of[0]
        return segment == "all" or segment in data.segments_of(self.build, metric.metric_id)

    def to_period(self, starts: Iterable[date], grain: str) -> Narrowing:
        """To one of the periods of a chart."""
        return to_period(self.view, starts, grain, picking.PERIOD)

    def to_part(self, segment: str, values: Iterable[str], column: str = picking.PART) -> Narrowing:
        """To one of the parts of a chart that is split."""
        return to_part(self.build, self.ids, segment, values, column)


class Section(ABC):
    """A part of a page, under a heading of its own."""

    def metric_ids(self, known: Mapping[str, Metric]) -> Sequence[str]:
        """The metrics that it shows, of those that are known: their days and definitions are its page's."""
        return ()

    @abstractmethod
    def show(self, page: Page) -> None:
        """Draw it where the page is by now."""
