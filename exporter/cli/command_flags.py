"""Flags that only one command has, by its name. They have neither variables nor configuration keys."""

from collections.abc import Mapping

from exporter.cli import value_types as types
from exporter.cli.flag_table import Flag, Group

COMMAND_FLAGS: Mapping[str, tuple[Flag, ...]] = {
    "top": (
        Flag(
            "url",
            types.TEXT,
            "",
            Group.GENERAL,
            "Exporter to show, for example http://node-1:9400/metrics. Default: the exporter on this machine. If none"
            " is running, top reads the GPUs itself while it shows the table.",
        ),
        Flag("once", types.BOOL, "false", Group.GENERAL, "Print the table once, after two seconds, and exit."),
    ),
    "doctor": (
        Flag(
            "url",
            types.TEXT,
            "",
            Group.GENERAL,
            "Exporter to check, for example http://localhost:9400/metrics. Default: the one on this machine and,"
            " through the API server, those of the cluster.",
        ),
        Flag(
            "prometheus",
            types.TEXT,
            "",
            Group.GENERAL,
            "Prometheus to ask, for example http://user:password@localhost:9090. Default: the cluster's.",
        ),
        Flag(
            "kubeconfig",
            types.OPTIONAL_PATH,
            "",
            Group.GENERAL,
            "kubeconfig file to use. Default: the pod's service account, else KUBECONFIG or ~/.kube/config.",
        ),
        Flag("namespace", types.TEXT, "", Group.GENERAL, "Check only the autoscalers of this namespace."),
        Flag("json", types.BOOL, "false", Group.GENERAL, "Print the result as one JSON object."),
    ),
    "record": (
        Flag(
            "out",
            types.RECORDING,
            "recording.jsonl.gz",
            Group.GENERAL,
            "File to write; compressed if it ends in .gz. With several GPUs, each file name has the GPU's index.",
        ),
        Flag("for", types.DURATION, "1m0s", Group.GENERAL, "How long to record, one frame per --collect-interval."),
    ),
}
