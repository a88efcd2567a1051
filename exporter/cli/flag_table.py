"""Every flag, as data: what it is called, what it takes, what it does here, and whether it does it yet.

The rows from dcgm-exporter keep its names, shorthands, variables and defaults (releases up to 4.9).
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from exporter.cli import value_types as types
from exporter.cli.value_types import ValueType


class Group(StrEnum):
    """The headings of the help page, in its order."""

    COLLECTION = "Collection"
    KUBERNETES = "Kubernetes"
    LABELS = "Labels"
    SERVER = "Server"
    MOCK = "Mock"
    LOGGING = "Logging"
    GENERAL = "General"
    COMPATIBILITY = "Compatibility (accepted, no effect)"


class Status(Enum):
    """What becomes of a flag that is given."""

    WORKS = "works"
    LATER = "accepted, not built yet"
    NO_EFFECT = "accepted, no effect"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    `setting` is the attribute of Settings that it gives its value to; None for those that change nothing, and
    for those that only the parser needs. `note` completes the sentence that tells the user of a status other than
    WORKS. To build a LATER flag is to give it a setting and to make it WORKS here. `needs` is the flag without which
    it has no effect, if there is one.
    """

    name: str
    type: ValueType
    default: str
    group: Group
    help: str
    shorthand: str = ""
    variable: str = ""
    setting: str | None = None
    status: Status = Status.WORKS
    note: str = ""
    needs: str = ""


FLAGS = (
    Flag(
        "collectors",
        types.PATH,
        "/etc/dcgm-exporter/default-counters.csv",
        Group.COLLECTION,
        "Counters file: the fields to export, their types and help texts. For a file that is missing in"
        " /etc/dcgm-exporter the one of that name that comes with this program is read.",
        "f",
        "DCGM_EXPORTER_COLLECTORS",
        setting="collectors",
    ),
    Flag(
        "configmap-data",
        types.CONFIGMAP,
        "none",
        Group.COLLECTION,
        "Read the counters from the key `metrics` of this ConfigMap instead of a file.",
        "m",
        "DCGM_EXPORTER_CONFIGMAP_DATA",
        setting="configmap",
    ),
    Flag(
        "collect-interval",
        types.INTERVAL,
        "1000",
        Group.COLLECTION,
        "Milliseconds from one collection of a GPU to the next (dcgm-exporter: 30000).",
        "c",
        "DCGM_EXPORTER_INTERVAL",
        setting="collect_interval_s",
    ),
    Flag(
        "devices",
        types.DEVICES,
        "f",
        Group.COLLECTION,
        "What to export. f: each GPU, or its MIG instances where it has any; g: GPUs alone; i: MIG instances"
        " alone. g:0,2-4 chooses by GPU index, i:0,2-4 by a count over all instances of the node, from 0."
        " Several are joined by +, as in g+i or g:0,2-4+i.",
        "d",
        "DCGM_EXPORTER_DEVICES_STR",
        setting="devices",
    ),
    Flag(
        "busy-seconds",
        types.BUSY_SECONDS,
        "gpu,memory,profiling",
        Group.COLLECTION,
        "Whose busy and observed seconds to count: gpu, memory, profiling (graphics engine, SM, tensor cores and DRAM,"
        " by GPM), encoder, decoder, or none.",
        variable="DCGM_EXPORTER_BUSY_SECONDS",
        setting="busy_seconds",
    ),
    Flag(
        "mean-gpu-util",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Let DCGM_FI_DEV_GPU_UTIL be the mean since the last scrape, not the value of the moment.",
        variable="DCGM_EXPORTER_MEAN_GPU_UTIL",
        setting="mean_gpu_util",
    ),
    Flag(
        "xid-count-window-size",
        types.WINDOW,
        "300000",
        Group.COLLECTION,
        "Milliseconds over which DCGM_EXP_XID_ERRORS_COUNT counts.",
        "x",
        "DCGM_EXPORTER_XID_COUNT_WINDOW_SIZE",
        setting="xid_window_ms",
    ),
    Flag(
        "xid-reset-after",
        types.DURATION_OR_0,
        "0s",
        Group.COLLECTION,
        "Set DCGM_FI_DEV_XID_ERRORS back to 0 when no Xid has come for so long; 0 for never, as dcgm-exporter does.",
        variable="DCGM_EXPORTER_XID_RESET_AFTER",
        setting="xid_reset_after_s",
    ),
    Flag(
        "clock-events-count-window-size",
        types.WINDOW,
        "300000",
        Group.COLLECTION,
        "Milliseconds over which DCGM_EXP_CLOCK_EVENTS_COUNT counts.",
        variable="DCGM_EXPORTER_CLOCK_EVENTS_COUNT_WINDOW_SIZE",
        setting="clock_window_ms",
    ),
    Flag(
        "disable-startup-validate",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Start, serve and keep trying where NVML does not work, instead of ending with the reason; so it is with -k and"
        " in a Kubernetes pod anyway.",
        variable="DISABLE_STARTUP_VALIDATE",
        setting="disable_startup_validate",
    ),
    Flag(
        "enable-gpu-bind-unbind-watch",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Look for GPUs that came or went at --gpu-bind-unbind-poll-interval instead of every 5 s.",
        variable="DCGM_EXPORTER_ENABLE_GPU_BIND_UNBIND_WATCH",
        setting="gpu_bind_unbind_watch",
    ),
    Flag(
        "gpu-bind-unbind-poll-interval",
        types.DURATION,
        "1s",
        Group.COLLECTION,
        "Time from one look of --enable-gpu-bind-unbind-watch to the next.",
        variable="DCGM_EXPORTER_GPU_BIND_UNBIND_POLL_INTERVAL",
        setting="gpu_bind_unbind_poll_s",
        needs="enable-gpu-bind-unbind-watch",
    ),
    Flag(
        "kubernetes",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Put the labels container, namespace and pod on every series, empty where no pod holds the GPU.",
        "k",
        "DCGM_EXPORTER_KUBERNETES",
        setting="kubernetes",
    ),
    Flag(
        "kubernetes-enable-pod-labels",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the pods' own labels.",
        variable="DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS",
        setting="enable_pod_labels",
        needs="kubernetes",
    ),
    Flag(
        "kubernetes-enable-pod-uid",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the label pod_uid.",
        variable="DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID",
        setting="enable_pod_uid",
        needs="kubernetes",
    ),
    Flag(
        "kubernetes-pod-label-allowlist-regex",
        types.PATTERNS,
        "",
        Group.KUBERNETES,
        "Add only the pod labels whose names match one of these regular expressions; all without this.",
        variable="DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX",
        setting="pod_label_allowlist",
        needs="kubernetes-enable-pod-labels",
    ),
    Flag(
        "kubernetes-virtual-gpus",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the label vgpu with the number of the share to the series of shared GPUs.",
        variable="KUBERNETES_VIRTUAL_GPUS",
        setting="virtual_gpus",
        needs="kubernetes",
    ),
    Flag(
        "kubernetes-enable-dra",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Find the holders of GPUs that were allocated by Dynamic Resource Allocation.",
        variable="KUBERNETES_ENABLE_DRA",
        setting="enable_dra",
        needs="kubernetes",
    ),
    Flag(
        "nvidia-resource-names",
        types.LIST,
        "",
        Group.KUBERNETES,
        "More resource names that mean GPUs, as nvidia.com/a100.",
        variable="NVIDIA_RESOURCE_NAMES",
        setting="nvidia_resource_names",
        needs="kubernetes",
    ),
    Flag(
        "pod-resources-kubelet-socket",
        types.PATH,
        "/var/lib/kubelet/pod-resources/kubelet.sock",
        Group.KUBERNETES,
        "The kubelet's PodResources socket.",
        variable="DCGM_POD_RESOURCES_KUBELET_SOCKET",
        setting="pod_resources_socket",
        needs="kubernetes",
    ),
    Flag(
        "label-style",
        types.LABEL_STYLE,
        "classic",
        Group.LABELS,
        "Whose spelling of label names to print: classic (dcgm-exporter up to 4.8.2: Hostname, UUID,"
        " modelName), 4.8.3 (hostname) or 4.9 (hostname, gpu_uuid, model_name).",
        variable="DCGM_EXPORTER_LABEL_STYLE",
        setting="label_style",
    ),
    Flag(
        "use-old-namespace",
        types.BOOL,
        "false",
        Group.LABELS,
        "Print UUID as uuid, and pod_name, pod_namespace and container_name, as dcgm-exporter 1.x did.",
        "o",
        "DCGM_EXPORTER_USE_OLD_NAMESPACE",
        setting="use_old_namespace",
    ),
    Flag(
        "no-hostname",
        types.BOOL,
        "false",
        Group.LABELS,
        "Leave the host name's label out.",
        "n",
        "DCGM_EXPORTER_NO_HOSTNAME",
        setting="no_hostname",
    ),
    Flag(
        "replace-blanks-in-model-name",
        types.BOOL,
        "false",
        Group.LABELS,
        "Print dashes for the spaces in a GPU's model name.",
        "rbmn",
        "DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
        setting="replace_blanks_in_model_name",
    ),
    Flag(
        "hpc-job-mapping-dir",
        types.OPTIONAL_PATH,
        "",
        Group.LABELS,
        "Folder in which a scheduler says which job runs on which GPU; adds the label hpc_job.",
        variable="DCGM_HPC_JOB_MAPPING_DIR",
        setting="hpc_job_mapping_dir",
    ),
    Flag(
        "container-labels",
        types.BOOL,
        "false",
        Group.LABELS,
        "Label containers outside Kubernetes.",
        variable="DCGM_EXPORTER_CONTAINER_LABELS",
        status=Status.LATER,
        note="no container is looked up outside Kubernetes",
    ),
    Flag(
        "container-runtime-socket",
        types.OPTIONAL_PATH,
        "",
        Group.LABELS,
        "Socket of the container runtime for --container-labels.",
        variable="DCGM_CONTAINER_RUNTIME_SOCKET",
        status=Status.LATER,
        note="no container is looked up outside Kubernetes",
    ),
    Flag(
        "address",
        types.ADDRESS,
        ":9400",
        Group.SERVER,
        "Where to listen; without a host on every interface.",
        "a",
        "DCGM_EXPORTER_LISTEN",
        setting="address",
    ),
    Flag(
        "web-systemd-socket",
        types.BOOL,
        "false",
        Group.SERVER,
        "Listen on the sockets that systemd hands over instead of --address.",
        variable="DCGM_EXPORTER_SYSTEMD_SOCKET",
        setting="systemd_socket",
    ),
    Flag(
        "web-config-file",
        types.OPTIONAL_PATH,
        "",
        Group.SERVER,
        "Prometheus' web configuration file: TLS, passwords, headers and a rate limit.",
        variable="DCGM_EXPORTER_WEB_CONFIG_FILE",
        setting="web_config_file",
    ),
    Flag(
        "web-read-timeout",
        types.DURATION,
        "10s",
        Group.SERVER,
        "How long a client may take to send its request.",
        variable="DCGM_EXPORTER_WEB_READ_TIMEOUT",
        setting="web_read_timeout_s",
    ),
    Flag(
        "web-write-timeout",
        types.DURATION,
        "30s",
        Group.SERVER,
        "How long a client may take to receive the answer.",
        variable="DCGM_EXPORTER_WEB_WRITE_TIMEOUT",
        setting="web_write_timeout_s",
    ),
    Flag(
        "max-concurrent-scrapes",
        types.COUNT,
        "0",
        Group.SERVER,
        "Answer 503 to scrapes beyond this many at a time; 0 is no limit (dcgm-exporter: 16, and no 0)."
        " A scrape here sends a page that is there already.",
        variable="DCGM_EXPORTER_MAX_CONCURRENT_SCRAPES",
        setting="max_concurrent_scrapes",
    ),
    Flag(
        "health-require-gpus",
        types.BOOL,
        "false",
        Group.SERVER,
        "Let /health fail while no GPU is there.",
        variable="DCGM_EXPORTER_HEALTH_REQUIRE_GPUS",
        setting="health_require_gpus",
    ),
    Flag(
        "mock",
        types.MOCK,
        "false",
        Group.MOCK,
        "Simulate GPUs instead of reading real ones: those of a profile or of a scenario file;"
        f" {types.DEFAULT_MOCK} where neither is named.",
        variable="DCGM_EXPORTER_MOCK",
        setting="mock",
    ),
    Flag(
        "fake-gpus",
        types.BOOL,
        "false",
        Group.MOCK,
        "The same as --mock, by dcgm-exporter's name.",
        variable="DCGM_EXPORTER_USE_FAKE_GPUS",
    ),
    Flag(
        "mock-steering-port",
        types.PORT,
        "0",
        Group.MOCK,
        "Let a running mock be steered over HTTP at this port of 127.0.0.1; 0 for not at all.",
        variable="DCGM_EXPORTER_MOCK_STEERING_PORT",
        setting="mock_steering_port",
        needs="mock",
    ),
    Flag(
        "mock-device-plugin",
        types.OPTIONAL_PATH,
        "",
        Group.MOCK,
        "Offer the mock's GPUs to the kubelet whose device plugins register in this folder, usually"
        " /var/lib/kubelet/device-plugins. Pods can then ask for nvidia.com/gpu. Never on a node with real GPUs.",
        variable="DCGM_EXPORTER_MOCK_DEVICE_PLUGIN",
        setting="mock_device_plugin",
        needs="mock",
    ),
    Flag(
        "log-format",
        types.LOG_FORMAT,
        "text",
        Group.LOGGING,
        "How log lines are written: text or json.",
        variable="DCGM_EXPORTER_LOG_FORMAT",
        setting="log_format",
    ),
    Flag(
        "debug",
        types.BOOL,
        "false",
        Group.LOGGING,
        "Log more.",
        variable="DCGM_EXPORTER_DEBUG",
        setting="debug",
    ),
    Flag(
        "config-file",
        types.OPTIONAL_PATH,
        "",
        Group.GENERAL,
        "YAML configuration file in dcgm-exporter's form, versions 1 and 2.",
        variable="DCGM_EXPORTER_CONFIG_FILE",
        setting="config_file",
    ),
    Flag("help", types.BOOL, "false", Group.GENERAL, "Print this page.", "h"),
    Flag("version", types.BOOL, "false", Group.GENERAL, "Print the version.", "v"),
    Flag(
        "enable-exporter-metrics",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Export metrics about the exporter itself.",
        variable="DCGM_EXPORTER_ENABLE_EXPORTER_METRICS",
        status=Status.NO_EFFECT,
        note="the exporter's own metrics are always exported",
    ),
    Flag(
        "kubernetes-gpu-id-type",
        types.GPU_ID_TYPE,
        "uid",
        Group.COMPATIBILITY,
        "What the device plugin calls a GPU: uid (GPU-...) or device-name (nvidia0).",
        variable="DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE",
        status=Status.NO_EFFECT,
        note="ids of both forms are always understood",
    ),
    Flag(
        "remote-hostengine-info",
        types.TEXT,
        "localhost:5555",
        Group.COMPATIBILITY,
        "Address of a DCGM host engine.",
        "r",
        "DCGM_REMOTE_HOSTENGINE_INFO",
        status=Status.NO_EFFECT,
        note="NVML is read in this process, no host engine is asked",
    ),
    Flag(
        "switch-devices",
        types.DEVICES,
        "f",
        Group.COMPATIBILITY,
        "NVSwitches to export.",
        "s",
        "DCGM_EXPORTER_OTHER_DEVICES_STR",
        status=Status.NO_EFFECT,
        note="NVML reads no NVSwitches",
    ),
    Flag(
        "cpu-devices",
        types.DEVICES,
        "f",
        Group.COMPATIBILITY,
        "CPUs to export.",
        "p",
        "DCGM_EXPORTER_CPU_DEVICES_STR",
        status=Status.NO_EFFECT,
        note="NVML reads no CPUs",
    ),
    Flag(
        "enable-dcgm-log",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Write DCGM's log to standard output.",
        variable="DCGM_EXPORTER_ENABLE_DCGM_LOG",
        status=Status.NO_EFFECT,
        note="there is no DCGM here",
    ),
    Flag(
        "dcgm-log-level",
        types.DCGM_LOG_LEVEL,
        "NONE",
        Group.COMPATIBILITY,
        "How much DCGM logs.",
        variable="DCGM_EXPORTER_DCGM_LOG_LEVEL",
        status=Status.NO_EFFECT,
        note="there is no DCGM here",
    ),
    Flag(
        "dump-enabled",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Write files for debugging.",
        variable="DCGM_EXPORTER_DUMP_ENABLED",
        status=Status.NO_EFFECT,
        note="no dumps are written",
    ),
    Flag(
        "dump-directory",
        types.TEXT,
        "/tmp/dcgm-exporter-debug",  # noqa: S108, dcgm-exporter's default; nothing is written there
        Group.COMPATIBILITY,
        "Where dumps are written.",
        variable="DCGM_EXPORTER_DUMP_DIRECTORY",
        status=Status.NO_EFFECT,
        note="no dumps are written",
    ),
    Flag(
        "dump-retention",
        types.COUNT,
        "24",
        Group.COMPATIBILITY,
        "Hours after which dumps are deleted.",
        variable="DCGM_EXPORTER_DUMP_RETENTION",
        status=Status.NO_EFFECT,
        note="no dumps are written",
    ),
    Flag(
        "dump-compression",
        types.BOOL,
        "true",
        Group.COMPATIBILITY,
        "Compress dumps.",
        variable="DCGM_EXPORTER_DUMP_COMPRESSION",
        status=Status.NO_EFFECT,
        note="no dumps are written",
    ),
    Flag(
        "enable-pprof",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Serve Go's profiler.",
        variable="DCGM_EXPORTER_ENABLE_PPROF",
        status=Status.NO_EFFECT,
        note="this is no Go program, there is no /debug/pprof/",
    ),
    Flag(
        "watch-max-keep-age",
        types.DURATION_OR_0,
        "10m",
        Group.COMPATIBILITY,
        "How long DCGM keeps samples.",
        variable="DCGM_EXPORTER_WATCH_MAX_KEEP_AGE",
        status=Status.NO_EFFECT,
        note="no more samples are kept than the series need",
    ),
    Flag(
        "watch-max-keep-samples",
        types.COUNT,
        "0",
        Group.COMPATIBILITY,
        "How many samples DCGM keeps.",
        variable="DCGM_EXPORTER_WATCH_MAX_KEEP_SAMPLES",
        status=Status.NO_EFFECT,
        note="no more samples are kept than the series need",
    ),
)
