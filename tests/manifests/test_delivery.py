"""Flux and Argo CD: what they apply exists, in an order that has an end, and nothing that matters may be taken out."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from tests.manifests import schema
from tests.manifests.cluster import NAMESPACE, name
from tests.manifests.mutants import paths, without
from tests.manifests.render import ENVIRONMENTS, GITOPS, ROOT, Object, environment, objects

LAYERS = (
    "infrastructure-controllers",
    "infrastructure-configs",
    "foundation",
    "migration",
    "workloads",
)
CHARTS = {
    "traefik": ("traefik", "37.x"), "cert-manager": ("cert-manager", "v1.19.x"), "keda": ("keda", "2.18.x"),
    "external-secrets": ("external-secrets", "1.x"), "kube-prometheus-stack": ("monitoring", "79.x"),
}  # fmt: skip
# Namespaces and values that the applications rely on.
RELIED_ON = {
    ("traefik", "spec.values.ports.web.redirections.entryPoint"): {"to": "websecure", "scheme": "https", "permanent": True},
    ("traefik", "spec.values.ports.websecure.transport.respondingTimeouts.idleTimeout"): "75s",
    ("traefik", "spec.values.deployment.replicas"): 2,
    ("cert-manager", "spec.values.crds.enabled"): True,
    ("external-secrets", "spec.values.installCRDs"): True,
    ("kube-prometheus-stack", "spec.values.prometheus.prometheusSpec.serviceMonitorSelectorNilUsesHelmValues"): False,
    ("kube-prometheus-stack", "spec.values.prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues"): False,
    ("kube-prometheus-stack", "spec.values.prometheus.prometheusSpec.retention"): "15d",
}  # fmt: skip


def flux_faults(environment_name: str, items: list[Object]) -> Iterator[str]:
    flux = {i["metadata"]["name"]: i for i in items if i["kind"] == "Kustomization"}
    if set(flux) != set(LAYERS):
        yield f"layers {sorted(flux)}"
    for before, layer in zip((None, *LAYERS), LAYERS, strict=False):
        spec = flux[layer]["spec"]
        wanted = [{"name": before}] if before else []
        if spec.get("dependsOn", []) != wanted:
            yield f"{layer}: waits for {spec.get('dependsOn')}"
        places = {
            "infrastructure-controllers": "infrastructure/controllers",
            "infrastructure-configs": f"infrastructure/configs/{environment_name}",
        }
        if spec["path"] != f"./gitops/{places.get(layer, f'apps/{environment_name}/{layer}')}":
            yield f"{layer}: applies {spec['path']}"
        if not (ROOT / spec["path"] / "kustomization.yaml").exists():
            yield f"{layer}: applies nothing"
        if spec["prune"] is not True or spec["wait"] is not True:
            yield f"{layer}: is not waited for, or leaves things behind"
        if spec.get("force", False) is not (layer == "migration"):
            yield f"{layer}: a Job cannot be changed, all else must not be made anew"
        if (
            spec["retryInterval"] != "1m"
            or not spec["timeout"].endswith("m")
            or not spec["interval"]
        ):
            yield f"{layer}: times"
        if spec["sourceRef"] != {"kind": "GitRepository", "name": "flux-system"}:
            yield f"{layer}: from {spec['sourceRef']}"
    for item in items:
        if item["metadata"]["namespace"] != "flux-system":
            yield f"{name(item)}: Flux does not see it"
    if environment_name == "staging":
        yield from _image_automation(items)


def _image_automation(items: list[Object]) -> Iterator[str]:
    by_kind = {item["kind"]: item for item in items}
    repository, policy, update = (
        by_kind[kind] for kind in ("ImageRepository", "ImagePolicy", "ImageUpdateAutomation")
    )
    if (
        "/ai-investment-backend" not in repository["spec"]["image"]
        or not repository["spec"]["interval"]
    ):
        yield "image automation looks at another image"
    if policy["spec"]["imageRepositoryRef"]["name"] != repository["metadata"]["name"]:
        yield "the policy is of another repository"
    if policy["spec"]["policy"]["semver"]["range"] != ">=0.1.0":
        yield "the policy takes any tag"
    if policy["spec"]["digestReflectionPolicy"] != "IfNotPresent":
        yield "no digest"
    marker = f'{{"$imagepolicy": "flux-system:{policy["metadata"]["name"]}:'
    place = ROOT / update["spec"]["update"]["path"] / "kustomization.yaml"
    if f'{marker}tag"}}' not in place.read_text() or f'{marker}digest"}}' not in place.read_text():
        yield "nothing is marked to be written"
    git = update["spec"]["git"]
    if git["checkout"]["ref"]["branch"] != "main" or git["push"]["branch"] != "main":
        yield "another branch"
    if not (git["commit"]["author"]["email"] and git["commit"]["author"]["name"]):
        yield "nobody commits"
    if (
        "NewValue" not in git["commit"]["messageTemplate"]
        or update["spec"]["update"]["strategy"] != "Setters"
    ):
        yield "how it commits"
    if update["spec"]["sourceRef"] != {"kind": "GitRepository", "name": "flux-system"}:
        yield "another repository"
    if (
        update["metadata"]["name"] != repository["metadata"]["name"]
        or not update["spec"]["interval"]
    ):
        yield "its name or interval"


def controller_faults(items: list[Object]) -> Iterator[str]:
    releases = {i["metadata"]["name"]: i for i in items if i["kind"] == "HelmRelease"}
    repositories = {i["metadata"]["name"]: i for i in items if i["kind"] == "HelmRepository"}
    namespaces = {i["metadata"]["name"] for i in items if i["kind"] == "Namespace"}
    if releases.keys() != CHARTS.keys() or repositories.keys() != CHARTS.keys():
        yield f"charts {sorted(releases)}"
    for chart, (namespace, version) in CHARTS.items():
        release, repository = releases[chart], repositories[chart]
        spec, wanted = release["spec"], release["spec"]["chart"]["spec"]
        if {release["metadata"]["namespace"], repository["metadata"]["namespace"]} != {namespace}:
            yield f"{chart}: namespace"
        if namespace not in namespaces or (wanted["chart"], wanted["version"]) != (chart, version):
            yield f"{chart}: {wanted}"
        if wanted["sourceRef"] != {"kind": "HelmRepository", "name": chart}:
            yield f"{chart}: from {wanted['sourceRef']}"
        if (
            not repository["spec"]["url"].startswith("https://")
            or repository["spec"]["interval"] != "24h"
        ):
            yield f"{chart}: repository"
        if (spec["interval"], spec["timeout"]) != ("1h", "10m"):
            yield f"{chart}: times"
        if spec["install"] != {"crds": "Create", "remediation": {"retries": 3}}:
            yield f"{chart}: install"
        if spec["upgrade"] != {
            "crds": "CreateReplace",
            "cleanupOnFail": True,
            "remediation": {"retries": 3},
        }:
            yield f"{chart}: upgrade"
    for (chart, path), value in RELIED_ON.items():
        found = releases[chart]
        for part in path.split("."):
            found = found[part]
        if found != value:
            yield f"{chart}: {path} is {found}"


def config_faults(environment_name: str, items: list[Object]) -> Iterator[str]:
    by_kind = {item["kind"]: item for item in items}
    issuer = by_kind["ClusterIssuer"]
    if environment_name == "development":
        if (issuer["metadata"]["name"], issuer["spec"]) != ("selfsigned", {"selfSigned": {}}):
            yield "no certificates"
        return
    acme = issuer["spec"]["acme"]
    staging = "-staging" if environment_name == "staging" else ""
    if (
        acme["server"] != f"https://acme{staging}-v02.api.letsencrypt.org/directory"
        or "@" not in acme["email"]
    ):
        yield f"certificates from {acme}"
    if (
        issuer["metadata"]["name"] != "letsencrypt"
        or acme["privateKeySecretRef"]["name"] != "letsencrypt"
    ):
        yield "issuer"
    if acme["solvers"] != [{"http01": {"ingress": {"ingressClassName": "traefik"}}}]:
        yield "no way to prove the name"
    store = by_kind["ClusterSecretStore"]
    if store["metadata"]["name"] != "ai-investment" or store["spec"]["conditions"] != [
        {"namespaces": [NAMESPACE]}
    ]:
        yield "other namespaces may read secrets"
    aws = store["spec"]["provider"]["aws"]
    account = {"name": "external-secrets", "namespace": "external-secrets"}
    if (
        aws["service"] != "SecretsManager"
        or not aws["region"]
        or aws["auth"]["jwt"]["serviceAccountRef"] != account
    ):
        yield "how the store is reached"


def argo_faults(items: list[Object]) -> Iterator[str]:
    by_kind = {item["kind"]: item for item in items}
    project, applications = by_kind["AppProject"], by_kind["ApplicationSet"]
    for item in items:
        if (item["metadata"]["namespace"], item["metadata"]["name"]) != ("argocd", "ai-investment"):
            yield f"{name(item)}: Argo CD does not see it"
    spec = applications["spec"]
    [generator] = spec["generators"]
    for element in generator["list"]["elements"]:
        if not (GITOPS / "apps" / element["environment"] / "kustomization.yaml").exists():
            yield f"no {element['environment']}"
        if element["revision"] != "main" or not element["cluster"]:
            yield f"{element}"
    if [e["environment"] for e in generator["list"]["elements"]] != list(ENVIRONMENTS):
        yield "environments"
    template = spec["template"]
    source, target = template["spec"]["source"], template["spec"]["destination"]
    if spec["goTemplate"] is not True or spec["goTemplateOptions"] != ["missingkey=error"]:
        yield "a missing value would be an empty one"
    if template["metadata"]["name"] != "ai-investment-{{.environment}}":
        yield "names"
    if (source["path"], source["targetRevision"]) != (
        "gitops/apps/{{.environment}}",
        "{{.revision}}",
    ):
        yield f"source {source}"
    if (
        target != {"name": "{{.cluster}}", "namespace": NAMESPACE}
        or template["spec"]["project"] != "ai-investment"
    ):
        yield f"target {target}"
    if project["spec"]["sourceRepos"] != [source["repoURL"]]:
        yield "the project forbids the source"
    if (
        project["spec"]["destinations"] != [{"name": "*", "namespace": NAMESPACE}]
        or not project["spec"]["description"]
    ):
        yield "the project forbids the target"
    if project["spec"]["clusterResourceWhitelist"] != [{"group": "", "kind": "Namespace"}]:
        yield "the project allows more than its namespace"
    policy = template["spec"]["syncPolicy"]
    if policy["automated"] != {"prune": True, "selfHeal": True}:
        yield f"policy {policy['automated']}"
    if policy["syncOptions"] != ["ServerSideApply=true", "PruneLast=true"]:
        yield f"options {policy['syncOptions']}"
    if policy["retry"] != {
        "limit": 5,
        "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"},
    }:
        yield f"retry {policy['retry']}"
    if template["spec"]["ignoreDifferences"] != [
        {"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}
    ]:
        yield "Argo CD and the autoscalers would fight over replicas"


def faults_of(folder: str, items: list[Object]) -> list[str]:
    kind, _, environment_name = folder.rpartition("/")
    try:
        if kind == "clusters":
            return list(flux_faults(environment_name, items))
        if kind == "infrastructure/configs":
            return list(config_faults(environment_name, items))
        return list(argo_faults(items) if folder == "argocd" else controller_faults(items))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as cause:
        return [f"cannot be read: {cause!r}"]


FOLDERS = [
    *(f"clusters/{name}" for name in ENVIRONMENTS),
    *(f"infrastructure/configs/{name}" for name in ENVIRONMENTS),
    "infrastructure/controllers",
    "argocd",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_controllers_are_told_holds_and_every_field_of_it_is_needed(folder: str) -> None:
    items = objects(GITOPS / folder)
    assert faults_of(folder, items) == []
    survivors = []
    for index, item in enumerate(items):
        for path in paths(item):
            mutant = without(item, path)
            mutated = [*items[:index], mutant, *items[index + 1 :]]
            if not faults_of(folder, mutated) and not schema.problems(mutant):
                survivors.append(
                    "/".join(map(str, (item["kind"], item["metadata"]["name"], *path)))
                )
    assert survivors == []


def test_the_issuer_and_the_store_that_applications_name_exist() -> None:
    for environment_name in ENVIRONMENTS:
        there = {
            (i["kind"], i["metadata"]["name"])
            for i in objects(GITOPS / "infrastructure" / "configs" / environment_name)
        }
        for item in environment(environment_name):
            if item["kind"] == "Ingress":
                issuer = item["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
                assert ("ClusterIssuer", issuer) in there
            if item["kind"] == "ExternalSecret":
                assert ("ClusterSecretStore", item["spec"]["secretStoreRef"]["name"]) in there


def test_blue_green_gives_the_replicas_to_one_owner() -> None:
    items = {
        name(item): item for item in objects(GITOPS / "apps" / "components" / "blue-green-example")
    }
    rollout, scaler = items["Rollout/api"]["spec"], items["HorizontalPodAutoscaler/api"]["spec"]
    assert rollout["workloadRef"] == {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "scaleDown": "onsuccess",
    }  # fmt: skip
    assert scaler["scaleTargetRef"] == {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api",
    }  # fmt: skip
    strategy = rollout["strategy"]["blueGreen"]
    active, preview = (
        items[f"Service/{strategy['activeService']}"],
        items[f"Service/{strategy['previewService']}"],
    )
    assert active["spec"]["selector"] == preview["spec"]["selector"]
    assert strategy["autoPromotionEnabled"] is False
    assert strategy["scaleDownDelaySeconds"] >= 600
    assert not any(fnmatch(key, "Rollout/*") for key in items if key != "Rollout/api")
