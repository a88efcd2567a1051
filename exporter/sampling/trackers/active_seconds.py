"""What GPM's means add up to: seconds in which units of a GPU or a MIG instance were active."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.catalogue.units import RANGES, ROUNDING, number_of
from exporter.model import Reason


@dataclass(frozen=True, slots=True)
class ActiveSeconds:
    """Seconds since a tracker began.

    Attributes:
        observed_s: How long all units together were seen.
        active_s: How long of that each unit was active, by its NVML_GPM_METRIC_*.
    """

    observed_s: float = 0.0
    active_s: Mapping[int, float] = field(default_factory=dict)

    def grown(self, span_s: float, means: Mapping[int, float | Reason]) -> "ActiveSeconds":
        """Return what this is after one more span.

        All units share `observed_s`, so if one of them has no sound number, no second of the span is counted.

        Args:
            span_s: Its seconds.
            means: Of each metric, percent.
        """
        supported = {metric: mean for metric, mean in means.items() if mean is not Reason.NOT_SUPPORTED}
        sound = {metric: mean for metric, mean in supported.items() if _is_sound(mean)}
        if not sound or len(sound) < len(supported):
            return self
        active_s = {
            metric: self.active_s.get(metric, 0.0) + span_s * min(float(mean) / 100, 1.0)  # all of a busy span, exactly
            for metric, mean in sound.items()
        }
        return ActiveSeconds(self.observed_s + span_s, active_s)


def _is_sound(mean: float | Reason) -> bool:
    low, high = RANGES["percent"]
    number = number_of(mean)
    return not isinstance(number, Reason) and low <= number <= high * ROUNDING
