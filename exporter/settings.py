"""What the user can set: one frozen `Settings`, and the small value types in it with their text forms.

Knows nothing of where a value was written; cli reads flags, variables and the configuration file, and names
the place when a value is wrong. The `parse_*` functions raise ValueError with the reason alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import IPv6Address
from typing import NamedTuple

MAX_DEVICE_INDEX = 1023
"""The highest index in a device selection; far above what a machine has."""

MAX_PORT = 0xFFFF

_OF_ALL = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is no address to listen at
"""What reaches an address that is every interface."""

_HOST = re.compile(r"[A-Za-z0-9._-]*")
_INDICES = re.compile(r"(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?")
_PORT = re.compile(r"[0-9]{1,5}")
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class DeviceKind(Enum):
    """Which entities are exported, by DCGM's letters."""

    FLEX = "f"
    GPUS = "g"
    INSTANCES = "i"


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """Some of the entities to export; all selections together are what is exported.

    FLEX: each GPU without MIG instances, and of the others their instances. GPUS: GPUs alone, by NVML index.
    INSTANCES: MIG instances alone, counted in the order (gpu, GPU instance id). `ids` is None for all.
    """

    kind: DeviceKind
    ids: frozenset[int] | None = None


class BusySource(StrEnum):
    """Where seconds are counted from in which a part of a GPU was busy: one of the driver's rings, or GPM."""

    GPU = "gpu"
    MEMORY = "memory"
    PROFILING = "profiling"
    ENCODER = "encoder"
    DECODER = "decoder"


class LabelStyle(StrEnum):
    """Whose spelling the labels have: dcgm-exporter's up to 4.8.2, 4.8.3's or 4.9's."""

    CLASSIC = "classic"
    V4_8_3 = "4.8.3"
    V4_9 = "4.9"


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


class ConfigMapName(NamedTuple):
    """A ConfigMap of the cluster."""

    namespace: str
    name: str


class ListenAddress(NamedTuple):
    """Where to listen. An empty host is every interface, IPv4 and IPv6; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def local(self) -> "ListenAddress":
        """Return what reaches it from this machine: this machine's own name or address for every interface."""
        return self._replace(host=_OF_ALL.get(self.host, self.host))

    def url(self, scheme: str = "http") -> str:
        """Return the URL that reaches it; the zone of fe80::1%eth0 is escaped there (RFC 6874)."""
        return f"{scheme}://{self}".replace("%", "%25")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is decided at start. Names ending in _s are seconds.

    Counters come from `configmap` where it is set, else from `inline_counters` where that is not empty (the
    text of a counters file, from the lines of `config_file`), else from the file `collectors`;
    `given` says for each flag that somebody set, be it to the default, where: a flag, a variable, a key of a file.
    `mock` is a profile or a scenario file, None for real GPUs. `hostname` is the value of the label, whatever
    `no_hostname` says. `max_concurrent_scrapes` 0 is unlimited, `mock_steering_port` 0 is no steering.
    `mock_device_plugin` is the folder in which a kubelet's device plugins register, None for no plugin.
    """

    given: Mapping[str, str]
    collectors: str
    inline_counters: str
    configmap: ConfigMapName | None
    config_file: str | None
    collect_interval_s: float
    devices: tuple[DeviceSelection, ...]
    busy_seconds: frozenset[BusySource]
    mean_gpu_util: bool
    xid_window_ms: int
    xid_reset_after_s: float
    clock_window_ms: int
    disable_startup_validate: bool
    gpu_bind_unbind_watch: bool
    gpu_bind_unbind_poll_s: float
    kubernetes: bool
    enable_pod_labels: bool
    enable_pod_uid: bool
    pod_label_allowlist: tuple[str, ...]
    nvidia_resource_names: tuple[str, ...]
    virtual_gpus: bool
    enable_dra: bool
    pod_resources_socket: str
    hpc_job_mapping_dir: str | None
    label_style: LabelStyle
    use_old_namespace: bool
    no_hostname: bool
    hostname: str
    replace_blanks_in_model_name: bool
    address: ListenAddress
    systemd_socket: bool
    web_config_file: str | None
    web_read_timeout_s: float
    web_write_timeout_s: float
    max_concurrent_scrapes: int
    health_require_gpus: bool
    mock: str | None
    mock_steering_port: int
    mock_device_plugin: str | None
    debug: bool
    log_format: LogFormat

    def place(self, flag: str) -> str:
        """Return where a flag's value comes from, for errors about it."""
        return self.given.get(flag, f"the default of --{flag}")


def parse_devices(text: str) -> tuple[DeviceSelection, ...]:
    """Read dcgm-exporter's device grammar: f, g, i, g or i with indices as in g:0,2-4, and several with + between.

    Raises:
        ValueError: with the reason.
    """
    return tuple(map(_parse_selection, text.split("+")))


def _parse_selection(text: str) -> DeviceSelection:
    letter, colon, indices = text.partition(":")
    if letter not in {kind.value for kind in DeviceKind}:
        raise ValueError(f"unknown kind {letter!r}")
    kind = DeviceKind(letter)
    if not colon:
        return DeviceSelection(kind)
    if kind is DeviceKind.FLEX:
        raise ValueError("f takes no indices")
    return DeviceSelection(kind, frozenset().union(*map(_parse_indices, indices.split(","))))


def _parse_indices(text: str) -> range:
    match = _INDICES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is neither an index nor a range")
    first = int(match["first"])
    last = int(match["last"] or first)
    if first > last:
        raise ValueError(f"the range {text} is reversed")
    if last > MAX_DEVICE_INDEX:
        raise ValueError(f"{last} is above {MAX_DEVICE_INDEX}")
    return range(first, last + 1)


def parse_busy_seconds(text: str) -> frozenset[BusySource]:
    """Read a list of sources, separated by commas; "none" and nothing at all are none of them.

    Raises:
        ValueError: with the reason.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return frozenset()
    for name in names:
        if name not in set(BusySource):
            raise ValueError(f"unknown name {name!r}")
    return frozenset(map(BusySource, names))


def parse_listen_address(text: str) -> ListenAddress:
    """Read an address as Go writes it: :9400, 0.0.0.0:9400, localhost:9400 or [::1]:9400.

    Raises:
        ValueError: with the reason.
    """
    scheme, slashes, rest = text.partition("://")
    if slashes:
        raise ValueError(f"{scheme}:// does not belong here; write {rest.partition('/')[0]}")
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("the port is missing")
    if not _PORT.fullmatch(port) or int(port) > MAX_PORT:
        raise ValueError(f"the port {port!r} is not a number from 0 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        return ListenAddress(_ipv6(host[1:-1]), int(port))
    if ":" in host:
        raise ValueError("write an IPv6 address in brackets")
    if not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host")
    return ListenAddress(host, int(port))


def _ipv6(text: str) -> str:
    try:
        IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    return text


def parse_configmap(text: str) -> ConfigMapName | None:
    """Read NAMESPACE:NAME; "none" and nothing at all are None.

    Raises:
        ValueError: without a reason; the form is all there is to say.
    """
    if text in ("", "none"):
        return None
    parts = text.split(":")
    if len(parts) != len(ConfigMapName._fields) or not all(map(_OBJECT_NAME.fullmatch, parts)):
        raise ValueError
    return ConfigMapName(*parts)
