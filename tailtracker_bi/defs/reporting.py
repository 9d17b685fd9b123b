"""Bundle to reports: an asset a report. The work is `tailtracker_bi.reports`'."""

import dagster as dg

from tailtracker_bi import bundle
from tailtracker_bi.defs.refresh import BUNDLE, Refresh
from tailtracker_bi.reports import REPORTS, write_report


def asset_of(name: str) -> dg.AssetsDefinition:
    """The newest file of a report, made of the build that was just published."""

    @dg.asset(
        key=["reports", name],
        description=f"The {name} report: one HTML file, which can be mailed.",
        deps=[BUNDLE],
        group_name="reporting",
        owners=["team:data"],
        kinds={"html"},
        required_resource_keys={"refresh"},
    )
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        refresh: Refresh = context.resources.refresh
        settings = refresh.settings
        file = write_report(name, bundle.current(settings.home), settings.home / "reports", settings.today)
        return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(file)})

    return report


reports = [asset_of(name) for name in REPORTS]
