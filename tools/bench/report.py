# SPDX-License-Identifier: Apache-2.0
"""Writes the figures of one part of scripts/bench into the page of benchmarks, between that part's markers."""

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

OPERATIONS = ("encrypt Unsigned", "decrypt Unsigned", "encrypt Signed", "decrypt Signed")
SIZES = {1024: "1 KiB", 100_000: "100 KB"}
SUBJECTS = ("floor", "esdk-message", "aws-esdk")
HITS = 100_000
THREADS = (1, 2, 4, 8)


def main() -> None:
    part, results, page = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    begin, end = f"<!-- begin: scripts/bench {part} -->", f"<!-- end: scripts/bench {part} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    page.write_text("\n".join([before + begin, *PARTS[part](results), end + after]), encoding="utf-8")


def push(results: Path) -> list[str]:
    figures = json.loads(results.read_text())
    columns = {
        "records/s": lambda run: f"{run['records_per_second']:,.0f}",
        "CPU s per million": lambda run: f"{run['cpu_seconds_per_million']:.1f}",
        "peak memory": megabytes,
    }
    compared = compared_with_python(figures, "sealstream push", "cpu_seconds_per_million", columns)
    return [*compared, "", *map(backlog, figures["memory"])]


def backlog(run: dict) -> str:
    sink = f"throttles {run['throttled']:.0%} of the requests" if run["throttled"] else "keeps up"
    return f"With a sink that {sink}, the peak after {run['records']:,} unsigned records is {megabytes(run)}."


def consume(results: Path) -> list[str]:
    columns = {
        "CPU s per 1,000": lambda run: f"{run['cpu_seconds_per_thousand']:.3f}",
        "p50": lambda run: f"{run['p50_ms']:.1f} ms",
        "p99": lambda run: f"{run['p99_ms']:.1f} ms",
        "first answer": lambda run: f"{run['first_answer_seconds'] * 1000:.0f} ms",
        "peak memory": megabytes,
    }
    return compared_with_python(json.loads(results.read_text()), "record-consumer", "cpu_seconds_per_thousand", columns)


def start(results: Path) -> list[str]:
    rows = [
        "| function | executable | as zip | first answer | fastest and slowest | calls to KMS |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, run in json.loads(results.read_text())["functions"].items():
        cells = [
            *(f"{run[size] / 1e6:.1f} MB" for size in ("binary_bytes", "zip_bytes")),
            f"{run['first_answer_ms']:.1f} ms",
            f"{run['fastest_ms']:.1f} to {run['slowest_ms']:.1f} ms",
            str(run["kms_calls"]),
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return [machine(), "", *rows]


def compared_with_python(figures: dict, ours: str, cpu: str, columns: dict[str, Callable[[dict], str]]) -> list[str]:
    """A table of all programs, and a chart of how many times less CPU than the one in Python ours take."""
    rows = [
        "| records | program | " + " | ".join(columns) + " | times less CPU than Python |",
        "| --- | --- |" + " ---: |" * (len(columns) + 1),
    ]
    ratios = {}
    for suite, programs in figures["suites"].items():
        for program, run in programs.items():
            ratio = programs["Python"][cpu] / run[cpu]
            cells = [suite, program, *(cell(run) for cell in columns.values()), f"{ratio:.1f}"]
            rows.append(f"| {' | '.join(cells)} |")
            if program != "Python":
                ratios[program.replace(ours, suite)] = ratio
    return [
        f"{machine()} {figures['python']}.",
        "",
        *rows,
        "",
        *chart(f"{ours}: times less CPU than Python", "times", ratios, bar=list(ratios.values())),
    ]


def megabytes(run: dict) -> str:
    return f"{run['peak_bytes'] / 1e6:.0f} MB"


def messages(criterion: Path) -> list[str]:
    return [
        machine(),
        "",
        *messages_table(criterion),
        "",
        *messages_chart(criterion),
        "",
        messages_in_a_row(criterion),
        messages_on_threads(criterion),
    ]


def messages_table(criterion: Path) -> list[str]:
    lines = [
        "| message | floor | esdk-message | aws-esdk | esdk-message / floor | aws-esdk / esdk-message |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size, label in SIZES.items():
        for operation in OPERATIONS:
            floor, ours, theirs = (microseconds(criterion, operation, name, str(size)) for name in SUBJECTS)
            lines.append(
                f"| {operation.lower()}, {label} | {floor:.1f} µs | {ours:.1f} µs | {theirs:.1f} µs "
                f"| {ours / floor:.2f} | {theirs / ours:.1f} |"
            )
    return lines


def messages_chart(criterion: Path) -> list[str]:
    """How many times the floor a message of 1 KiB costs."""

    def times_floor(subject: str) -> list[float]:
        return [
            microseconds(criterion, operation, subject, "1024") / microseconds(criterion, operation, "floor", "1024")
            for operation in OPERATIONS
        ]

    return chart(
        "1 KiB: times the floor (bars: aws-esdk, line: esdk-message)",
        "times the floor",
        [operation.lower() for operation in OPERATIONS],
        bar=times_floor("aws-esdk"),
        line=times_floor("esdk-message"),
    )


def messages_in_a_row(criterion: Path) -> str:
    per_message = [
        f"{microseconds(criterion, 'messages in a row', str(count)) / count:.2f} µs each in {count:,}"
        for count in (100, 10_000, 1_000_000)
    ]
    return f"Unsigned messages of 1 KiB, encoded in a row: {'; '.join(per_message)}."


def messages_on_threads(criterion: Path) -> str:
    one, two = (microseconds(criterion, "100000 messages on threads", count) for count in "12")
    return f"100,000 of them on two threads take {one / two:.2f} times less than on one."


def cache(criterion: Path) -> list[str]:
    return [
        machine(),
        "",
        *cache_requests(criterion),
        "",
        *cache_on_threads(criterion),
        "",
        cache_capacity(criterion),
    ]


def cache_requests(criterion: Path) -> list[str]:
    names = ("made", "clone of materials", "hit", "hit, vendor's trait", "miss")
    made, clone, hit, vendors_hit, miss = (1000 * microseconds(criterion, "request", name) for name in names)
    return [
        "| one request | time | beyond making the request |",
        "| --- | ---: | ---: |",
        f"| made, and not asked for | {made:,.0f} ns | |",
        f"| hit | {hit:,.0f} ns | {hit - made:,.0f} ns |",
        f"| hit, vendor's trait | {vendors_hit:,.0f} ns | {vendors_hit - made:,.0f} ns |",
        f"| miss, with a manager below that copies materials | {miss:,.0f} ns | {miss - made:,.0f} ns |",
        "",
        f"A hit costs {hit - made:,.0f} ns beyond making the request. Through the vendor's trait, which hands out a copy",
        f"of the materials ({clone:,.0f} ns), it costs {vendors_hit - made - clone:,.0f} ns beyond both.",
    ]


def cache_on_threads(criterion: Path) -> list[str]:
    def rates(group: str) -> list[float]:
        """Millions of hits a second."""
        return [HITS / microseconds(criterion, group, str(threads)) for threads in THREADS]

    ours, vendors = rates("hits on threads"), rates("hits on threads, vendor's trait")
    return [
        "| million hits/s on threads | " + " | ".join(map(str, THREADS)) + " |",
        "| --- |" + " ---: |" * len(THREADS),
        "| asynchronous | " + " | ".join(f"{rate:.2f}" for rate in ours) + " |",
        "| vendor's trait | " + " | ".join(f"{rate:.2f}" for rate in vendors) + " |",
        "",
        *chart(
            "Million hits a second, by threads (bars: vendor's trait, line: asynchronous)",
            "million/s",
            map(str, THREADS),
            bar=vendors,
            line=ours,
        ),
        "",
        f"On two threads there are {ours[1] / ours[0]:.2f} times as many hits a second as on one, and through the",
        f"vendor's trait, which is behind one mutex, {vendors[1] / vendors[0]:.2f} times.",
    ]


def cache_capacity(criterion: Path) -> str:
    def times(name: str) -> str:
        small, large = (1000 * microseconds(criterion, "capacity", name, str(entries)) for entries in (100, 100_000))
        return f"{small:,.0f} ns and {large:,.0f} ns"

    return (
        f"In full caches of 100 and of 100,000 entries, a lookup takes {times('hit')}, "
        f"and a store, which evicts an entry, {times('put, with eviction')}."
    )


def dynamodb_cache(results: Path) -> list[str]:
    figures = json.loads(results.read_text())
    peer = figures["peer"]
    rows = [
        "| reads | program | reads/s | CPU s per million | calls per 10,000 | times less CPU than Python |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    programs = [*((way, "dynamodb-cache", run) for way, run in figures["ways"].items()), ("one by one", "Python", peer)]
    for way, program, run in programs:
        cells = [
            f"{run['reads_per_second']:,.0f}",
            f"{run['cpu_seconds_per_million']:,.1f}",
            f"{run['calls_per_ten_thousand']:,.0f}",
            f"{peer['cpu_seconds_per_million'] / run['cpu_seconds_per_million']:,.1f}",
        ]
        rows.append(f"| {way} | {program} | {' | '.join(cells)} |")
    return [f"{machine()} {figures['python']}.", "", *rows]


def extension(results: Path) -> list[str]:
    figures = json.loads(results.read_text())
    rows = [
        f"| program | p50 | p99 | start with {figures['parameters']} parameters | peak memory | binary |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for program, run in figures["programs"].items():
        cells = [
            *(f"{run[name]:,.0f} µs" for name in ("p50_us", "p99_us")),
            f"{run['start_ms']:,.0f} ms",
            megabytes(run),
            f"{run['binary_bytes'] / 1e6:.1f} MB",
        ]
        rows.append(f"| {program} | {' | '.join(cells)} |")
    direct = figures["direct"]
    rows.append(f"| boto3, not cached | {direct['p50_us']:,.0f} µs | {direct['p99_us']:,.0f} µs | | | |")
    return [machine(), "", *rows]


def chart(title: str, unit: str, axis: Iterable[str], **series: list[float]) -> list[str]:
    """`series` is bars and lines."""
    return [
        "```mermaid",
        "xychart-beta",
        f'    title "{title}"',
        "    x-axis [" + ", ".join(f'"{name}"' for name in axis) + "]",
        f'    y-axis "{unit}"',
        *(f"    {kind} [" + ", ".join(f"{value:.2f}" for value in values) + "]" for kind, values in series.items()),
        "```",
    ]


def microseconds(criterion: Path, *names: str) -> float:
    estimates = json.loads(criterion.joinpath(*names, "new", "estimates.json").read_text())
    return estimates["median"]["point_estimate"] / 1000


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"Measured on {os.cpu_count()} cores of {model[1] if model else platform.machine()}."


PARTS: dict[str, Callable[[Path], list[str]]] = {
    "push": push,
    "consume": consume,
    "start": start,
    "messages": messages,
    "cache": cache,
    "dynamodb-cache": dynamodb_cache,
    "extension": extension,
}

if __name__ == "__main__":
    main()
