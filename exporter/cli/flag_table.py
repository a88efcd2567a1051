"""Every flag, as data: its name, the values it takes, what it does, and whether it is implemented.

Rows taken from dcgm-exporter keep its names, shorthands, variables and defaults (releases up to 4.9).
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from exporter.cli import value_types as types
from exporter.cli.value_types import ValueType


class Group(StrEnum):
    """The headings of the help page, in order."""

    COLLECTION = "Collection"
    KUBERNETES = "Kubernetes"
    LABELS = "Labels"
    SERVER = "Server"
    MOCK = "Mock"
    LOGGING = "Logging"
    GENERAL = "General"
    COMPATIBILITY = "Compatibility (accepted, no effect)"


class Status(Enum):
    """What happens when a flag is given."""

    WORKS = "works"
    LATER = "accepted, not implemented yet"
    NO_EFFECT = "accepted, no effect"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    `setting` is the attribute of Settings that receives the value. It is None for flags that change nothing and for
    flags that only the parser needs. `note` completes the sentence that tells the user about a status other than
    WORKS. To implement a LATER flag, give it a setting and change its status to WORKS. `needs` names the flag without
    which this one has no effect.
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
        "Counters file: the fields to export, with their types and help texts. If a file in /etc/dcgm-exporter does"
        " not exist, the packaged file of the same name is read.",
        "f",
        "DCGM_EXPORTER_COLLECTORS",
        setting="collectors",
    ),
    Flag(
        "configmap-data",
        types.CONFIGMAP,
        "none",
        Group.COLLECTION,
        "Read the counters from the key `metrics` of this ConfigMap instead of from a file.",
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
        "What to export. f: each GPU, or its MIG instances if it has any; g: only GPUs; i: only MIG instances. g:0,2-4"
        " selects GPUs by index. i:0,2-4 selects MIG instances, counted from 0 over the whole node. Join several with"
        " +, for example g+i or g:0,2-4+i.",
        "d",
        "DCGM_EXPORTER_DEVICES_STR",
        setting="devices",
    ),
    Flag(
        "busy-seconds",
        types.BUSY_SECONDS,
        "gpu,memory,profiling",
        Group.COLLECTION,
        "Which busy and observed seconds to count: gpu, memory, profiling (graphics engine, SM, tensor cores and DRAM,"
        " from GPM), encoder, decoder, or none.",
        variable="DCGM_EXPORTER_BUSY_SECONDS",
        setting="busy_seconds",
    ),
    Flag(
        "mean-gpu-util",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Export the mean since the last scrape as DCGM_FI_DEV_GPU_UTIL, instead of the current value.",
        variable="DCGM_EXPORTER_MEAN_GPU_UTIL",
        setting="mean_gpu_util",
    ),
    Flag(
        "xid-count-window-size",
        types.WINDOW,
        "300000",
        Group.COLLECTION,
        "Time window of DCGM_EXP_XID_ERRORS_COUNT in milliseconds.",
        "x",
        "DCGM_EXPORTER_XID_COUNT_WINDOW_SIZE",
        setting="xid_window_ms",
    ),
    Flag(
        "xid-reset-after",
        types.DURATION_OR_0,
        "0s",
        Group.COLLECTION,
        "Reset DCGM_FI_DEV_XID_ERRORS to 0 after this long without a new Xid. 0 means never, as in dcgm-exporter.",
        variable="DCGM_EXPORTER_XID_RESET_AFTER",
        setting="xid_reset_after_s",
    ),
    Flag(
        "clock-events-count-window-size",
        types.WINDOW,
        "300000",
        Group.COLLECTION,
        "Time window of DCGM_EXP_CLOCK_EVENTS_COUNT in milliseconds.",
        variable="DCGM_EXPORTER_CLOCK_EVENTS_COUNT_WINDOW_SIZE",
        setting="clock_window_ms",
    ),
    Flag(
        "disable-startup-validate",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Keep running and retrying if NVML does not work at start, instead of exiting with the reason. Always on with"
        " -k and in a Kubernetes pod.",
        variable="DISABLE_STARTUP_VALIDATE",
        setting="disable_startup_validate",
    ),
    Flag(
        "enable-gpu-bind-unbind-watch",
        types.BOOL,
        "false",
        Group.COLLECTION,
        "Look for added and removed GPUs at --gpu-bind-unbind-poll-interval instead of every 5 s.",
        variable="DCGM_EXPORTER_ENABLE_GPU_BIND_UNBIND_WATCH",
        setting="gpu_bind_unbind_watch",
    ),
    Flag(
        "gpu-bind-unbind-poll-interval",
        types.DURATION,
        "1s",
        Group.COLLECTION,
        "How often --enable-gpu-bind-unbind-watch looks.",
        variable="DCGM_EXPORTER_GPU_BIND_UNBIND_POLL_INTERVAL",
        setting="gpu_bind_unbind_poll_s",
        needs="enable-gpu-bind-unbind-watch",
    ),
    Flag(
        "kubernetes",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the labels container, namespace and pod to every series. They are empty if no pod holds the GPU.",
        "k",
        "DCGM_EXPORTER_KUBERNETES",
        setting="kubernetes",
    ),
    Flag(
        "kubernetes-enable-pod-labels",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the labels of the pod that holds the GPU.",
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
        "Add only pod labels whose names match one of these regular expressions. By default all are added.",
        variable="DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX",
        setting="pod_label_allowlist",
        needs="kubernetes-enable-pod-labels",
    ),
    Flag(
        "kubernetes-virtual-gpus",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Add the label vgpu, the number of the share, to the series of shared GPUs.",
        variable="KUBERNETES_VIRTUAL_GPUS",
        setting="virtual_gpus",
        needs="kubernetes",
    ),
    Flag(
        "kubernetes-enable-dra",
        types.BOOL,
        "false",
        Group.KUBERNETES,
        "Find the pods that hold GPUs through Dynamic Resource Allocation (DRA).",
        variable="KUBERNETES_ENABLE_DRA",
        setting="enable_dra",
        needs="kubernetes",
    ),
    Flag(
        "nvidia-resource-names",
        types.LIST,
        "",
        Group.KUBERNETES,
        "Additional resource names that mean GPUs, for example nvidia.com/a100.",
        variable="NVIDIA_RESOURCE_NAMES",
        setting="nvidia_resource_names",
        needs="kubernetes",
    ),
    Flag(
        "pod-resources-kubelet-socket",
        types.PATH,
        "/var/lib/kubelet/pod-resources/kubelet.sock",
        Group.KUBERNETES,
        "Kubelet's PodResources socket.",
        variable="DCGM_POD_RESOURCES_KUBELET_SOCKET",
        setting="pod_resources_socket",
        needs="kubernetes",
    ),
    Flag(
        "label-style",
        types.LABEL_STYLE,
        "classic",
        Group.LABELS,
        "Spelling of label names: classic (dcgm-exporter up to 4.8.2: Hostname, UUID,"
        " modelName), 4.8.3 (hostname) or 4.9 (hostname, gpu_uuid, model_name).",
        variable="DCGM_EXPORTER_LABEL_STYLE",
        setting="label_style",
    ),
    Flag(
        "use-old-namespace",
        types.BOOL,
        "false",
        Group.LABELS,
        "Use the label names of dcgm-exporter 1.x: uuid, pod_name, pod_namespace and container_name.",
        "o",
        "DCGM_EXPORTER_USE_OLD_NAMESPACE",
        setting="use_old_namespace",
    ),
    Flag(
        "no-hostname",
        types.BOOL,
        "false",
        Group.LABELS,
        "Omit the hostname label.",
        "n",
        "DCGM_EXPORTER_NO_HOSTNAME",
        setting="no_hostname",
    ),
    Flag(
        "replace-blanks-in-model-name",
        types.BOOL,
        "false",
        Group.LABELS,
        "Replace spaces in the GPU's model name with dashes.",
        "rbmn",
        "DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
        setting="replace_blanks_in_model_name",
    ),
    Flag(
        "hpc-job-mapping-dir",
        types.OPTIONAL_PATH,
        "",
        Group.LABELS,
        "Directory in which a scheduler writes which job runs on which GPU. Adds the label hpc_job.",
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
        note="containers outside Kubernetes are not looked up",
    ),
    Flag(
        "container-runtime-socket",
        types.OPTIONAL_PATH,
        "",
        Group.LABELS,
        "The container runtime's socket, for --container-labels.",
        variable="DCGM_CONTAINER_RUNTIME_SOCKET",
        status=Status.LATER,
        note="containers outside Kubernetes are not looked up",
    ),
    Flag(
        "address",
        types.ADDRESS,
        ":9400",
        Group.SERVER,
        "Address to listen on; all interfaces if the host is left out.",
        "a",
        "DCGM_EXPORTER_LISTEN",
        setting="address",
    ),
    Flag(
        "web-systemd-socket",
        types.BOOL,
        "false",
        Group.SERVER,
        "Listen on the sockets that systemd passes, instead of on --address.",
        variable="DCGM_EXPORTER_SYSTEMD_SOCKET",
        setting="systemd_socket",
    ),
    Flag(
        "web-config-file",
        types.OPTIONAL_PATH,
        "",
        Group.SERVER,
        "Web configuration file in Prometheus' format: TLS, passwords, headers and a rate limit.",
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
        "How long a client may take to receive the response.",
        variable="DCGM_EXPORTER_WEB_WRITE_TIMEOUT",
        setting="web_write_timeout_s",
    ),
    Flag(
        "max-concurrent-scrapes",
        types.COUNT,
        "0",
        Group.SERVER,
        "Most scrapes served at a time; more are answered with 503. 0 means no limit (dcgm-exporter: 16, and 0 is not"
        " allowed). Scrapes are cheap here: they read a finished page.",
        variable="DCGM_EXPORTER_MAX_CONCURRENT_SCRAPES",
        setting="max_concurrent_scrapes",
    ),
    Flag(
        "health-require-gpus",
        types.BOOL,
        "false",
        Group.SERVER,
        "Fail /health while no GPU is sampled.",
        variable="DCGM_EXPORTER_HEALTH_REQUIRE_GPUS",
        setting="health_require_gpus",
    ),
    Flag(
        "mock",
        types.MOCK,
        "false",
        Group.MOCK,
        "Simulate the GPUs of a profile or a scenario file instead of reading real ones;"
        f" {types.DEFAULT_MOCK} if neither is given.",
        variable="DCGM_EXPORTER_MOCK",
        setting="mock",
    ),
    Flag(
        "fake-gpus",
        types.BOOL,
        "false",
        Group.MOCK,
        "dcgm-exporter's name for --mock.",
        variable="DCGM_EXPORTER_USE_FAKE_GPUS",
    ),
    Flag(
        "mock-steering-port",
        types.PORT,
        "0",
        Group.MOCK,
        "Port on 127.0.0.1 of the HTTP API that steers a running mock. 0 turns it off.",
        variable="DCGM_EXPORTER_MOCK_STEERING_PORT",
        setting="mock_steering_port",
        needs="mock",
    ),
    Flag(
        "mock-device-plugin",
        types.OPTIONAL_PATH,
        "",
        Group.MOCK,
        "Offer the mock's GPUs to the kubelet whose device plugins register in this directory, usually"
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
        "Format of log lines: text or json.",
        variable="DCGM_EXPORTER_LOG_FORMAT",
        setting="log_format",
    ),
    Flag(
        "debug",
        types.BOOL,
        "false",
        Group.LOGGING,
        "Log debug messages, too.",
        variable="DCGM_EXPORTER_DEBUG",
        setting="debug",
    ),
    Flag(
        "config-file",
        types.OPTIONAL_PATH,
        "",
        Group.GENERAL,
        "YAML configuration file in dcgm-exporter's format, version 1 or 2.",
        variable="DCGM_EXPORTER_CONFIG_FILE",
        setting="config_file",
    ),
    Flag("help", types.BOOL, "false", Group.GENERAL, "Print this help.", "h"),
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
        note="ids of both kinds are always understood",
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
        note="the exporter reads NVML itself and needs no host engine",
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
        note="NVML does not read NVSwitches",
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
        note="NVML does not read CPUs",
    ),
    Flag(
        "enable-dcgm-log",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Write DCGM's log to standard output.",
        variable="DCGM_EXPORTER_ENABLE_DCGM_LOG",
        status=Status.NO_EFFECT,
        note="the exporter does not use DCGM",
    ),
    Flag(
        "dcgm-log-level",
        types.DCGM_LOG_LEVEL,
        "NONE",
        Group.COMPATIBILITY,
        "How much DCGM logs.",
        variable="DCGM_EXPORTER_DCGM_LOG_LEVEL",
        status=Status.NO_EFFECT,
        note="the exporter does not use DCGM",
    ),
    Flag(
        "dump-enabled",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Write files for debugging.",
        variable="DCGM_EXPORTER_DUMP_ENABLED",
        status=Status.NO_EFFECT,
        note="the exporter writes no dumps",
    ),
    Flag(
        "dump-directory",
        types.TEXT,
        "/tmp/dcgm-exporter-debug",  # noqa: S108, dcgm-exporter's default; nothing is written there
        Group.COMPATIBILITY,
        "Where dumps are written.",
        variable="DCGM_EXPORTER_DUMP_DIRECTORY",
        status=Status.NO_EFFECT,
        note="the exporter writes no dumps",
    ),
    Flag(
        "dump-retention",
        types.COUNT,
        "24",
        Group.COMPATIBILITY,
        "Hours after which dumps are deleted.",
        variable="DCGM_EXPORTER_DUMP_RETENTION",
        status=Status.NO_EFFECT,
        note="the exporter writes no dumps",
    ),
    Flag(
        "dump-compression",
        types.BOOL,
        "true",
        Group.COMPATIBILITY,
        "Compress dumps.",
        variable="DCGM_EXPORTER_DUMP_COMPRESSION",
        status=Status.NO_EFFECT,
        note="the exporter writes no dumps",
    ),
    Flag(
        "enable-pprof",
        types.BOOL,
        "false",
        Group.COMPATIBILITY,
        "Serve Go's profiler.",
        variable="DCGM_EXPORTER_ENABLE_PPROF",
        status=Status.NO_EFFECT,
        note="this is not a Go program and has no /debug/pprof/",
    ),
    Flag(
        "watch-max-keep-age",
        types.DURATION_OR_0,
        "10m",
        Group.COMPATIBILITY,
        "How long DCGM keeps samples.",
        variable="DCGM_EXPORTER_WATCH_MAX_KEEP_AGE",
        status=Status.NO_EFFECT,
        note="the exporter keeps only the samples that its series need",
    ),
    Flag(
        "watch-max-keep-samples",
        types.COUNT,
        "0",
        Group.COMPATIBILITY,
        "How many samples DCGM keeps.",
        variable="DCGM_EXPORTER_WATCH_MAX_KEEP_SAMPLES",
        status=Status.NO_EFFECT,
        note="the exporter keeps only the samples that its series need",
    ),
)
