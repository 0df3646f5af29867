"""Forecast: what was expected against what came, and what was held ready for it."""

from grafana import GREEN, ORANGE, RED, Board, dashed, lines, stat, variable
from queries import INSTANCE, JOB, NOTES, SERVICE, SERVICES, of

# As a query sees it the result is `{} 80 1795295703000`: the number in the middle is wanted.
LEAD = variable("lead", "Ahead (s)", "How long ago a forecast was made for what is now: the longest start of a task of the services chosen, in seconds. Nothing to choose.",
                f"query_result(ceil(max({of('pacer_task_start_seconds', SERVICE)})))", regex="/ ([0-9]+) [0-9.]+$/", many=False, hide=2)


def board():
    it = Board("pacer-forecast", "Pacer / Forecast", "What was expected when tasks could still be started for it, against what came; and what was held ready. "
               "Forecasts are shown at the time that they were made for.", variables=[JOB, INSTANCE, SERVICES, LEAD], annotations=NOTES, since="now-6h")
    demand = f"max by (service) ({of('pacer_demand_slots', SERVICE)})"
    ready = f"max by (service) ({of('pacer_slots', SERVICE)})"

    def forecast(level):
        # A gateway that does not lead may see less of the past: the largest is the leader's, or as good.
        return f"max by (service) ({of('pacer_forecast_slots', SERVICE, level=level)} offset ${{lead}}s)"

    it.line(
        4,
        (6, stat("Inside the forecast", "Share of the time shown in which the load stayed below the p90 of the forecast: 90 % is right. Far less: the load is new, see the graph. "
                 "Far more: it is calmer than its past, and tasks are held for nothing.", "percentunit",
                 (f"{demand} <= bool on (service) {forecast('p90')}", "{{service}}"), calc="mean", decimals=0,
                 limits=[(RED, None), (ORANGE, 0.8), (GREEN, 0.87)])),
        (6, stat("Expected too little or too much", "Slots that came less slots that were expected, on average over the time shown: above 0, less was expected than came.", "none",
                 (f"{demand} - on (service) {forecast('expected')}", "{{service}}"), calc="mean", decimals=2)),
        (6, stat("Needed more than was ready", "Share of the time shown in which the load would have kept more slots busy than there were.", "percentunit",
                 (f"{demand} > bool on (service) {ready}", "{{service}}"), calc="mean", decimals=1, limits=[(GREEN, None), (ORANGE, 0.05), (RED, 0.1)])),
        (6, stat("A forecast is made", "This long before the time that it is for: what 95 of 100 starts of a task do not exceed.", "s",
                 (f"max by (service) ({of('pacer_task_start_seconds', SERVICE)})", "{{service}}"), spark=False)),
    )
    it.line(
        11,
        (24, lines("Load against forecast", "Slots kept busy by what came, against what was forecast for that moment when tasks could still be started, and the slots that were ready. "
                   "Load above p90 more than one time in ten: the forecast is too low. Ready below load: it spilled or waited.", "none",
                   (demand, "{{service}} came"), (forecast("expected"), "{{service}} expected"), (forecast("p90"), "{{service}} p90"), (ready, "{{service}} ready"),
                   overrides=[dashed(".* expected", "blue"), dashed(".* p90", "light-blue"), dashed(".* ready", "green")])),
    )
    it.row("What was held ready")
    it.line(
        9,
        (8, lines("Tasks planned and there", "Planned as of now, ready, and on their way. Planned above ready for longer than a start takes: tasks do not come.", "none",
                  (f"max by (service) ({of('pacer_planned_tasks', SERVICE)})", "{{service}} planned"),
                  (f"max by (service) ({of('pacer_tasks', SERVICE, state='ready')})", "{{service}} ready"),
                  (f"max by (service) ({of('pacer_tasks', SERVICE, state='unproven')})", "{{service}} on their way"),
                  overrides=[dashed(".* planned", "blue")])),
        (8, lines("Use of slots, and the break-even", "Load over ready slots. The planner adds a task while its last slot is busier than the break-even; below it Lambda is cheaper.",
                  "percentunit", (f"{demand} / on (service) ({ready} > 0)", "{{service}}"),
                  (f"max by (service) ({of('pacer_break_even_ratio', SERVICE)})", "{{service}} break-even"), overrides=[dashed(".* break-even", "orange")])),
        (8, lines("Forecast made now", "Slots that will be busy when a task that is asked for now can serve: expected, and what nine chances in ten do not exceed.", "none",
                  (f"max by (service, level) ({of('pacer_forecast_slots', SERVICE)})", "{{service}} {{level}}"))),
    )
    return it
