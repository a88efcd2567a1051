"""How a GPU is divided by MIG: which GPU instances fit beside each other, and which numbers they get."""

from collections.abc import Iterator, Sequence

from exporter.mock.machine.profile import MigProfile

MEMORY_SLICES = 8
COMPUTE_SLICES = 7

Start = int


def place_instances(wanted: Sequence[MigProfile]) -> tuple[Start, ...] | None:
    """Find a place for each GPU instance.

    Returns:
        The memory slice at which each begins, in the order asked for; None where they do not fit on one GPU.

    Source: placements as nvidia-smi mig -lgipp lists them.
    """
    if sum(profile.slices for profile in wanted) > COMPUTE_SLICES:
        return None
    largest_first = sorted(range(len(wanted)), key=lambda i: -wanted[i].memory_slices)
    starts = next(_placements([wanted[i] for i in largest_first], frozenset()), None)
    if starts is None:
        return None
    found = dict(zip(largest_first, starts, strict=True))
    return tuple(found[i] for i in range(len(wanted)))


def gpu_instance_id(profile: MigProfile, start: Start) -> int:
    """Return the number that the driver gives a GPU instance at a place."""
    return profile.first_id + profile.starts.index(start)


def _placements(wanted: Sequence[MigProfile], taken: frozenset[int]) -> Iterator[tuple[Start, ...]]:
    if not wanted:
        yield ()
        return
    first, *rest = wanted
    for start in first.starts:
        slices = frozenset(range(start, start + first.memory_slices))
        if not slices & taken:
            for others in _placements(rest, taken | slices):
                yield (start, *others)
