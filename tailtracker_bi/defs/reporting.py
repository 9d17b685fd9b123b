"""Bundle to people: an asset a report, and the sensor that sends it when it is due. The work is `delivery`'s."""

from collections.abc import Iterator

import dagster as dg

from tailtracker_bi import bundle
from tailtracker_bi.alerts import firings, lately
from tailtracker_bi.analytics import Analytics, ExportRules, ReportRules, load_analytics
from tailtracker_bi.defs.refresh import BUNDLE
from tailtracker_bi.delivery import Ledger, channels_of, due, export_due, send_due, told_anew, untold, watch
from tailtracker_bi.errors import SettingsError
from tailtracker_bi.reports import NoPeriodError, content_of, write_report
from tailtracker_bi.settings import load_report_settings

EVERY = 300
"""Seconds between looking whether a report is due, or whether its data has come."""


def _declared() -> Analytics:
    """What analytics.yml declares; where it has a mistake, which every run tells, what is shipped."""
    try:
        return load_analytics(load_report_settings().analytics_path)
    except SettingsError:
        return load_analytics()


REPORTS, EXPORTS = _declared().reports, _declared().exports


def asset_of(rules: ReportRules) -> dg.AssetsDefinition:
    """A report on the build that readers see. It reads a file that never changes, so it needs no lock."""

    @dg.asset(
        key=["reports", rules.id],
        description=f"The report {rules.id!r} on the published build: a file in HOME, sent once a {rules.period}.",
        deps=[BUNDLE],
        group_name="reports",
        owners=["team:data"],
        kinds={"html"},
        output_required=False,
    )
    def report(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        settings = load_report_settings()
        now, build = settings.now, bundle.current(settings.home)
        alerts = load_analytics(settings.analytics_path).alerts
        try:
            content = content_of(
                rules,
                build,
                settings.today,
                alerts=alerts,
                timezone=settings.timezone,
                dashboard_url=settings.dashboard_url or "",
            )
        except NoPeriodError as error:
            context.log.info(str(error))
            return
        file = write_report(content, settings.home / "reports")
        [outcome] = send_due(settings, [rules], alerts, Ledger(settings.home), now)
        for failed in outcome.errors:
            context.log.error(failed)
        yield dg.MaterializeResult(
            metadata={
                "build": build.build,
                "file": dg.MetadataValue.path(file),
                "subject": content.subject,
                "delivery": outcome.what,
                "recipients": outcome.sent,
                "pictures": outcome.pictures,
            }
        )
        if outcome.errors:
            raise dg.Failure("; ".join(outcome.errors), allow_retries=False)

    return report


def export_of(rules: ExportRules) -> dg.AssetsDefinition:
    """An export of the build that readers see, once a period."""

    @dg.asset(
        key=["exports", rules.id],
        description=f"{', '.join(rules.of)} of the published build as {rules.format}, once a {rules.period}.",
        deps=[BUNDLE],
        group_name="reports",
        owners=["team:data"],
        kinds={rules.format},
        output_required=False,
    )
    def handed_out(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        settings = load_report_settings()
        for outcome in export_due(settings, [rules], Ledger(settings.home), settings.now):
            if outcome.errors:
                raise dg.Failure("; ".join(outcome.errors), allow_retries=False)
            yield dg.MaterializeResult(metadata={"delivery": outcome.what, "period from": str(outcome.period_start)})

    return handed_out


@dg.asset(
    key=["reports", "alerts"],
    description="Tells of figures beyond their bounds and sources in trouble, once when it begins and when it is over.",
    deps=[BUNDLE],
    group_name="reports",
    owners=["team:data"],
)
def alerts(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """What analytics.yml declares to be an alert, judged from the build that readers see."""
    settings = load_report_settings()
    build = bundle.current(settings.home)
    analytics = load_analytics(settings.analytics_path)
    errors = told_anew(settings, analytics, build, Ledger(settings.home), settings.now)
    if errors:
        raise dg.Failure("; ".join(errors), allow_retries=False)
    found = lately(list(firings(analytics.alerts, build)), settings.today)
    return dg.MaterializeResult(metadata={"build": build.build, "begun in the last 90 days": len(found)})


reports = [asset_of(rules) for rules in REPORTS]
exports = [export_of(rules) for rules in EXPORTS]

sending = dg.define_asset_job(
    "reports",
    selection=dg.AssetSelection.groups("reports"),
    description="Write the reports from the published build, and send those that are due.",
)


@dg.sensor(
    job=sending,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends each report when it is due in its time zone: at its time where its data is in, at its deadline "
    "without it; again where a delivery failed, and corrected where a later build moved its headline.",
)
def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Asks for a run where something is due that was not sent from the current build."""
    settings = load_report_settings()
    channels, ledger = channels_of(settings), Ledger(settings.home)
    try:
        build = bundle.current(settings.home).build
    except (bundle.BundleError, bundle.NoBundleError) as error:
        return dg.SkipReason(str(error))
    said = watch(settings, ledger, settings.now)
    paused = ledger.paused()
    quarter = f":{settings.now:%dT%H}:{settings.now.minute // 15}"
    # Anew with each build, and every quarter of an hour while there is something to tell: it failed, or was held back.
    owed = quarter if untold(settings, _declared(), ledger, settings.now) else ""
    wanted = [dg.RunRequest(run_key=f"alerts:{build}{owed}", asset_selection=[alerts.key])]
    for rules in REPORTS:
        if rules.id in paused:
            continue
        what = due(rules, settings.now, settings.timezone, settings.week_start)
        key = f"{rules.id}:{what.period_start}"
        if any(channel.takes(rules.id) for channel in channels):
            # Anew with each build, at the deadline, and every quarter of an hour while somebody has not got it.
            key += f":{build}:{settings.now >= what.deadline}"
            if ledger.has_failed(rules.id, what.period_start):
                key += quarter
        wanted.append(dg.RunRequest(run_key=key, asset_selection=[dg.AssetKey(["reports", rules.id])]))
    for exported in EXPORTS if settings.export_folder is not None else []:
        if exported.id not in paused:
            what = due(exported, settings.now, settings.timezone, settings.week_start)
            key = f"{exported.id}:{what.period_start}:{build}:{settings.now >= what.deadline}"
            key += quarter if ledger.has_failed(exported.id, what.period_start) else ""
            wanted.append(dg.RunRequest(run_key=key, asset_selection=[dg.AssetKey(["exports", exported.id])]))
    if said:
        context.log.warning(said)
    return dg.SensorResult(run_requests=wanted)
