# SPDX-License-Identifier: Apache-2.0
"""Counts what AWS bills for pushing and consuming a number of records, and what that costs.

Each column is one way to do it: with a data key for each record, with data keys that are cached, and with records that
share messages too. docs/cost.md explains the formulas, and what is not in them.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

GIB = 1 << 30


@dataclass(frozen=True)
class Price:
    """What one thing costs in us-east-1, in US dollars."""

    usd: float
    page: str
    read: str


# AWS fills the figures into its pages by script, so these are as others have quoted them, at the time that is given.
# Check them: they differ by Region, and change. --price NAME=USD sets another.
PRICES = {
    "kms-request": Price(0.03 / 10_000, "https://aws.amazon.com/kms/pricing/", "March 2026"),
    "kinesis-gib-in": Price(0.08, "https://aws.amazon.com/kinesis/data-streams/pricing/", "September 2023"),
    "kinesis-gib-out": Price(0.04, "https://aws.amazon.com/kinesis/data-streams/pricing/", "September 2023"),
    "kinesis-stream-hour": Price(0.04, "https://aws.amazon.com/kinesis/data-streams/pricing/", "September 2023"),
    "kinesis-put-unit": Price(0.014 / 1e6, "https://aws.amazon.com/kinesis/data-streams/pricing/", "September 2023"),
    "kinesis-shard-hour": Price(0.015, "https://aws.amazon.com/kinesis/data-streams/pricing/", "September 2023"),
    "lambda-request": Price(0.20 / 1e6, "https://aws.amazon.com/lambda/pricing/", "2024"),
    "lambda-gb-second": Price(0.0000133334, "https://aws.amazon.com/lambda/pricing/", "2024, arm64"),
    "dynamodb-write-unit": Price(0.625 / 1e6, "https://aws.amazon.com/dynamodb/pricing/on-demand/", "July 2025"),
}

# The message format, in bytes: what a header has beside the stream's name and the encrypted data keys, what an
# encrypted data key has beside the key's ARN and the wrapped key, and what the signed suite adds (its public key in
# the context, and a signature of 102 to 104 bytes). docs/message-format.md names the specification.
HEADER = 104
ENCRYPTED_DATA_KEY = 13
SIGNED = 198
FRAME_LENGTH, FRAME, FINAL_FRAME = 4096, 32, 40
# A random partition key, which is a UUID without hyphens.
PARTITION_KEY = 32

# A PUT payload unit, and what Lambda gives an invocation at most.
PUT_UNIT = 25 * 1024
INVOCATION_BYTES = 6 << 20
# What a record of an event has beside its data, about.
EVENT_RECORD = 512
# Lambda asks each shard for records about once a second.
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Workload:
    """What is pushed, and by which settings. The defaults are those of the programs and of the template."""

    records: int = 1_000_000
    record_bytes: int = 1024
    records_per_second: float = 1000.0
    """Of all producers together."""
    regions: int = 2
    producers: int = 1
    """Processes, or execution environments, with a cache each."""
    signed: bool = True
    messages_per_data_key: int = 100
    data_key_max_age: float = 300.0
    aggregate_bytes: int = 0
    linger_ms: float = 5.0
    shards: int = 4
    """In each Region. A new on-demand stream has four."""
    provisioned: bool = False
    parallelization_factor: int = 1
    batch_size: int = 100
    batch_window: float = 1.0
    consumer_capacity: int = 100
    consumer_max_age: float = 600.0
    batch_ms: float | None = None
    memory_mb: int = 512
    item_bytes: int | None = None
    """Those of a record if not given."""
    stream_name_bytes: int = 7
    key_arn_bytes: int = 75
    wrapped_key_bytes: int = 167
    """What KMS makes of a data key of 32 bytes: AWS Encryption SDK developer guide, message format examples."""

    @property
    def lanes(self) -> int:
        """Batches that Lambda has under way at once in a Region."""
        return self.shards * self.parallelization_factor

    @property
    def records_per_producer(self) -> int:
        return math.ceil(self.records / self.producers)

    @property
    def records_per_message(self) -> int:
        """As many as fit, of those that come while the first waits."""
        arriving = 1 + math.floor(self.records_per_second / self.producers * self.linger_ms / 1000)
        return min(self._fitting, arriving)

    @property
    def _fitting(self) -> int:
        """A message is closed when it might not hold one more with the list's brackets and commas."""
        by_room = (self.aggregate_bytes - 2) // (self.record_bytes + 1)
        if by_room < 3:
            return 2 if 2 * self.record_bytes + 3 <= self.aggregate_bytes else 1
        return by_room

    @property
    def messages_per_second(self) -> float:
        """Of one producer."""
        return self.records_per_second / self.producers / self.records_per_message

    def message_bytes(self, records: int) -> int:
        """Of a message with so many records, without its partition key."""
        json = self.record_bytes if records == 1 else records * (self.record_bytes + 1) + 1
        frames = FRAME * ((json - 1) // FRAME_LENGTH) + FINAL_FRAME
        keys = self.regions * (ENCRYPTED_DATA_KEY + self.key_arn_bytes + self.wrapped_key_bytes)
        return HEADER + self.stream_name_bytes + keys + json + frames + SIGNED * self.signed


@dataclass(frozen=True)
class Counts:
    """What a workload comes to. Messages and data keys are the same in every Region; the others are of all Regions."""

    records_per_message: int
    message_bytes: int
    messages: int
    data_keys: int
    generate_data_key: int
    encrypt: int
    decrypt: float
    gib_in: float
    gib_out: float
    put_units: int
    hours: float
    """That the stream of one Region is in use for."""
    invocations: int
    gb_seconds: float | None
    write_units: int


def count(workload: Workload) -> Counts:
    sizes = message_sizes(workload)
    regions, messages = workload.regions, sum(sizes.values())
    keys = data_keys(workload)
    stored = {size + PARTITION_KEY: number for size, number in sizes.items()}
    runs = regions * math.ceil(messages / messages_per_invocation(workload))
    return Counts(
        records_per_message=workload.records_per_message,
        message_bytes=max(sizes),
        messages=messages,
        data_keys=keys,
        generate_data_key=keys,
        encrypt=keys * (regions - 1),
        decrypt=regions * keys * decrypts_per_data_key(workload, messages / keys),
        gib_in=regions * rounded_up(stored, 1024) * 1024 / GIB,
        gib_out=regions * sum(size * number for size, number in stored.items()) / GIB,
        put_units=regions * rounded_up(stored, PUT_UNIT),
        hours=workload.records / workload.records_per_second / 3600,
        invocations=runs,
        gb_seconds=None if workload.batch_ms is None else runs * workload.batch_ms / 1000 * workload.memory_mb / 1024,
        write_units=regions * workload.records * math.ceil((workload.item_bytes or workload.record_bytes) / 1024),
    )


def message_sizes(workload: Workload) -> dict[int, int]:
    """How many messages of each size are put to a Region."""
    per_message = workload.records_per_message
    full, rest = divmod(workload.records_per_producer, per_message)
    sizes = {workload.message_bytes(per_message): full * workload.producers} if full else {}
    if rest:
        sizes[workload.message_bytes(rest)] = workload.producers
    return sizes


def rounded_up(sizes: dict[int, int], unit: int) -> int:
    return sum(math.ceil(size / unit) * number for size, number in sizes.items())


def data_keys(workload: Workload) -> int:
    """Each producer replaces its data key when that has encrypted enough messages, or is old enough."""
    in_its_time = max(1, math.ceil(workload.messages_per_second * workload.data_key_max_age))
    messages = math.ceil(workload.records_per_producer / workload.records_per_message)
    return workload.producers * math.ceil(messages / min(workload.messages_per_data_key, in_its_time))


def decrypts_per_data_key(workload: Workload, messages: float) -> float:
    """In one Region, of a data key with so many messages: one in each execution environment that meets it.

    As if each lane kept its environment, and each message's lane were drawn at random, as random partition keys do it.
    """
    if workload.producers > workload.consumer_capacity:
        # More data keys are in use than a cache holds. At worst each is gone when its next message comes.
        return messages
    environments = workload.lanes * (1 - (1 - 1 / workload.lanes) ** messages)
    in_use = min(workload.data_key_max_age, messages / workload.messages_per_second)
    return min(messages, environments * (1 + math.floor(in_use / workload.consumer_max_age)))


def messages_per_invocation(workload: Workload) -> float:
    """A batch is complete when it has enough messages or bytes, or has waited long enough."""
    in_event = 4 * math.ceil(workload.message_bytes(workload.records_per_message) / 3) + EVENT_RECORD
    per_lane = workload.messages_per_second * workload.producers / workload.lanes
    arriving = 1 + per_lane * max(workload.batch_window, POLL_SECONDS)
    return min(workload.batch_size, max(1, INVOCATION_BYTES // in_event), arriving)


def columns(workload: Workload) -> dict[str, Counts]:
    """A workload with its settings, beside the same without what they save."""
    cached = replace(workload, aggregate_bytes=0)
    ways = {"no caching": replace(cached, messages_per_data_key=1), "caching": cached}
    if workload.aggregate_bytes:
        ways["and aggregation"] = workload
    return {name: count(way) for name, way in ways.items()}


Row = tuple[str, Callable[[Counts], float | None]]


def count_rows(workload: Workload) -> list[Row]:
    if workload.provisioned:
        kinesis: list[Row] = [
            ("Kinesis PUT payload units", lambda counts: counts.put_units),
            ("Kinesis shard-hours", lambda counts: counts.hours * workload.regions * workload.shards),
        ]
    else:
        kinesis = [
            ("Kinesis GiB in", lambda counts: counts.gib_in),
            ("Kinesis GiB out", lambda counts: counts.gib_out),
            ("Kinesis stream-hours", lambda counts: counts.hours * workload.regions),
        ]
    return [
        ("records in a message", lambda counts: counts.records_per_message),
        ("bytes of a message", lambda counts: counts.message_bytes),
        ("messages, in each Region", lambda counts: counts.messages),
        ("data keys", lambda counts: counts.data_keys),
        ("KMS GenerateDataKey", lambda counts: counts.generate_data_key),
        ("KMS Encrypt", lambda counts: counts.encrypt),
        ("KMS Decrypt, expected", lambda counts: counts.decrypt),
        *kinesis,
        ("Lambda invocations", lambda counts: counts.invocations),
        ("Lambda GB-seconds", lambda counts: counts.gb_seconds),
        ("DynamoDB write units", lambda counts: counts.write_units),
    ]


def cost_rows(workload: Workload, usd: dict[str, float]) -> list[Row]:
    def kms(counts: Counts) -> float:
        return (counts.generate_data_key + counts.encrypt + counts.decrypt) * usd["kms-request"]

    def kinesis(counts: Counts) -> float:
        hours = counts.hours * workload.regions
        if workload.provisioned:
            return counts.put_units * usd["kinesis-put-unit"] + hours * workload.shards * usd["kinesis-shard-hour"]
        data = counts.gib_in * usd["kinesis-gib-in"] + counts.gib_out * usd["kinesis-gib-out"]
        return data + hours * usd["kinesis-stream-hour"]

    def lambda_(counts: Counts) -> float:
        return counts.invocations * usd["lambda-request"] + (counts.gb_seconds or 0) * usd["lambda-gb-second"]

    def dynamodb(counts: Counts) -> float:
        return counts.write_units * usd["dynamodb-write-unit"]

    parts = [kms, kinesis, lambda_, dynamodb]
    total: Row = ("USD in all", lambda counts: sum(part(counts) for part in parts))
    return [("USD KMS", kms), ("USD Kinesis", kinesis), ("USD Lambda", lambda_), ("USD DynamoDB", dynamodb), total]


def report(workload: Workload, usd: dict[str, float]) -> str:
    ways = columns(workload)
    lines = [f"{workload.records:,} records of {workload.record_bytes:,} bytes, {workload.regions} Regions", ""]
    lines.append(" " * 28 + "".join(f"{name:>17}" for name in ways))
    for rows, places in ((count_rows(workload), 0), (cost_rows(workload, usd), 3)):
        for name, of in rows:
            lines.append(f"  {name:26}" + "".join(f"{number(of(counts), places):>17}" for counts in ways.values()))
        lines.append("")
    if workload.batch_ms is None:
        lines.append("Without Lambda's GB-seconds: --batch-ms has to say how long an invocation takes.")
    lines.append("Prices are in tools/cost.py, with where to check them; docs/cost.md says what is not counted.")
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
    lines = [f"  {name:20} {price.usd:.10f}  {price.page} ({price.read})" for name, price in PRICES.items()]
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
    add("--shards", whole, "shards of the stream in one Region")
    parser.add_argument("--provisioned", action="store_true", help="the stream is provisioned, not on demand")
    add("--parallelization-factor", whole, "batches of one shard that Lambda has under way at once")
    add("--batch-size", whole, "BatchSize of the template")
    add("--batch-window", some, "BatchWindowSeconds of the template")
    add("--consumer-capacity", at_least(0, int), "CACHE_CAPACITY of the consumer")
    add("--consumer-max-age", rate, "CACHE_MAX_AGE_SECONDS of the consumer")
    add("--batch-ms", some, "milliseconds of an invocation: the average of Lambda's metric Duration")
    add("--memory-mb", whole, "MemoryMiB of the template")
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
