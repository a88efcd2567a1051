"""What a cluster needs from others: the kinds of operators and the stages by which kwok plays nodes and pods."""

import sys
from pathlib import Path

from tests.tools.schemas import KEDA, OPERATOR, Module, fetch_schemas

_MONITORING = (
    "alertmanagerconfigs",
    "alertmanagers",
    "podmonitors",
    "probes",
    "prometheusagents",
    "prometheuses",
    "prometheusrules",
    "scrapeconfigs",
    "servicemonitors",
    "thanosrulers",
)
_KEDA = (
    "eventing.keda.sh_cloudeventsources",
    "eventing.keda.sh_clustercloudeventsources",
    "keda.sh_clustertriggerauthentications",
    "keda.sh_scaledjobs",
    "keda.sh_scaledobjects",
    "keda.sh_triggerauthentications",
)
_STAGES = {
    "node-initialize": "node/fast",
    "node-heartbeat-with-lease": "node/heartbeat-with-lease",
    "pod-ready": "pod/fast",
    "pod-complete": "pod/fast",
    "pod-delete": "pod/fast",
}

MODULES = (
    Module(
        *OPERATOR,
        {
            f"kind-{name}.yaml": f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml"
            for name in _MONITORING
        },
    ),
    Module(
        *KEDA,
        {f"kind-{name}.yaml": f"config/crd/bases/{name}.yaml" for name in _KEDA},
    ),
    Module(
        "sigs.k8s.io/kwok",
        "v0.8.0",
        "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
        {f"stage-{name}.yaml": f"kustomize/stage/{folder}/{name}.yaml" for name, folder in _STAGES.items()}
        | {"kind-portforwards.yaml": "kustomize/crd/bases/kwok.x-k8s.io_portforwards.yaml"},
    ),
)


def fetch_manifests() -> Path:
    """Return the folder with all of them; what is missing is fetched first.

    Raises:
        GoMissing: They are not there yet, and there is no Go.
        BuildFailed: They can't be fetched.
    """
    return fetch_schemas(MODULES)


if __name__ == "__main__":
    sys.stdout.write(f"{fetch_manifests()}\n")
