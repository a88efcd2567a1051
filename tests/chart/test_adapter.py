"""`adapter.deploy`: the adapter's objects, and the real adapter with the rendered rules, arguments and certificate."""

import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.chart import looks
from tests.chart.alert_cases import STYLES
from tests.chart.fake_cluster import Access
from tests.chart.gpu_fleet import EXPECTED, PODS, scraped
from tests.chart.helm import Helm, Refused, Rendered
from tests.chart.running_adapter import Adapter, Page, Scrape, relabelings_of, running_adapter
from tests.waiting import NotYet, wait_for

Object = dict[str, Any]

DEPLOYED = {"adapter": {"deploy": True}}
SERVER = 'vllm:num_requests_waiting{engine="0"} 3\nvllm:num_requests_waiting{engine="1"} 4\n'
NAME = "dcgm-exporter-adapter.monitoring.svc"
API = "/apis/custom.metrics.k8s.io"
_PATIENCE_S = 60.0


def adapter_values(**keys: Any) -> Object:
    return {"adapter": {"deploy": True, **keys}}


def container_of(rendered: Rendered) -> Object:
    [container] = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def exporter_page() -> str:
    """Return the fleet's series as the exporter's page has them."""
    series = scraped(STYLES["classic"].names, 0, is_renamed=False)
    lines = [f"{name} {values.removesuffix('x40')}" for name, values in series.items()]
    return "\n".join(line.replace(',job="a"', "").replace('job="a",', "") for line in lines) + "\n"


def answer_of(adapter: Adapter, path: str, key: str, count: int = 1) -> Object:
    """Return what it answers, as soon as there are so many things under a key."""

    def look() -> Object:
        try:
            status, answer = adapter.get(path, NAME)
        except OSError as error:
            raise NotYet(str(error)) from error
        if status != HTTPStatus.OK or len(answer[key]) < count:
            raise NotYet(f"{status} {answer}")
        return dict(answer)

    return wait_for(path, look, _PATIENCE_S)


def values_of(adapter: Adapter, metric: str, count: int) -> Mapping[str, float]:
    path = f"{API}/v1beta2/namespaces/inference/pods/*/{metric}?labelSelector=app%3Dx"
    answer = answer_of(adapter, path, "items", count)
    return {one["describedObject"]["name"]: _number(one["value"]) for one in answer["items"]}


def _number(quantity: str) -> float:
    return float(quantity.removesuffix("m")) / 1000 if quantity.endswith("m") else float(quantity.replace("k", "e3"))


def counting_page() -> str:
    """Return two GPUs that were always busy when looked at: one was for half of the time, the other is not observed."""
    now = time.monotonic()
    return "".join(
        f"""
DCGM_FI_DEV_GPU_UTIL{{UUID="GPU-{pod}",Hostname="n3",namespace="counted",pod="{pod}"}} 98
gpu_exporter_busy_seconds_total{{UUID="GPU-{pod}",Hostname="n3",namespace="counted",pod="{pod}"}} {100 + seconds / 2}
gpu_exporter_observed_seconds_total{{UUID="GPU-{pod}",Hostname="n3",namespace="counted",pod="{pod}"}} {1000 + seconds}
"""
        for pod, seconds in (("half", now), ("unseen", 0))
    )


@pytest.fixture(scope="module")
def adapter(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    values = {
        **DEPLOYED,
        "serviceMonitor": {"interval": "1s", "scrapeTimeout": "1s"},
        "prometheus": {"url": "http://prometheus.test:9090"},
    }
    another_s = exporter_page().replace('"inference"', '"elsewhere"')
    pages: dict[str, Page] = {"exporter": exporter_page(), "server": SERVER, "nvidia-dcgm-exporter": another_s}
    pages["counting"] = counting_page
    scrapes = {
        "counting": Scrape(honors_labels=True),
        "exporter": Scrape(honors_labels=True),
        "server": Scrape({"namespace": "inference", "pod": "left"}),
        "nvidia-dcgm-exporter": Scrape({"namespace": "gpu-operator", "pod": "x"}),  # whose labels are renamed
    }
    folder = tmp_path_factory.mktemp("adapter")
    with running_adapter(helm.template(values), pages, scrapes, PODS, folder) as running:
        answer_of(running, f"{API}/v1beta2", "resources", count=2 * len(EXPECTED) + 2)
        yield running


OURS = """
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",Hostname="n1",container="c",namespace="monitoring",pod="near"} 10
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",Hostname="n1",container="c",namespace="inference",pod="far"} 20
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-3",Hostname="n1",container="",namespace="",pod=""} 30
"""
NVIDIA_S = (
    'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-9",Hostname="n2",container="c",namespace="inference",pod="theirs"} 40\n'
)


@pytest.mark.parametrize("their_namespace", ["gpu-operator", "monitoring"])
def test_pods_beside_the_exporter_elsewhere_and_on_a_node_of_nvidia_s_exporter_all_have_their_value(
    their_namespace: str, helm: Helm, tmp_path: Path
) -> None:
    """Our own monitor writes exported_pod, too; a rule that found it there would take the metric from NVIDIA's."""
    intervals = {"interval": "1s", "scrapeTimeout": "1s"}
    values = {**DEPLOYED, "serviceMonitor": intervals, "prometheus": {"url": "http://prometheus.test:9090"}}
    rendered = helm.template(values)
    ours = Scrape(
        {"job": "dcgm-exporter", "exporter_pod": "x"},
        honors_labels=True,
        relabelings=relabelings_of(looks.endpoint(rendered)),
    )
    theirs = Scrape(
        {"job": "nvidia-dcgm-exporter", "namespace": their_namespace, "pod": "nvidia-x"}, honors_labels=True
    )
    namesake = Scrape({"job": "dcgm-exporter", "namespace": "gpu-lab", "pod": "dcgm-exporter-x"})
    pages = {"ours": OURS, "theirs": NVIDIA_S, "namesake": NVIDIA_S}
    scrapes = {"ours": ours, "theirs": theirs, "namesake": namesake}
    with running_adapter(rendered, pages, scrapes, (), tmp_path) as adapter:
        for namespace, pod, value in (
            ("monitoring", "near", 10),
            ("inference", "far", 20),
            ("inference", "theirs", 40),
        ):
            path = f"{API}/v1beta2/namespaces/{namespace}/pods/{pod}/gpu_utilization"
            [item] = answer_of(adapter, path, "items")["items"]
            assert _number(item["value"]) == value


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_the_real_adapter_takes_the_rules_and_lists_their_metrics(version: str, adapter: Adapter) -> None:
    _, answer = adapter.get(f"{API}/{version}", NAME)
    names = {one["name"] for one in answer["resources"]}
    assert names >= {f"pods/{metric}" for metric in [*EXPECTED, "inference_queue_depth"]}


@pytest.mark.parametrize("metric", EXPECTED)
def test_an_hpa_that_asks_for_a_workload_s_pods_gets_a_number_for_each(metric: str, adapter: Adapter) -> None:
    expected = pytest.approx(EXPECTED[metric], abs=0.0011)  # the adapter cuts at a thousandth
    assert values_of(adapter, metric, len(EXPECTED[metric])) == expected


def test_an_hpa_gets_the_true_load_where_seconds_are_counted_and_never_the_moment_instead(adapter: Adapter) -> None:
    paths = {pod: f"{API}/v1beta2/namespaces/counted/pods/{pod}/gpu_utilization" for pod in ("half", "unseen")}
    [item] = answer_of(adapter, paths["half"], "items")["items"]
    assert _number(item["value"]) == pytest.approx(50, abs=0.01)
    assert adapter.get(paths["unseen"], NAME)[0] == HTTPStatus.NOT_FOUND


def test_a_model_server_s_queue_is_the_sum_of_its_engines(adapter: Adapter) -> None:
    assert values_of(adapter, "inference_queue_depth", 1) == {"left": 7}


@pytest.mark.parametrize("name", [NAME, "dcgm-exporter-adapter.monitoring", "dcgm-exporter-adapter"])
def test_its_certificate_is_good_for_each_of_its_names(name: str, adapter: Adapter) -> None:
    assert adapter.get("/livez", name)[0] == 200


def test_its_certificate_is_good_for_nobody_else(adapter: Adapter) -> None:
    with pytest.raises(OSError, match="Hostname mismatch"):
        adapter.get("/livez", "dcgm-exporter.monitoring.svc")


def test_its_probes_need_no_token(adapter: Adapter, helm: Helm) -> None:
    container = container_of(helm.template(DEPLOYED))
    for probe in ("livenessProbe", "readinessProbe"):
        assert adapter.get(container[probe]["httpGet"]["path"], NAME, token="")[0] == 200


def test_it_does_what_its_roles_allow_and_no_role_is_idle(adapter: Adapter, helm: Helm) -> None:
    """auth-delegator and authentication-reader are Kubernetes' own roles: what is in them stands here."""
    [rule] = helm.template(DEPLOYED).one("ClusterRole", "monitoring:dcgm-exporter-adapter")["rules"]
    own = {Access(verb, *rule["apiGroups"], *rule["resources"]) for verb in rule["verbs"]}
    delegator = {
        Access("create", "authentication.k8s.io", "tokenreviews"),
        Access("create", "authorization.k8s.io", "subjectaccessreviews"),
    }
    reader = {Access(verb, "", "configmaps", "kube-system") for verb in ("get", "list", "watch")}
    values_of(adapter, "gpu_utilization", len(EXPECTED["gpu_utilization"]))
    assert adapter.cluster.accesses <= own | delegator | reader
    for role in (own, delegator, reader):
        assert adapter.cluster.accesses & role


def test_both_versions_of_the_api_lead_to_the_service_and_trust_its_certificate(helm: Helm) -> None:
    rendered = helm.template(DEPLOYED)
    for version in ("v1beta1", "v1beta2"):
        spec = rendered.one("APIService", f"{version}.custom.metrics.k8s.io")["spec"]
        assert (spec["group"], spec["version"]) == ("custom.metrics.k8s.io", version)
        assert rendered.one("Service", spec["service"]["name"])["metadata"]["namespace"] == spec["service"]["namespace"]
        assert spec["caBundle"] == rendered.one("Secret")["data"]["ca.crt"]
        assert "insecureSkipTLSVerify" not in spec


def test_cert_manager_makes_the_certificate_where_it_is_asked(helm: Helm) -> None:
    rendered = helm.template(adapter_values(tls={"mode": "certManager"}))
    assert rendered.all("Secret") == []
    [volume] = [one for one in rendered.one("Deployment")["spec"]["template"]["spec"]["volumes"] if "secret" in one]
    [leaf] = [one for one in rendered.all("Certificate") if one["spec"]["secretName"] == volume["secret"]["secretName"]]
    issuer = rendered.one("Issuer", leaf["spec"]["issuerRef"]["name"])
    [authority] = [one for one in rendered.all("Certificate") if one["spec"].get("isCA")]
    assert issuer["spec"]["ca"]["secretName"] == authority["spec"]["secretName"]
    assert rendered.one("Issuer", authority["spec"]["issuerRef"]["name"])["spec"] == {"selfSigned": {}}
    for service in rendered.all("APIService"):
        where = f"{leaf['metadata']['namespace']}/{leaf['metadata']['name']}"
        assert service["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": where}
        assert "caBundle" not in service["spec"]


def test_an_issuer_of_the_user_needs_none_of_the_chart_s(helm: Helm) -> None:
    tls = {"mode": "certManager", "issuer": {"name": "ours", "kind": "ClusterIssuer"}}
    rendered = helm.template(adapter_values(tls=tls))
    assert rendered.all("Issuer") == []
    assert rendered.one("Certificate")["spec"]["issuerRef"] == {"name": "ours", "kind": "ClusterIssuer"}


@pytest.mark.parametrize(
    ("values", "relist_ms", "max_age_ms"),
    [
        ({}, 5000, 60000),
        ({"serviceMonitor": {"signal": {"enabled": False}}}, 15000, 60000),
        ({"serviceMonitor": {"interval": "5s"}}, 5000, 60000),
        ({"serviceMonitor": {"interval": "1m30s"}}, 5000, 360000),
        ({"serviceMonitor": {"interval": "1m30s", "signal": {"enabled": False}}}, 90000, 360000),
        ({"servingMonitors": [{"name": "llm", "runtime": "vllm", "interval": "2m"}]}, 5000, 480000),
        (adapter_values(relistInterval="30s", maxAge="90s"), 30000, 90000),
        (adapter_values(relistInterval="10m"), 600000, 600000),
        (adapter_values(relistInterval="500ms"), 500, 60000),
    ],
)
def test_a_metric_outlasts_a_late_and_a_failed_scrape(
    values: Object, relist_ms: int, max_age_ms: int, helm: Helm
) -> None:
    arguments = container_of(helm.template({**DEPLOYED, **values}))["args"]
    assert f"--metrics-relist-interval={relist_ms}ms" in arguments
    assert f"--metrics-max-age={max_age_ms}ms" in arguments


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            adapter_values(maxAge="20s"),
            r"adapter\.maxAge: with 20s metrics would come and go, because Prometheus scrapes only every 15s",
        ),
        (
            adapter_values(maxAge="40s", relistInterval="1m"),
            r"adapter\.maxAge: 40s is less than the relist interval of 60s",
        ),
        (adapter_values(rules={"create": False}), r"adapter\.deploy: the adapter needs rules"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(values: Object, sentence: str, helm: Helm) -> None:
    with pytest.raises(Refused, match=sentence):
        helm.template(values)


def test_rules_that_are_there_already_are_taken(helm: Helm) -> None:
    rendered = helm.template(adapter_values(rules={"create": False, "name": "mine"}))
    template = rendered.one("Deployment")["spec"]["template"]
    assert [one["configMap"]["name"] for one in template["spec"]["volumes"] if "configMap" in one] == ["mine"]
    assert "annotations" not in template["metadata"]


def test_a_change_of_the_rules_restarts_it_and_nothing_else_does(helm: Helm) -> None:
    def checksum(values: Object) -> str:
        return str(
            helm.template(values).one("Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/rules"]
        )

    same = {**DEPLOYED, "alerts": {"enabled": False}, "autoscaling": []}
    assert checksum(DEPLOYED) == checksum(same)
    assert checksum(DEPLOYED) != checksum({**DEPLOYED, "labels": {"oldNames": True}})


def test_it_runs_as_nobody_with_nothing(helm: Helm) -> None:
    rendered = helm.template(DEPLOYED)
    assert rendered.one("Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container_of(rendered)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_nothing_of_it_is_there_unless_it_is_asked_for(helm: Helm) -> None:
    rendered = helm.template()
    assert [one["kind"] for one in rendered.objects if one["kind"] in ("Deployment", "APIService", "Secret")] == []
