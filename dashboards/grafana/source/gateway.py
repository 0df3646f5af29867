"""Gateway: the process itself, and its life among others. Behind a link: nobody looks here while all is well."""

from grafana import GREEN, RED, Board, lines, stat, states, words
from queries import INSTANCE, JOB, NOTES, of, total


def board():
    it = Board("pacer-gateway", "Pacer / Gateway", "The gateways' own processes: what they cost, what they hold, who leads, what they could not do.",
               variables=[JOB, INSTANCE], annotations=NOTES)
    it.line(
        4,
        (4, stat("Running for", "Time since each process started.", "s", (f"time() - {of('process_start_time_seconds')}", "{{instance}}"), spark=False)),
        (4, stat("Version", "What each gateway runs.", "none", (f"max by (version, instance) ({of('pacer_build_info')})", "{{version}} {{instance}}"), text="name", spark=False)),
        (4, stat("Gateways live", "Gateways that divide slots and plan together, as each of them sees it. They should agree.", "none",
                 (of("pacer_gateways_live"), "{{instance}}"), spark=False, limits=[(RED, None), (GREEN, 1)])),
        (4, states("Changes of capacity", "frozen: somebody stopped them with `pacer freeze`; `pacer status` says who and why, `pacer thaw` ends it. "
                   "docs/runbooks/PacerFrozen.md.", (of("pacer_frozen"), "{{instance}}"), mappings=words(v0=("go on", GREEN), v1=("frozen", RED)))),
        (4, states("Who leads", "The gateway that has the lease plans and changes capacity; the others serve. None for minutes: docs/runbooks/PacerNobodyLeads.md.",
                   (of("pacer_gateway_leads"), "{{instance}}"), mappings=words(v0=("follows", "blue"), v1=("leads", GREEN)))),
        (4, states("Policy on the disk", "refused: the files hold something that is no valid policy; the last good one is in force, and a restart would fail. "
                   "docs/runbooks/PacerPolicyRefused.md.", (of("pacer_reload_failed"), "{{instance}}"), mappings=words(v0=("as in force", GREEN), v1=("refused", RED)))),
    )
    it.line(
        8,
        (8, lines("CPU", "Processor time used a second, user and system: 1 is one core.", "none", (f"rate({of('process_cpu_seconds_total')}[$__rate_interval])", "{{instance}}"))),
        (8, lines("CPU a request", "Processor time over requests finished: what a request costs the gateway.", "s",
                  (f"{total('instance', of('process_cpu_seconds_total'))} / {total('instance', of('pacer_requests_total'))}", "{{instance}}"))),
        (8, lines("Memory", "Memory resident.", "bytes", (of("process_resident_memory_bytes"), "{{instance}}"))),
    )
    it.line(
        8,
        (8, lines("Requests in flight", "Requests in flight, over all services.", "none", (of("pacer_requests_in_flight"), "{{instance}}"))),
        (8, lines("Connections open", "Client connections open.", "none", (of("pacer_connections_open"), "{{instance}}"))),
        (8, lines("Connections opened and refused", "A second: by clients, to tasks and Lambda, and closed on arrival because limits.connections was reached. "
                  "Far fewer than requests when keep-alive works.", "cps",
                  (total("instance", of("pacer_connections_total")), "{{instance}} clients"),
                  (total("instance", of("pacer_upstream_connections_total")), "{{instance}} upstream"),
                  (total("instance", of("pacer_connections_refused_total")), "{{instance}} refused"))),
    )
    it.line(
        8,
        (8, lines("File descriptors and threads", "File descriptors open, which the process limit bounds, and threads.", "none",
                  (of("process_open_fds"), "{{instance}} descriptors"), (of("process_threads"), "{{instance}} threads"))),
        (8, lines("What could not be kept or told", "Each minute. history: past load that could not be read from or written to `state`. table: rounds with the table of gateways. "
                  "log: lines of the access log dropped because their reader was too slow.", "none",
                  (f"60 * {total('instance', of('pacer_history_failures_total'))}", "{{instance}} history"),
                  (f"60 * {total('instance', of('pacer_gateway_errors_total'))}", "{{instance}} table"),
                  (f"60 * {total('instance', of('pacer_access_log_dropped_total'))}", "{{instance}} log"))),
        (8, lines("Policies read", "Each minute, after the first: applied or refused.", "none",
                  (f"60 * {total('instance, result', of('pacer_reload_total'))}", "{{instance}} {{result}}"))),
    )
    return it
