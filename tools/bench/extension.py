# SPDX-License-Identifier: Apache-2.0
"""Measures reads of a cached parameter through cache-extension and, beside it, from a plain server in Go with a map, and
straight from Systems Manager of the local AWS.

Prints the figures as JSON. One client on one connection asks all of them, so that its own time is in each figure.
"""

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.bench import measure
from tools.local_aws.stack import Stack, free_port

REGION = "us-east-1"
NAME = "/bench/parameter"
VALUE = "v" * 1024
PARAMETERS = 10
TOKEN = "t" * 1000  # about as long as a session token
READS, DIRECT_READS = 100_000, 1_000
WARM_UP = 0.05
STARTS = 11
READY_SECONDS = 30


def main() -> None:
    binaries, scale = measure.arguments(__doc__)
    with Stack() as stack, tempfile.TemporaryDirectory() as scratch:
        names = [NAME, *(f"{NAME}-{number}" for number in range(1, PARAMETERS))]
        for name in names:
            stack.client("ssm", REGION).put_parameter(Name=name, Type="String", Value=VALUE)
        config = Path(scratch) / "config.yaml"
        config.write_text(json.dumps({"parameters": [{"region": REGION, "names": names}]}))
        programs = {"cache-extension": Program([binaries / "cache-extension"], extension_environment(stack, config))}
        if server := go_server(Path(scratch)):
            programs["Go, a map"] = Program([server], dict(os.environ), ["PORT", NAME, VALUE])
        figures = {name: program.figures(scale) for name, program in programs.items()}
        direct = direct_reads(stack, int(DIRECT_READS * scale))
    print(json.dumps({"programs": figures, "direct": direct, "parameters": PARAMETERS}))


def extension_environment(stack: Stack, config: Path) -> dict[str, str]:
    return stack.environment() | {
        "AWS_REGION": REGION,
        "AWS_SESSION_TOKEN": TOKEN,
        "CACHE_EXTENSION_CONFIG": str(config),
    }


def go_server(scratch: Path) -> Path | None:
    if shutil.which("go") is None:
        print(
            "go is not installed, so that there is no figure for it; on Debian: apt install golang-go", file=sys.stderr
        )
        return None
    source = Path(__file__).with_name("plain_server.go")
    # Go keeps its builds in the user's cache otherwise.
    environment = os.environ | {"GOCACHE": str(scratch / "go"), "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", scratch / "plain_server", source], env=environment, check=True)
    return scratch / "plain_server"


class ExtensionsApi:
    """As much of Lambda's Extensions API as it takes to see that an extension is ready."""

    def __init__(self) -> None:
        ready = self.ready = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.dumps({"functionName": "f", "functionVersion": "1", "handler": "h"}).encode()
                self.send_response(200)
                self.send_header("Lambda-Extension-Identifier", "id")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                ready.set()
                # There is no invocation.
                self.rfile.read(1)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()


class Program:
    def __init__(self, command: list, environment: dict[str, str], arguments: list[str] | None = None) -> None:
        self._command = command
        self._environment = environment
        self._arguments = arguments

    def figures(self, scale: float) -> dict:
        starts = []
        for _ in range(max(1, int(STARTS * scale))):
            with self._running() as (_, _, seconds):
                starts.append(seconds)
        with self._running() as (process, port, _):
            latencies = reads(port, int(READS * scale))
            peak = peak_bytes(process.pid)
        return percentiles(latencies) | {
            "start_ms": sorted(starts)[len(starts) // 2] * 1000,
            "peak_bytes": peak,
            "binary_bytes": self._command[0].stat().st_size,
        }

    @contextlib.contextmanager
    def _running(self) -> Iterator[tuple[subprocess.Popen, int, float]]:
        """The process, its port, and the seconds until it was ready."""
        port, api = free_port(), ExtensionsApi()
        environment = self._environment | {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "CACHE_EXTENSION_PORT": str(port),
        }
        arguments = [str(port) if argument == "PORT" else argument for argument in self._arguments or []]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*self._command, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            if self._arguments is None and not api.ready.wait(READY_SECONDS):
                sys.exit(f"{self._command[0]} is not ready after {READY_SECONDS} seconds")
            connect(port).close()
            yield process, port, time.perf_counter() - started
        finally:
            process.kill()
            process.wait()
            api.close()


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                sys.exit(f"nobody listens on port {port}")
            time.sleep(0.0005)


def reads(port: int, count: int) -> list[float]:
    """The seconds that each of so many reads took, one after the other."""
    request = (
        f"GET /parameters?name={NAME} HTTP/1.1\r\nHost: localhost\r\nX-Aws-Parameters-Secrets-Token: {TOKEN}\r\n\r\n"
    ).encode()
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def read() -> None:
            connection.sendall(request)
            answer = b""
            while not answer.endswith(VALUE.encode()):
                part = connection.recv(65536)
                if not part:
                    sys.exit(f"the connection ended with {answer[:100]!r}")
                answer += part
            if not answer.startswith(b"HTTP/1.1 200"):
                sys.exit(f"a read was answered with {answer[:100]!r}")

        return timed(read, count)


def direct_reads(stack: Stack, count: int) -> dict:
    client = stack.client("ssm", REGION)

    def read() -> None:
        assert client.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]["Value"] == VALUE

    return percentiles(timed(read, count))


def timed(read: Callable[[], None], count: int) -> list[float]:
    for _ in range(int(count * WARM_UP)):
        read()
    latencies = []
    for _ in range(count):
        started = time.perf_counter()
        read()
        latencies.append(time.perf_counter() - started)
    return latencies


def percentiles(latencies: list[float]) -> dict:
    ordered = sorted(latencies)
    return {name: ordered[int(len(ordered) * share)] * 1e6 for name, share in [("p50_us", 0.5), ("p99_us", 0.99)]}


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
