# SPDX-License-Identifier: Apache-2.0
"""What a workload comes to: messages, calls, bytes and invocations."""

import math
from dataclasses import dataclass

GIB = 1 << 30
HOURS_A_MONTH = 730
# Kinesis keeps data for a day without a charge.
FREE_RETENTION_HOURS = 24
# What a table with provisioned capacity is used to, so that it does not throttle at every peak.
TABLE_UTILIZATION = 0.7

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
    compression: float = 1.0
    """Bytes of JSON for a byte of it in the message."""
    shards: int = 4
    """In each Region. A new on-demand stream has four."""
    provisioned: bool = False
    advantage: bool = False
    """On-demand Advantage, a setting of the account."""
    retention_hours: int = 168
    provisioned_table: bool = False
    parallelization_factor: int = 1
    batch_size: int = 100
    batch_window: float = 1.0
    consumer_capacity: int = 100
    consumer_max_age: float = 600.0
    batch_ms: float | None = None
    memory_mb: int = 512
    log_bytes: int = 1500
    """That an invocation of the consumer writes, of logs and metrics."""
    put_ms: float | None = None
    """That a put to every Region takes, one Region after the other, where each record waits for it."""
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
        json = math.ceil(json / self.compression)
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
    retained_gib_months: float
    """Beyond the first day."""
    invocations: int
    gb_seconds: float | None
    waiting_gb_seconds: float
    """Of a function that waits for each put."""
    log_gib: float
    write_units: int
    write_capacity_hours: float


def count(workload: Workload) -> Counts:
    sizes = message_sizes(workload)
    regions, messages = workload.regions, sum(sizes.values())
    keys = data_keys(workload)
    stored = {size + PARTITION_KEY: number for size, number in sizes.items()}
    gib_out = regions * sum(size * number for size, number in stored.items()) / GIB
    runs = regions * math.ceil(messages / messages_per_invocation(workload))
    write_units = regions * workload.records * math.ceil((workload.item_bytes or workload.record_bytes) / 1024)
    return Counts(
        records_per_message=workload.records_per_message,
        message_bytes=max(sizes),
        messages=messages,
        data_keys=keys,
        generate_data_key=keys,
        encrypt=keys * (regions - 1),
        decrypt=regions * keys * decrypts_per_data_key(workload, messages / keys),
        gib_in=regions * rounded_up(stored, 1024) * 1024 / GIB,
        gib_out=gib_out,
        put_units=regions * rounded_up(stored, PUT_UNIT),
        hours=workload.records / workload.records_per_second / 3600,
        retained_gib_months=gib_out * max(0, workload.retention_hours - FREE_RETENTION_HOURS) / HOURS_A_MONTH,
        invocations=runs,
        gb_seconds=None if workload.batch_ms is None else gb_seconds(workload, runs * workload.batch_ms),
        waiting_gb_seconds=gb_seconds(workload, workload.records * (workload.put_ms or 0)),
        log_gib=runs * workload.log_bytes / GIB,
        write_units=write_units,
        write_capacity_hours=write_units / 3600 / TABLE_UTILIZATION,
    )


def gb_seconds(workload: Workload, milliseconds: float) -> float:
    return milliseconds / 1000 * workload.memory_mb / 1024


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
