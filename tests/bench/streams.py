#!/usr/bin/env python3
"""What streaming costs: the first byte, the memory of many streams, and what large events do to small requests.

    tests/bench/streams.py

1. First byte: how much later it comes through the gateway (`invoke: stream`) than from Lambda's API called directly. The
   two take turns on kept connections; medians. Aimed at: under 1 ms.
2. Memory: resident with many slow streams at once through one gateway, every one of them alive; aimed at: under 1 GiB
   with 10,000. And of clients that take nothing: what a stream holds must not depend on its response's size.
3. Large events: the latency of small requests, sent at a fixed pace on the one worker, while another client posts bodies
   that make events of 6 MB, and without. Aimed at: at most 5 ms more at p99.

Lambda's API is a server of this file's own (`--serve PORT`) on processor 1, where the clients are too; the gateway has
one worker. The large events' helper threads need a processor that the worker is not on: part 3 gives the gateway both.

Needs nginx (Debian package), and room for file descriptors (`ulimit -n`, raised here as far as allowed).
"""

import argparse
import asyncio
import contextlib
import os
import resource
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

from common import ORIGIN, Processes, answers, build, need, resident_kib

PORT, API = 19005, 19006
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}
RETURNED = '{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"ok"}'
# 4.4 MB of bytes are 5.9 MB of base64, and 6 MiB is all that Invoke takes.
LARGE, EVENT = 4_400_000, 5_870_000
SMALL = b"POST / HTTP/1.1\r\nhost: bench\r\ncontent-length: 2\r\n\r\nhi"
MIB = 1 << 20


def policy(port, invoke):
    return f"""version: 1
region: us-east-1
endpoint_url: http://127.0.0.1:{port}
listen: {{ http: '127.0.0.1:{PORT}' }}
metrics: 127.0.0.1:0
admin: 127.0.0.1:0
services:
  app:
    lambda: {{ function: 'f:live', invoke: {invoke}, max_in_flight: 100000, assume: {{ memory: 1769MiB, timeout: 15m }} }}
routes:
  - {{ match: {{ path_prefix: / }}, service: app, class: auto, timeouts: {{ total: 15m, first_byte: 5m, idle: 10m }} }}
"""


# --- Lambda's API: streams as InvokeWithResponseStream answers them.


def frame(kind, payload):
    """One message of application/vnd.amazon.eventstream."""
    headers = b""
    for name, value in [(":message-type", "event"), (":event-type", kind)]:
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = head + struct.pack(">I", zlib.crc32(head)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


HEAD = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"x-amzn-remapped-content-type: application/vnd.awslambda.http-integration-response\r\n\r\n"
)
PRELUDE = b'{"statusCode":200,"headers":{"content-type":"text/plain"}}' + bytes(8)
BEGIN = HEAD + chunk(frame("PayloadChunk", PRELUDE)) + chunk(frame("PayloadChunk", b"first"))
# Lambda writes what a function streams in frames of some KiB; 64 KiB is a large one.
PIECE = {size: chunk(frame("PayloadChunk", b"x" * size)) for size in (1024, 65536)}
COMPLETE = chunk(frame("InvokeComplete", b"{}")) + chunk(b"")


async def serve_one(reader, writer, every):
    """Answers the invokes of one connection; the event's path says how."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
            event = await reader.readexactly(length)
            path = event.split(b'"rawPath":"', 1)[1].split(b'"', 1)[0].decode().split("/")
            writer.write(BEGIN)
            if path[1] == "slow":
                while True:
                    await asyncio.sleep(every)
                    writer.write(PIECE[1024])
                    await writer.drain()
            if path[1] == "large":
                for _ in range(int(path[2]) * MIB // 65536):
                    writer.write(PIECE[65536])
                    await writer.drain()
            # The first byte must not wait for the last.
            await asyncio.sleep(0.001)
            writer.write(COMPLETE)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def serve(port, every):
    # Little is held here and in the kernel, so that what is not read is not written either.
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    server = await asyncio.start_server(lambda r, w: serve_one(r, w, every), sock=listener, limit=65536)
    await server.serve_forever()


# --- The measurements.


@contextlib.contextmanager
def gateway(binaries, invoke="stream", port=API, cpus="0", every=5.0):
    """Starts a gateway with one worker and the API that it calls; gives a function that tells its memory in MiB."""
    with Processes() as processes:
        if invoke == "stream":
            command = [sys.executable, __file__, "--serve", str(port), "--every", str(every)]
            listens(port, processes.start(command, "1"))
        else:
            processes.origin(RETURNED)
        command = [str(binaries / "pacer"), "serve", "--workers", "1"]
        command += ["--policy", processes.file("policy.yaml", policy(port, invoke))]
        process = processes.start(command, cpus, KEYS)
        answers(PORT, process)
        yield lambda: resident_kib(process.pid) / 1024


def connect(port, receive=None):
    connection = socket.socket()
    if receive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.connect(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def listens(port, process):
    """Waits until something listens on `port`."""
    while process.poll() is None:
        try:
            return connect(port).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit(Path(process.log).read_text())


def get(path):
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


def until(connection, seen):
    """Reads until the bytes `seen` have come; returns all that came."""
    answer = b""
    while seen not in answer:
        piece = connection.recv(65536)
        if not piece:
            sys.exit(f"closed after {answer[-200:]!r}")
        answer += piece
    return answer


def first_byte(binaries, count):
    event = b'{"rawPath":"/first"}'
    invoke = b"POST /2021-11-15/functions/f/response-streaming-invocations HTTP/1.1\r\nhost: bench\r\n"
    invoke += f"content-length: {len(event)}\r\n\r\n".encode() + event
    with gateway(binaries):
        ways = {"direct": (connect(API), invoke), "gateway": (connect(PORT), get("/first"))}
        taken = {way: [] for way in ways}
        for number in range(count + count // 10):
            for way, (connection, request) in ways.items():
                begin = time.perf_counter()
                connection.sendall(request)
                answer = until(connection, b"first")
                end = time.perf_counter()
                if b"0\r\n\r\n" not in answer:
                    until(connection, b"0\r\n\r\n")
                # The first tenth warms up.
                if count // 10 <= number:
                    taken[way].append((end - begin) * 1e3)
    median = {way: statistics.median(times) for way, times in taken.items()}
    p99 = {way: statistics.quantiles(times, n=100)[98] for way, times in taken.items()}
    print(f"first byte, {count} each way:")
    for way in ways:
        print(f"  {way:8} median {median[way]:.3f} ms, p99 {p99[way]:.3f} ms")
    print(f"  added: {median['gateway'] - median['direct']:.3f} ms", flush=True)


def slow_streams(binaries, count, every):
    with gateway(binaries, every=every) as mib:
        idle = mib()
        selector = selectors.DefaultSelector()
        begin = time.monotonic()
        waiting = set()
        for _ in range(count):
            connection = connect(PORT)
            connection.sendall(get("/slow"))
            until(connection, b"first")
            waiting.add(connection.fileno())
            selector.register(connection, selectors.EVENT_READ, connection)
        opened = time.monotonic()
        most = mib()
        # All are open now; each must bring two pieces more.
        rounds = {number: 2 for number in waiting}
        while rounds and time.monotonic() < opened + 20 * every:
            for key, _ in selector.select(1):
                data = key.fileobj.recv(65536)
                if not data:
                    sys.exit("the gateway closed a stream")
                if data.count(b"x") and key.fd in rounds:
                    rounds[key.fd] -= 1
                    if not rounds[key.fd]:
                        del rounds[key.fd]
            most = max(most, mib())
        if rounds:
            sys.exit(f"{len(rounds)} of {count} streams brought nothing for {20 * every} s")
        each = (most - idle) * 1024 / count
        print(f"{count} slow streams, opened in {opened - begin:.0f} s:")
        print(f"  {most:.0f} MiB resident at most, {each:.1f} KiB each; idle {idle:.0f} MiB", flush=True)


def stalled_streams(binaries, count, sizes):
    for size in sizes:
        with gateway(binaries) as mib:
            idle = mib()
            connections = [connect(PORT, receive=8192) for _ in range(count)]
            for connection in connections:
                connection.sendall(get(f"/large/{size}"))
            # As soon as nothing moves any more.
            held, still = 0, 0
            while still < 4:
                time.sleep(0.5)
                now = mib()
                still = still + 1 if abs(now - held) < 0.5 else 0
                held = now
            each = (held - idle) * 1024 / count
            print(f"{count} responses of {size} MiB that nobody reads: {held:.0f} MiB resident, {each:.1f} KiB each", flush=True)
            # It comes whole once it is read.
            got = 0
            while piece := connections[0].recv(1 << 16):
                got += piece.count(b"x")
                if piece.endswith(b"0\r\n\r\n"):
                    break
            if got < size * MIB:
                sys.exit(f"{got} bytes of {size * MIB}")


def paced(seconds, rate):
    """Sends small requests at a fixed pace; latencies count from when each was due."""
    connection = connect(PORT)
    latencies = []
    begin = time.perf_counter()
    for number in range(int(seconds * rate)):
        due = begin + number / rate
        now = time.perf_counter()
        if now < due:
            time.sleep(due - now)
        connection.sendall(SMALL)
        if not until(connection, b"\r\n\r\nok").startswith(b"HTTP/1.1 200"):
            sys.exit("a small request failed")
        latencies.append((time.perf_counter() - due) * 1e3)
    return latencies


def post(port, size, pause):
    """Posts bodies of `size` bytes one after another, or every `pause` seconds; tells of each by a dot."""
    connection = connect(port)
    head = "POST / HTTP/1.1\r\nhost: bench\r\ncontent-type: application/octet-stream\r\n"
    message = head.encode() + f"content-length: {size}\r\n\r\n".encode() + bytes(size)
    due = time.perf_counter()
    while True:
        connection.sendall(message)
        if not until(connection, b"}" if port == ORIGIN else b"\r\n\r\nok").startswith(b"HTTP/1.1 200"):
            sys.exit("a large request failed")
        os.write(1, b".")
        due += pause
        time.sleep(max(0, due - time.perf_counter()))


def large_events(binaries, rounds, seconds, rate, cpus):
    # What the machine itself does to small requests while such bytes are sent and taken is told by sending as many past
    # the gateway.
    loads = {"none": None, "through it": (PORT, LARGE), "past the gateway": (ORIGIN, EVENT)}
    p50, p99, posted = ({load: [] for load in loads} for _ in range(3))
    with gateway(binaries, "buffered", ORIGIN, cpus):
        paced(1, rate)
        for _ in range(rounds):
            for load, target in loads.items():
                with contextlib.ExitStack() as ending:
                    if target:
                        # A process of its own: a thread would share the interpreter with the clock.
                        pause = 1 / posted["through it"][-1] if load == "past the gateway" else 0
                        command = [sys.executable, __file__, "--post", *map(str, target), str(pause)]
                        posting = ending.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
                        ending.callback(posting.kill)
                        posting.stdout.read(1)
                    latencies = paced(seconds, rate)
                    if target:
                        posting.kill()
                        posted[load].append(len(posting.stdout.read()) / seconds)
                p50[load].append(statistics.median(latencies))
                p99[load].append(statistics.quantiles(latencies, n=100)[98])
    print(f"small requests at {rate}/s, medians of {rounds} rounds of {seconds} s, gateway on processors {cpus}; 6 MB events:")
    for load in loads:
        many = f", {statistics.median(posted[load]):.0f} a second" if posted[load] else ""
        print(f"  {load:16}  p50 {statistics.median(p50[load]):6.2f} ms, p99 {statistics.median(p99[load]):6.2f} ms{many}")
    added = statistics.median(with_ - without for with_, without in zip(p99["through it"], p99["none"]))
    print(f"  added at p99: {added:.2f} ms")


def raise_open_files(wanted):
    """A stream takes two: from the client, and to the API."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, wanted), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, PermissionError):
            pass


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="first-byte,memory,large-events", help="some of first-byte,memory,large-events")
    arguments.add_argument("--requests", type=int, default=3000, help="of each way, for the first byte")
    arguments.add_argument("--streams", type=int, default=10_000, help="at once")
    arguments.add_argument("--every", type=float, default=5.0, help="seconds between two pieces of a slow stream")
    arguments.add_argument("--stalled", type=int, default=500, help="streams that nobody reads")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=4, help="of small requests, in each round")
    arguments.add_argument("--rate", type=int, default=250, help="small requests a second")
    arguments.add_argument("--cpus", default="0-1", help="of the gateway, with large events")
    arguments.add_argument("--no-build", metavar="DIRECTORY", help="take pacer from here")
    arguments.add_argument("--serve", type=int, metavar="PORT", help="be Lambda's API")
    arguments.add_argument("--post", nargs=3, metavar=("PORT", "BYTES", "PAUSE"), help="be the client of large events")
    args = arguments.parse_args()
    if args.post:
        post(int(args.post[0]), int(args.post[1]), float(args.post[2]))
    may_be_open = raise_open_files(2 * args.streams + 1000)
    if args.serve:
        asyncio.run(serve(args.serve, args.every))
        return
    need("nginx", "nginx-light")
    binaries = Path(args.no_build) if args.no_build else build()
    only = args.only.split(",")
    if "first-byte" in only:
        first_byte(binaries, args.requests)
    if "memory" in only:
        count = min(args.streams, (may_be_open - 200) // 2)
        if count < args.streams:
            print(f"only {may_be_open} files may be open: {count} streams instead of {args.streams}")
        slow_streams(binaries, count, args.every)
        stalled_streams(binaries, args.stalled, [1, 16, 64])
    if "large-events" in only:
        large_events(binaries, args.rounds, args.seconds, args.rate, args.cpus)


main()
