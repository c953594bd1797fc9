"""The Helm chart, rendered by Helm's own library and checked against the Kubernetes schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from agent.foundation.settings.tree import Settings

KUBERNETES = ("1.27", "1.32")
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "without KEDA": {"keda": {"enabled": False}, "worker": {"replicas": 3}},
    "without page": {"web": {"enabled": False}},
    "own ports": {
        "config": {"listener": {"port": 104}, "web": {"port": 8443}},
        "imagePullSecrets": [{"name": "x"}],
    },
    "inside only": {"listener": {"service": {"type": "ClusterIP", "annotations": {"a": "b"}}}},
    "no backfill": {"keda": {"jobsPerWorker": {"backfill": 0}}},
    "backfill": {
        "config": {
            "archive": {"host": "pacs", "port": 104, "ae_title": "PACS"},
            "backfill": {"enabled": True},
        }
    },
}


@pytest.fixture
def chart(repository: Path) -> Path:
    """The folder of the chart."""
    return repository / "deploy" / "chart"


def render(chart: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all manifests as `helm template` writes them."""
    with helm_python.Chart.load(str(chart)) as loaded:
        files = loaded.render(values, name="demo", namespace="radiology")
    return [one for text in files.values() for one in yaml.safe_load_all(text) if one]


def pods(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the pod of each deployment."""
    return (one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment")


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the manifest with this kind and name."""
    (found,) = [one for one in manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def test_chart_passes_lint(chart: Path) -> None:
    """Helm's own linter reports nothing except the missing icon."""
    found = helm_python.lint(str(chart))
    assert found["errors"] == []
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", KUBERNETES)
def test_chart_manifests_fit_the_schemas(chart: Path, variant: str, version: str) -> None:
    """Every manifest of a native Kubernetes kind is strictly valid, without unknown fields."""
    manifests = render(chart, VARIANTS[variant])
    for one in manifests:
        if not one["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(one, version, strict=True)
    assert {one["kind"] for one in manifests} >= {"ConfigMap", "Deployment", "Service"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_chart_pods_run_without_rights(chart: Path, variant: str) -> None:
    """Pods have no root user, no writable root file system, no capabilities and no cluster token."""
    for pod in pods(render(chart, VARIANTS[variant])):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"] + pod["initContainers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_chart_settings_are_valid(chart: Path) -> None:
    """The settings in the ConfigMap are valid; housekeeping runs in its own process."""
    manifests = render(chart, {})
    content = yaml.safe_load(named(manifests, "ConfigMap", "demo-config")["data"]["config.yaml"])
    settings = Settings.model_validate(content)
    assert settings.listener.housekeeping is False
    # Probes and services connect from outside the pod.
    assert (settings.listener.host, settings.web.host, settings.web.loopback) == ("0.0.0.0", "0.0.0.0", False)
    assert named(manifests, "Deployment", "demo-housekeeping")["spec"]["replicas"] == 1


def test_chart_ports_are_those_of_the_settings(chart: Path) -> None:
    """The listener's container port and probe match the configuration."""
    manifests = render(chart, VARIANTS["own ports"])
    (listener,) = named(manifests, "Deployment", "demo-listener")["spec"]["template"]["spec"]["containers"]
    assert [one["containerPort"] for one in listener["ports"]] == [104]
    assert listener["readinessProbe"]["tcpSocket"]["port"] == 104


def test_chart_retrieves_old_studies_where_the_settings_say_so(chart: Path) -> None:
    """A single process waits for plans and requests less CPU than the others; two never run at once."""
    manifests = render(chart, VARIANTS["backfill"])
    deployment = named(manifests, "Deployment", "demo-backfill")["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert container["args"] == ["backfill", "run", "--follow"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert container["resources"]["requests"]["cpu"] == "50m"
    assert "demo-backfill" not in [one["metadata"]["name"] for one in render(chart, {})]


def test_chart_leaves_the_number_of_workers_to_keda(chart: Path) -> None:
    """With KEDA the deployment sets no number, as every upgrade would reset it; without KEDA it does."""
    scaled = named(render(chart, {}), "Deployment", "demo-worker")
    fixed = named(render(chart, VARIANTS["without KEDA"]), "Deployment", "demo-worker")
    assert ("replicas" in scaled["spec"], fixed["spec"]["replicas"]) == (False, 3)
    assert not [one for one in render(chart, VARIANTS["without KEDA"]) if one["kind"] == "ScaledObject"]


def test_chart_scales_by_every_lane(chart: Path) -> None:
    """Each lane that is not left out has one query, with its own number of jobs per worker."""
    triggers = named(render(chart, {}), "ScaledObject", "demo-worker")["spec"]["triggers"]
    assert {one["name"]: one["metadata"]["targetQueryValue"] for one in triggers} == {
        "stat": "2",
        "routine": "50",
        "shadow": "200",
        "backfill": "1000",
    }
    less = named(render(chart, VARIANTS["no backfill"]), "ScaledObject", "demo-worker")["spec"]["triggers"]
    assert sorted(one["name"] for one in less) == ["routine", "shadow", "stat"]


@pytest.mark.parametrize(
    "values",
    [
        {"worker": {"replica": 3}},
        {"keda": {"jobsPerWorker": {"urgent": 1}}},
        {"listener": {"replicas": 0}},
        {"secretName": ""},
    ],
)
def test_chart_refuses_values_that_it_does_not_know(chart: Path, values: dict[str, Any]) -> None:
    """A misspelt value stops the installation instead of being ignored."""
    with helm_python.Chart.load(str(chart)) as loaded, pytest.raises(helm_python.HelmError):
        loaded.validate_schema(values)
