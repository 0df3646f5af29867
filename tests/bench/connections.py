#!/usr/bin/env python3
"""What connections cost, and whether they are shared fairly.

    tests/bench/connections.py

1. Memory: resident when idle, and for each of many keep-alive connections that have carried a request and idle.
2. Balance: few busy connections on several workers, as a load balancer makes them. No worker may idle while another has
   more than its share: with 6 connections and 4 workers, each has one or two.

Needs nginx and wrk (Debian packages), and room for file descriptors (`ulimit -n`, raised here as far as allowed).
"""

import argparse
import os
import resource
import socket
import sys
from pathlib import Path

from common import ORIGIN, Processes, answers, build, need, resident_kib, threads_us, wrk

PORT = 19005
# Pacer's sweep is every 250 ms and its idle timeout 75 s: set far beyond what opening many connections takes.
POLICY = f"""version: 1
region: us-east-1
listen: {{ http: '127.0.0.1:{PORT}', idle_timeout: 10m }}
metrics: 127.0.0.1:0
admin: 127.0.0.1:0
services: {{ app: {{ container: {{ upstreams: ['http://127.0.0.1:{ORIGIN}'], requests_per_task: 10000 }} }} }}
routes: [{{ match: {{}}, service: app }}]
"""
REQUEST = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"


def start(processes, binaries, workers, cpus):
    command = [str(binaries / "pacer"), "serve", "--workers", str(workers), "--policy", processes.file("policy.yaml", POLICY)]
    return processes.start(command, cpus)


def exchange(connection):
    """One request on a connection that is kept."""
    connection.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < 1024:
        piece = connection.recv(65536)
        if not piece:
            sys.exit(f"the gateway closed a connection after {answer[:200]!r}")
        answer += piece


def memory(binaries, count):
    with Processes() as processes:
        processes.origin("x" * 1024)
        gateway = start(processes, binaries, 1, "0")
        # The health path touches no upstream: this is the process as it idles.
        answers(PORT, gateway, "/.pacer/ready")
        idle = resident_kib(gateway.pid)
        answers(PORT, gateway)
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", PORT))
            exchange(connection)
            connections.append(connection)
        held = resident_kib(gateway.pid)
        print(f"idle: {idle / 1024:.1f} MiB resident")
        print(f"{count} idle keep-alive connections: {held / 1024:.1f} MiB, {(held - idle) / count:.1f} KiB each")
        for connection in connections:
            connection.close()


def balance(binaries, workers, connections, seconds):
    with Processes() as processes:
        processes.origin("x" * 1024, cpus=f"0-{os.cpu_count() - 1}")
        gateway = start(processes, binaries, workers, f"0-{os.cpu_count() - 1}")
        answers(PORT, gateway)
        before = threads_us(gateway.pid)
        result = wrk(PORT, connections, seconds, cpus=f"0-{os.cpu_count() - 1}")
        after = threads_us(gateway.pid)
        spent = {name: after[name] - before.get(name, 0) for name in sorted(after) if name.startswith("worker-")}
        total = sum(spent.values())
        print(f"{connections} connections on {workers} workers: {result['rps']:.0f}/s, p99 {result['p99_ms']} ms, {result['failed']} failed")
        for name, us in spent.items():
            print(f"  {name}  {us / total:6.1%} of the workers' CPU")
        least = connections // workers / connections
        if min(spent.values()) / total < least / 2:
            sys.exit("a worker idles while others have more than their share")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--idle", type=int, default=10_000, help="connections that idle")
    arguments.add_argument("--workers", type=int, default=4)
    arguments.add_argument("--busy", type=int, default=6, help="connections that are busy")
    arguments.add_argument("--seconds", type=int, default=5)
    arguments.add_argument("--no-build", metavar="DIRECTORY", help="take pacer from here")
    args = arguments.parse_args()
    need("nginx", "nginx-light")
    need("wrk", "wrk")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    binaries = Path(args.no_build) if args.no_build else build()
    memory(binaries, args.idle)
    balance(binaries, args.workers, args.busy, args.seconds)


main()
