# SPDX-License-Identifier: Apache-2.0
"""Which alarm rings when: every alarm of infra/monitoring.yaml on series as healthy and broken pipelines report them."""

import pytest

from tools.local_aws.stack import INFRA, read_template
from tools.tests.alarms import Series, rings

HOURS = 8
MINUTES = HOURS * 60
ALL = range(MINUTES)
# What is broken breaks after some time, and stays so.
BROKEN = range(MINUTES // 2, MINUTES)
ITERATOR_AGE_SECONDS = 300


def alarms() -> dict[str, dict]:
    resources = read_template(INFRA / "monitoring.yaml")["Resources"]
    found = {name: entry["Properties"] for name, entry in resources.items() if entry["Type"].endswith("Alarm")}
    for alarm in found.values():
        if isinstance(alarm["Threshold"], dict):
            text = alarm["Threshold"]["Fn::Sub"].replace("${IteratorAgeAlarmSeconds}", f"{ITERATOR_AGE_SECONDS}")
            alarm["Threshold"] = float(text)
        for metric in alarm.get("Metrics", []):
            if "Expression" in metric and isinstance(metric["Expression"], dict):
                metric["Expression"] = metric["Expression"]["Fn::Sub"]
    return found


ALARMS = alarms()


def pipeline(every: int = 1, records: int = 600, minutes: range = ALL, delay: int = 0) -> Series:
    """A healthy pipeline that gets `records` records in every `every`th minute, and writes them `delay` minutes later."""
    series = Series(MINUTES).report("GetRecords.Success", 60, ALL)
    arrivals = range(minutes.start, minutes.stop, every)
    work = range(minutes.start + delay, minutes.stop, every)
    series.report("IncomingRecords", records, arrivals).report("RecordsIn", records, work)
    for metric, value in [("Invocations", 1), ("Errors", 0), ("Throttles", 0), ("IteratorAge", 800)]:
        series.report(metric, value, work)
    for metric, value in [("KmsCalls", 1), ("DataKeyCacheHits", records), ("DataKeyCacheMisses", records / 100)]:
        series.report(metric, value, work)
    return series


def growing(series: Series, metric: str, by: float) -> Series:
    for minute in BROKEN:
        series.report(metric, by * (minute - BROKEN.start), range(minute, minute + 1))
    return series


HEALTHY = {
    "empty": Series(MINUTES).report("GetRecords.Success", 60, ALL),
    "steady": pipeline(),
    "a record in ten minutes": pipeline(every=10, records=1),
    "a record in three hours": pipeline(every=180, records=1),
    "a burst at night": pipeline(minutes=range(100, 130), records=500_000),
    "a batching window of five minutes": pipeline(every=5, records=3, delay=5),
    "a single throttled write": pipeline().report("WriteThrottleEvents", 12, range(200, 201)),
    "a stream that grows for ten minutes": pipeline().report("ThrottledAttempts", 40, range(200, 210)),
    "a retried KMS call": pipeline().report("KmsErrors", 1, range(200, 201)),
}

# The alarms that ring, and no others.
BROKEN_PIPELINES = {
    "the mapping is disabled, steady": (
        Series(MINUTES).report("GetRecords.Success", 60, range(BROKEN.start)).report("IncomingRecords", 9, ALL),
        {"StreamNotRead", "ConsumerNotInvoked"},
    ),
    "the mapping is disabled, a record in three hours": (
        Series(MINUTES).report("GetRecords.Success", 60, range(BROKEN.start)).report("IncomingRecords", 1, ALL[::180]),
        {"StreamNotRead"},
    ),
    "the mapping is gone before the first record": (Series(MINUTES), {"StreamNotRead"}),
    "polled, and never invoked": (
        Series(MINUTES).report("GetRecords.Success", 60, ALL).report("IncomingRecords", 600, ALL),
        {"ConsumerNotInvoked"},
    ),
    "no concurrency is left": (pipeline().report("Throttles", 30, BROKEN), {"ConsumerThrottled", "PusherThrottled"}),
    "the consumer is too slow": (growing(pipeline(), "IteratorAge", 60_000), {"IteratorAge"}),
    "a function crashes once": (pipeline().report("Errors", 1, BROKEN[:1]), {"ConsumerErrors", "PusherErrors"}),
    "one record is quarantined": (pipeline().report("RecordsQuarantined", 1, BROKEN[:1]), {"QuarantineNotEmpty"}),
    "Lambda skips a batch": (
        pipeline().report("OnFailureDestinationDeliveredEventCount", 1, BROKEN[:1]),
        {"QuarantineNotEmpty"},
    ),
    "Lambda loses a batch": (pipeline().report("DestinationDeliveryFailures", 1, BROKEN[:1]), {"BatchesLost"}),
    "one record is refused": (pipeline().report("RecordsRefused", 1, BROKEN[:1]), {"RecordsRefused"}),
    "one message is undelivered": (pipeline().report("MessagesUndelivered", 1, BROKEN[:1]), {"MessagesUndelivered"}),
    "the stream is too small": (pipeline().report("ThrottledAttempts", 40, BROKEN), {"ThrottledAttempts"}),
    "the table is too small": (pipeline().report("WriteThrottleEvents", 40, BROKEN), {"TableThrottled"}),
    "one message is too much for an invocation": (
        pipeline().report("RecordsFailed", 1, BROKEN).report("BatchesStalled", 1, BROKEN),
        {"RecordsFailed", "BatchesStalled"},
    ),
    "a record fails again and again": (pipeline().report("RecordsFailed", 1, BROKEN), {"RecordsFailed"}),
    "KMS denies the key": (pipeline().report("KmsErrors", 1, BROKEN), {"ConsumerKmsErrors", "PusherKmsErrors"}),
    "data keys are not cached": (
        pipeline().report("DataKeyCacheMisses", 2_000, BROKEN),
        {"ConsumerCacheHitRate", "PusherCacheHitRate"},
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_no_alarm_rings_for_a_healthy_pipeline(name: str) -> None:
    assert [alarm for alarm, properties in ALARMS.items() if rings(properties, HEALTHY[name])] == []


@pytest.mark.parametrize("name", BROKEN_PIPELINES)
def test_the_alarm_of_a_fault_rings_and_no_other(name: str) -> None:
    series, expected = BROKEN_PIPELINES[name]
    assert {alarm for alarm, properties in ALARMS.items() if rings(properties, series)} == expected


def test_every_alarm_is_seen_to_ring() -> None:
    assert set().union(*(expected for _, expected in BROKEN_PIPELINES.values())) == set(ALARMS)
