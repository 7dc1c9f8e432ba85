# SPDX-License-Identifier: Apache-2.0
"""Counts what AWS bills for pushing and consuming a number of records, and what that costs.

Each column is one way to do it: with a data key for each record, with data keys that are cached, and with records that
share messages too. With --put-ms the first column is a function that puts every record by itself and waits for it.
docs/cost.md explains the formulas, and what is not in them.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import replace

from tools.cost.prices import ADVANTAGE, PRICES
from tools.cost.workload import FREE_RETENTION_HOURS, HOURS_A_MONTH, Counts, Workload, count

# Of the template in a Region with a record-pusher: the metrics that alarms watch.
ALARM_METRICS = 24
# The metrics that record-consumer reports.
CONSUMER_METRICS = 14


def columns(workload: Workload) -> dict[str, Workload]:
    """A workload with its settings, beside the same without what they save."""
    cached = replace(workload, aggregate_bytes=0, compression=1.0, put_ms=None)
    ways = {"no caching": replace(cached, messages_per_data_key=1), "caching": cached}
    if workload.put_ms is not None:
        plain = replace(cached, put_ms=workload.put_ms, provisioned=False, advantage=False, provisioned_table=False)
        ways = {"plain puts": plain} | ways
    if workload.aggregate_bytes:
        ways["and aggregation"] = replace(workload, put_ms=None)
    return ways


Row = tuple[str, Callable[[Counts], float | None]]


def count_rows(workload: Workload) -> list[Row]:
    rows: list[Row] = [
        ("records in a message", lambda counts: counts.records_per_message),
        ("bytes of a message", lambda counts: counts.message_bytes),
        ("messages, in each Region", lambda counts: counts.messages),
        ("data keys", lambda counts: counts.data_keys),
        ("KMS GenerateDataKey", lambda counts: counts.generate_data_key),
        ("KMS Encrypt", lambda counts: counts.encrypt),
        ("KMS Decrypt, expected", lambda counts: counts.decrypt),
        ("Kinesis GiB in", lambda counts: counts.gib_in),
        ("Kinesis GiB out", lambda counts: counts.gib_out),
        ("Kinesis GiB-months kept", lambda counts: counts.retained_gib_months),
        ("Kinesis PUT payload units", lambda counts: counts.put_units),
        ("hours", lambda counts: counts.hours),
        ("Lambda invocations", lambda counts: counts.invocations),
        ("Lambda GB-seconds", lambda counts: counts.gb_seconds),
        ("logs GiB", lambda counts: counts.log_gib),
        ("DynamoDB write units", lambda counts: counts.write_units),
    ]
    if workload.put_ms is not None:
        rows.insert(-2, ("GB-seconds of waiting", lambda counts: counts.waiting_gb_seconds))
    return rows


def cost_rows(ways: dict[str, Workload], usd: dict[str, float]) -> list[tuple[str, list[float]]]:
    """What each way costs, by service."""
    parts = [("KMS", kms), ("Kinesis", kinesis), ("Lambda", lambda_), ("logs", logs), ("DynamoDB", dynamodb)]
    counted = [(way, count(way)) for way in ways.values()]
    rows = [(f"USD {name}", [part(way, counts, usd) for way, counts in counted]) for name, part in parts]
    columns = list(zip(*(values for _, values in rows), strict=True))
    # The table is written to in any case.
    return [
        *rows,
        ("USD in all", [sum(column) for column in columns]),
        ("USD without the table", [sum(column[:-1]) for column in columns]),
    ]


def kms(way: Workload, counts: Counts, usd: dict[str, float]) -> float:
    return (counts.generate_data_key + counts.encrypt + counts.decrypt) * usd["kms-request"]


def kinesis(way: Workload, counts: Counts, usd: dict[str, float]) -> float:
    hours = counts.hours * way.regions
    if way.provisioned:
        return counts.put_units * usd["kinesis-put-unit"] + hours * way.shards * shard_hour(way, usd)
    data = counts.gib_in * usd["kinesis-gib-in"] + counts.gib_out * usd["kinesis-gib-out"]
    data += counts.retained_gib_months * usd["kinesis-retention-gib-month"]
    return ADVANTAGE * data if way.advantage else data + hours * usd["kinesis-stream-hour"]


def shard_hour(way: Workload, usd: dict[str, float]) -> float:
    """A provisioned shard costs more for an hour when it keeps data for more than a day."""
    kept = usd["kinesis-retention-shard-hour"] if way.retention_hours > FREE_RETENTION_HOURS else 0
    return usd["kinesis-shard-hour"] + kept


def lambda_(way: Workload, counts: Counts, usd: dict[str, float]) -> float:
    seconds = (counts.gb_seconds or 0) + counts.waiting_gb_seconds
    return counts.invocations * usd["lambda-request"] + seconds * usd["lambda-gb-second"]


def logs(way: Workload, counts: Counts, usd: dict[str, float]) -> float:
    return counts.log_gib * usd["logs-gib"]


def dynamodb(way: Workload, counts: Counts, usd: dict[str, float]) -> float:
    if way.provisioned_table:
        return counts.write_capacity_hours * usd["dynamodb-write-capacity-hour"]
    return counts.write_units * usd["dynamodb-write-unit"]


def idle_rows(workload: Workload, usd: dict[str, float]) -> list[tuple[str, float]]:
    """What a Region costs in a month, whatever is pushed. Metrics count in months in which something is."""
    if workload.provisioned:
        stream = workload.shards * shard_hour(workload, usd)
    else:
        stream = 0 if workload.advantage else usd["kinesis-stream-hour"]
    return [
        ("stream", HOURS_A_MONTH * stream),
        ("key", usd["kms-key-month"]),
        ("alarms", ALARM_METRICS * usd["alarm-metric-month"]),
        ("metrics of the consumer", CONSUMER_METRICS * usd["metric-month"]),
    ]


def report(workload: Workload, usd: dict[str, float]) -> str:
    ways = columns(workload)
    counts = [count(way) for way in ways.values()]
    lines = [f"{workload.records:,} records of {workload.record_bytes:,} bytes, {workload.regions} Regions", ""]
    lines.append(" " * 28 + "".join(f"{name:>17}" for name in ways))
    for name, of in count_rows(workload):
        lines.append(f"  {name:26}" + "".join(f"{number(of(column), 0):>17}" for column in counts))
    lines.append("")
    for name, values in cost_rows(ways, usd):
        lines.append(f"  {name:26}" + "".join(f"{number(value, 3):>17}" for value in values))
    lines += ["", "USD a month for each Region, whether or not records come:"]
    lines += [f"  {name:26}{number(value, 2):>17}" for name, value in idle_rows(workload, usd)]
    lines.append("")
    if workload.batch_ms is None:
        lines.append("Without Lambda's GB-seconds: --batch-ms has to say how long an invocation takes.")
    lines.append("Prices are in tools/cost/prices.py, with where to check them; docs/cost.md says what is not counted.")
    return "\n".join(lines)


def number(value: float | None, places: int) -> str:
    if value is None:
        return "-"
    # Few of something, such as hours, would be rounded away.
    is_fraction = value < 100 and value != int(value)
    return f"{value:,.{max(places, 2) if is_fraction else places}f}"


def main() -> None:
    arguments = parse_arguments()
    usd = {name: price.usd for name, price in PRICES.items()} | dict(arguments.pop("price"))
    print(report(Workload(**arguments), usd))


def prices() -> str:
    """For --help."""
    lines = [f"  {name:28} {price.usd:.10f}  {price.page} ({price.read})" for name, price in PRICES.items()]
    return "prices in USD for one unit, the page to check them, and of when they are:\n" + "\n".join(lines)


def parse_arguments() -> dict:
    def at_least(least: float, convert: Callable[[str], float]) -> Callable[[str], float]:
        def parsed(text: str) -> float:
            try:
                value = convert(text)
            except ValueError:
                raise argparse.ArgumentTypeError(f"{text} is not a number") from None
            if not least <= value < math.inf:
                raise argparse.ArgumentTypeError(f"{text} is less than {least} or no number")
            return value

        return parsed

    def price(text: str) -> tuple[str, float]:
        name, _, usd = text.partition("=")
        if name not in PRICES:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(PRICES)}")
        return name, at_least(0, float)(usd)

    whole, some, rate = at_least(1, int), at_least(0, float), at_least(1e-6, float)
    parser = argparse.ArgumentParser(
        prog="scripts/cost",
        description=__doc__,
        epilog=prices(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(flag: str, convert: Callable[[str], float], text: str) -> None:
        default = getattr(Workload, flag.removeprefix("--").replace("-", "_"))
        note = "" if default is None else f" (default: {default})"
        parser.add_argument(flag, type=convert, default=default, metavar="N", help=text + note)

    add("--records", whole, "records to count for")
    add("--record-bytes", whole, "JSON of one record")
    add("--records-per-second", rate, "of all producers together")
    add("--regions", whole, "Regions that records are sent to")
    add("--producers", whole, "processes or execution environments that push at once")
    parser.add_argument("--unsigned", dest="signed", action="store_false", help="SUITE=unsigned")
    add("--messages-per-data-key", whole, "CACHE_MAX_MESSAGES of the pusher")
    add("--data-key-max-age", rate, "CACHE_MAX_AGE_SECONDS of the pusher")
    add("--aggregate-bytes", at_least(0, int), "AGGREGATE_BYTES")
    add("--linger-ms", some, "LINGER_MS")
    add("--compression", at_least(1, float), "bytes of JSON for a byte of it in a message that is compressed")
    add("--shards", whole, "shards of the stream in one Region")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--provisioned", action="store_true", help="the stream is provisioned, not on demand")
    mode.add_argument("--advantage", action="store_true", help="the account has On-demand Advantage")
    parser.add_argument(
        "--retention-hours",
        type=int,
        default=Workload.retention_hours,
        choices=range(24, 169),
        metavar="N",
        help="StreamRetentionHours, 24 to 168 (default: %(default)s)",
    )
    parser.add_argument("--provisioned-table", action="store_true", help="the table has provisioned write capacity")
    add("--parallelization-factor", whole, "batches of one shard that Lambda has under way at once")
    add("--batch-size", whole, "BatchSize of the template")
    add("--batch-window", some, "BatchWindowSeconds of the template")
    add("--consumer-capacity", at_least(0, int), "CACHE_CAPACITY of the consumer")
    add("--consumer-max-age", rate, "CACHE_MAX_AGE_SECONDS of the consumer")
    add("--batch-ms", some, "milliseconds of an invocation: the average of Lambda's metric Duration")
    add("--memory-mb", whole, "MemoryMiB of the template")
    add("--log-bytes", at_least(0, int), "bytes that an invocation of the consumer writes to its log")
    add("--put-ms", some, "milliseconds of a put to every Region in turn, for a column of plain puts that wait for it")
    add("--item-bytes", whole, "an item of the table as DynamoDB counts it; a record's bytes if not given")
    parser.add_argument(
        "--price",
        action="append",
        default=[],
        type=price,
        metavar="NAME=USD",
        help="another price than that below; may be repeated",
    )
    return vars(parser.parse_args())


if __name__ == "__main__":
    main()
