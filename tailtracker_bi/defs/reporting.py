"""Bundle to reports: an asset a report. The work is `tailtracker_bi.reports`'."""

from collections.abc import Iterator

import dagster as dg

from tailtracker_bi import bundle
from tailtracker_bi.defs.refresh import BUNDLE, REPORT_KEYS, Refresh
from tailtracker_bi.reports import write_report
from tailtracker_bi.reports.figures import NoWeekError


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            key,
            description=f"The {key.path[-1]} report on the published build: one HTML file, which can be mailed.",
            deps=[BUNDLE],
            group_name="reporting",
            owners=["team:data"],
            kinds={"html"},
            skippable=True,  # before a first week is over there is nothing to report on
        )
        for key in sorted(REPORT_KEYS)
    ],
    required_resource_keys={"refresh"},
)
def reports(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """All reports of a build, in one step."""
    refresh: Refresh = context.resources.refresh
    home, today = refresh.settings.home, refresh.settings.today
    for key in sorted(REPORT_KEYS):
        try:
            file = write_report(key.path[-1], bundle.current(home), home / "reports", as_of=today)
        except NoWeekError as error:
            refresh.progress.say(str(error))
        else:
            yield dg.MaterializeResult(key, metadata={"file": dg.MetadataValue.path(file)})
    refresh.fail_if_wrong(context)
