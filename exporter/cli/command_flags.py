"""Flags that one command has beside those of all, by its name. They have neither variables nor configuration keys."""

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
            "The exporter to look at, such as http://node-1:9400/metrics. Without it the one of this machine; where"
            " none serves, GPUs are read for as long as the table is shown.",
        ),
        Flag("once", types.BOOL, "false", Group.GENERAL, "Print the table once, two seconds after the start."),
    ),
    "doctor": (
        Flag(
            "url",
            types.TEXT,
            "",
            Group.GENERAL,
            "An exporter to look at, such as http://localhost:9400/metrics. Without it the one of this machine, and"
            " through the API server those of the cluster.",
        ),
        Flag(
            "prometheus",
            types.TEXT,
            "",
            Group.GENERAL,
            "Prometheus, such as http://user:password@localhost:9090. Without it the cluster's.",
        ),
        Flag(
            "kubeconfig",
            types.OPTIONAL_PATH,
            "",
            Group.GENERAL,
            "How to reach the API server. Without it the pod's service account, or KUBECONFIG or ~/.kube/config.",
        ),
        Flag("namespace", types.TEXT, "", Group.GENERAL, "Look at the autoscalers of this namespace alone."),
        Flag("json", types.BOOL, "false", Group.GENERAL, "Print one JSON object."),
    ),
    "record": (
        Flag(
            "out",
            types.RECORDING,
            "recording.jsonl.gz",
            Group.GENERAL,
            "The file to write, compressed where it ends in .gz. Of several GPUs each has its index in the name.",
        ),
        Flag("for", types.DURATION, "1m0s", Group.GENERAL, "How long to record, a frame each --collect-interval."),
    ),
}
