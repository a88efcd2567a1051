"""Drives: what keeps one GPU or GPU instance busy while the mock runs."""

from exporter.mock.machine.course import Course
from exporter.mock.machine.loads import Load
from exporter.mock.machine.profile import Span
from exporter.mock.machine.signals import Between, Bursts, Constant, Signal


class Drive:
    """A load at work: the scenario's own, or a level that was put in its place for the time being.

    Changes must come one at a time, in the order of their times; values may be read meanwhile.

    Attributes:
        demands: Names of the demands that the scenario's load follows.
        activity: How busy the device is, from 0 to 1.
        replayed: Names of the quantities that the scenario's load replays.
        is_forced: Whether a level replaces the scenario's load.
    """

    def __init__(self, load: Load) -> None:
        self.demands = load.demands
        self.activity = Course(load.activity)
        self.replayed = load.recorded.keys()
        self.is_forced = False
        self._own = load.activity
        self._recorded = load.recorded
        self._replayed: list[tuple[Course, Signal, Signal]] = []

    def quantity(self, name: str, span: Span) -> Signal:
        """Return a quantity's signal: as it was recorded, while the load replays it, else as the activity says."""
        return self.replay(name, Between(self.activity, span.idle, span.busy))

    def replay(self, name: str, derived: Signal) -> Signal:
        """Return a signal as it was recorded, while the load replays it; else its substitute."""
        if name not in self._recorded:
            return derived
        recorded = self._recorded[name]
        course = Course(recorded)
        self._replayed.append((course, recorded, derived))
        return course

    def first(self, name: str, default: float) -> float:
        """Return the value with which a quantity was first recorded, or the default."""
        return self._recorded[name].value(0.0) if name in self._recorded else default

    def serve(self, level: float, at: float, *, period_s: float = 0.0) -> None:
        """Be as busy as demands ask for, from a time on, evenly or in bursts; only while no level is forced."""
        own = Bursts(level, period_s) if period_s else Constant(level)
        if own != self._own:
            self._own = own
            self.activity.change(at, own)

    def force(self, level: float, at: float) -> None:
        """Be as busy as this from a time on, whatever the scenario says."""
        self.is_forced = True
        self.activity.change(at, Constant(level))
        for course, _, derived in self._replayed:
            course.change(at, derived)

    def let_go(self, at: float) -> None:
        """Go back to the scenario's load, as far as that has come by now."""
        self.is_forced = False
        self.activity.change(at, self._own)
        for course, recorded, _ in self._replayed:
            course.change(at, recorded)
