# SPDX-License-Identifier: Apache-2.0
"""CloudWatch alarms, evaluated on invented series of metrics.

It does what AWS's documentation says of alarms: statistics over aligned periods, metric math on the periods, the last
`EvaluationPeriods` periods, and `TreatMissingData` for those without data. CloudWatch looks at some periods more than
that and prefers real data in them to missing data
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data).
"""

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

# What CloudWatch looks at beyond EvaluationPeriods, as in the examples of its documentation.
EXTRA_PERIODS = 2
MINUTE = 60
STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max, "SampleCount": len}
COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
QUERY = re.compile(r"SELECT SUM\((\w+)\) FROM ")

# A value for each period, None where there is no data.
Points = list[float | None]


@dataclass
class Series:
    """What services report: by minute since the start, the values of each metric."""

    minutes: int
    values: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def report(self, metric: str, value: float, minutes: range) -> "Series":
        """Adds a value to each of these minutes."""
        by_minute = self.values.setdefault(metric, {})
        for minute in minutes:
            by_minute.setdefault(minute, []).append(value)
        return self

    def points(self, metric: str, statistic: str, period: int) -> Points:
        minutes = self.values.get(metric, {})
        length = period // MINUTE
        aligned = [
            [value for minute in range(start, start + length) for value in minutes.get(minute, [])]
            for start in range(0, self.minutes - length + 1, length)
        ]
        return [STATISTICS[statistic](values) if values else None for values in aligned]


def rings(alarm: dict, series: Series) -> bool:
    """Whether the alarm is in the state ALARM at any time, be it for one period."""
    points = alarm_points(alarm, series)
    periods = int(alarm["EvaluationPeriods"])
    return any(
        breaches(alarm, points[max(0, end - periods - EXTRA_PERIODS) : end]) for end in range(1, len(points) + 1)
    )


def breaches(alarm: dict, newest: Points) -> bool:
    """Whether the alarm is in the state ALARM when these are the newest points, the last one last."""
    periods = int(alarm["EvaluationPeriods"])
    found = [point for point in newest if point is not None][-periods:]
    compare = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = sum(compare(point, float(alarm["Threshold"])) for point in found)
    missing = min(periods, len(newest)) - len(found)
    if alarm["TreatMissingData"] == "breaching":
        breaching += missing
    return breaching >= int(alarm.get("DatapointsToAlarm", periods))


def alarm_points(alarm: dict, series: Series) -> Points:
    if "Metrics" not in alarm:
        return series.points(alarm["MetricName"], alarm["Statistic"], int(alarm["Period"]))
    known: dict[str, Points] = {}
    expression = ""
    for metric in alarm["Metrics"]:
        if "MetricStat" in metric:
            stat = metric["MetricStat"]
            known[metric["Id"]] = series.points(stat["Metric"]["MetricName"], stat["Stat"], int(stat["Period"]))
        elif query := QUERY.match(metric["Expression"]):
            return series.points(query[1], "Sum", int(metric["Period"]))
        else:
            expression = metric["Expression"]
    body = ast.parse(expression.strip(), mode="eval").body
    length = len(next(iter(known.values())))
    return [evaluate(body, {name: points[index] for name, points in known.items()}) for index in range(length)]


def evaluate(node: ast.expr, metrics: dict[str, float | None]) -> float | None:
    """Metric math in one period. The syntax of what is used here is Python's too."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return metrics[name]
        case ast.Call(ast.Name("FILL"), [metric, ast.Constant(value)]):
            found = evaluate(metric, metrics)
            return value if found is None else found
        case ast.Call(ast.Name("IF"), [condition, then, otherwise]):
            return evaluate(then if evaluate(condition, metrics) else otherwise, metrics)
        case ast.BinOp(left, symbol, right) | ast.Compare(left, [symbol], [right]):
            operands = [evaluate(left, metrics), evaluate(right, metrics)]
            return None if None in operands else OPERATORS[type(symbol)](*operands)
    raise AssertionError(f"metric math that the evaluator does not know: {ast.unparse(node)}")
