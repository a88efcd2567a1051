"""What goes wrong with a mock GPU, and when. Times are seconds since the mock began."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LostFault:
    """From `at_s` until `until_s` every call on the GPU raises GPU_IS_LOST."""

    at_s: float
    until_s: float

    def is_now(self, t: float) -> bool:
        """Say whether the GPU is lost at a time."""
        return self.at_s <= t < self.until_s


@dataclass(frozen=True, slots=True)
class HangFault:
    """Calls on the GPU that are made from `at_s` until `until_s` return only then, or when they are released.

    `functions` are the pynvml names that hang; none means all of them.
    """

    at_s: float
    until_s: float
    functions: frozenset[str] = frozenset()

    def holds(self, function: str, t: float) -> bool:
        """Say whether a call of a function hangs at a time."""
        return self.at_s <= t < self.until_s and (not self.functions or function in self.functions)


@dataclass(frozen=True, slots=True, eq=False)
class XidFault:
    """An Xid error that the driver reports once, at `at_s`; of one GPU instance where that is known.

    Two alike are two errors.
    """

    at_s: float
    code: int
    gpu_instance_id: int | None = None


Fault = LostFault | HangFault | XidFault


@dataclass(frozen=True, slots=True)
class Faults:
    """All that goes wrong with one GPU; `xids` in the order of time."""

    lost: tuple[LostFault, ...] = ()
    hangs: tuple[HangFault, ...] = ()
    xids: tuple[XidFault, ...] = ()

    def plus(self, *more: Fault) -> "Faults":
        """Return these faults and further ones."""
        return Faults(
            lost=(*self.lost, *(fault for fault in more if isinstance(fault, LostFault))),
            hangs=(*self.hangs, *(fault for fault in more if isinstance(fault, HangFault))),
            xids=tuple(sorted((*self.xids, *(f for f in more if isinstance(f, XidFault))), key=lambda xid: xid.at_s)),
        )

    def ended(self, t: float) -> "Faults":
        """Return what is left if all that goes wrong ends at a time: the Xids until then."""
        return Faults(xids=tuple(xid for xid in self.xids if xid.at_s <= t))
