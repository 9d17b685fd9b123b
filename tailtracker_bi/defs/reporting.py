"""Bundle to reports: an asset a report. The work is `tailtracker_bi.reports`'."""

from collections.abc import Iterator

import dagster as dg

from tailtracker_bi import bundle
from tailtracker_bi.defs.refresh import BUNDLE
from tailtracker_bi.reports import REPORTS, NoWeekError, write_report
from tailtracker_bi.settings import load_settings


def asset_of(name: str) -> dg.AssetsDefinition:
    """A report on the build that readers see. It reads a file that never changes, so it needs no lock."""

    @dg.asset(
        key=["reports", name],
        description=f"The {name} report on the published build: one HTML file, which can be mailed.",
        deps=[BUNDLE],
        group_name="reports",
        owners=["team:data"],
        kinds={"html"},
        output_required=False,
    )
    def report(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        settings = load_settings()
        build = bundle.current(settings.home)
        try:
            file = write_report(name, build, settings.home / "reports", as_of=settings.today)
        except NoWeekError as error:
            context.log.info(str(error))
        else:
            yield dg.MaterializeResult(metadata={"build": build.build, "file": dg.MetadataValue.path(file)})

    return report


reports = [asset_of(name) for name in REPORTS]
