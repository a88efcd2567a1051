"""The link to KEDA: its metrics server, and how its ScaledObjects are."""

from collections.abc import Collection, Iterator
from typing import Any

from exporter.doctor.adapter_look import EXTERNAL, find_adapter
from exporter.doctor.autoscalers import place_of
from exporter.doctor.finding import Finding, broken, holds, some, unseen
from exporter.doctor.surroundings import Object, Surroundings


def keda(look: Surroundings) -> Iterator[Finding]:
    """Look how KEDA's ScaledObjects are."""
    within = f"/namespaces/{look.asked.namespace}" if look.asked.namespace else ""
    found = look.objects(f"/apis/keda.sh/v1alpha1{within}/scaledobjects")
    if not found:
        yield holds("there is no ScaledObject")
        return
    server = find_adapter(look, EXTERNAL)
    if not server.service or server.trouble:
        yield broken(
            f"{EXTERNAL} is not served{f': {server.trouble}' if server.trouble else ''}",
            "KEDA's metrics server is not running: kubectl get pods -n keda. Only one server can serve this API.",
        )
    for one in found:
        yield judge_scaled_object(one)


def judge_scaled_object(scaled: Object) -> Finding:
    """Say how a ScaledObject is."""
    place = place_of(scaled)
    conditions: dict[str, Any] = {one["type"]: one for one in scaled.get("status", {}).get("conditions") or ()}
    addresses: Collection[str] = [
        one["metadata"]["serverAddress"]
        for one in scaled["spec"].get("triggers", ())
        if "serverAddress" in (one.get("metadata") or {})
    ]
    where = f" Its triggers query {some(addresses)}." if addresses else ""
    ready = conditions.get("Ready", {})
    if conditions.get("Paused", {}).get("status") == "True":
        return broken(f"{place} is paused", "Remove its annotations autoscaling.keda.sh/paused and paused-replicas.")
    if ready.get("status") == "False":
        return broken(
            f"{place} is not ready: {ready.get('reason')}: {ready.get('message')}",
            f"Fix what it names. KEDA retries at growing intervals.{where}",
        )
    if conditions.get("Fallback", {}).get("status") == "True":
        return broken(
            f"{place} uses its fallback: its trigger returns no value", f"Check Prometheus and the query.{where}"
        )
    if not conditions:
        return unseen(
            f"{place}: KEDA has not handled it yet", "kubectl get pods -n keda: its operator must be running."
        )
    is_active = conditions.get("Active", {}).get("status") == "True"
    return holds(f"{place} is ready and {'active' if is_active else 'idle: its trigger is below the activation'}")
