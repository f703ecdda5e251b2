"""What `deploy/` has for containers, Kubernetes and systemd is valid by its schemas, and fits the program that it runs."""

from __future__ import annotations

import importlib.resources
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from service.cli import parser
from service.config import STORAGE_URL, Config
from service.home_key import VARIABLE as ADMIN_KEY
from tests.deploy.manifests import (
    COMPOSE,
    CONTAINERFILE,
    DEPLOY,
    KUBERNETES,
    UNITS,
    VARIABLE,
    Document,
    compose,
    containers,
    object_of,
    objects,
    pod_templates,
    unit,
)

VERSION = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
SERVICES = compose()["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("ratchet:")}
PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?")  # an exact version, and what it is built for
NEWEST_KUBERNETES, OLDEST_KUBERNETES = "1.37", "1.34"
RAY_CLUSTER = {  # fields of ray.io/v1, KubeRay 1.7, by where they are
    "spec": {
        "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
        "headServiceAnnotations", "historyServerOptions", "managedBy", "networkPolicy", "rayVersion", "suspend", "tlsOptions",
        "upgradeStrategy", "workerGroupSpecs",
    },
    "head": {
        "enableIngress", "headService", "ingressOptions", "labels", "rayStartParams", "resources", "serviceType", "template",
    },
    "worker": {
        "groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "priority", "rayStartParams",
        "replicas", "resources", "scaleStrategy", "suspend", "template",
    },
}  # fmt: skip


def parsed(arguments: list[str]) -> Any:
    """What a container's or unit's `ratchet` makes of its arguments; the test fails where they are misuse."""
    return parser().parse_args(arguments)


def settings(text: str) -> Config:
    return msgspec.toml.decode(text, type=Config)


# What is written is what its readers expect.


def test_compose_is_valid_by_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    known = msgspec.json.decode(schema.read_bytes())
    validator = jsonschema.validators.validator_for(known)(known)
    assert [error.message for error in validator.iter_errors(compose())] == []
    assert [*validator.iter_errors({"services": {"one": {"imagee": "x"}}})] != []  # it does look


@pytest.mark.parametrize("version", [NEWEST_KUBERNETES, OLDEST_KUBERNETES])
def test_kubernetes_objects_are_valid_by_their_schemas(version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for one in objects():
        if one["kind"] != "RayCluster":
            kubernetes_validate.validate(one, version, strict=True)
    for name, template in pod_templates():
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "one"}}
        kubernetes_validate.validate(pod, version, strict=True), name


def test_the_ray_cluster_has_the_fields_of_its_kind() -> None:
    cluster = object_of("RayCluster", "ratchet-ray")
    assert (cluster["apiVersion"], set(cluster)) == ("ray.io/v1", {"apiVersion", "kind", "metadata", "spec"})
    spec = cluster["spec"]
    assert set(spec) <= RAY_CLUSTER["spec"] and set(spec["headGroupSpec"]) <= RAY_CLUSTER["head"]
    for group in spec["workerGroupSpecs"]:
        assert {"groupName", "minReplicas", "maxReplicas", "template"} <= set(group) <= RAY_CLUSTER["worker"]
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())  # numbers are refused there


def test_the_kustomizations_name_what_is_there() -> None:
    plain = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())
    files = {file.name for file in KUBERNETES}
    assert set(plain["resources"]) == files - {"kustomization.yaml", "secret.yaml"}
    on_gpus = yaml.safe_load((DEPLOY / "kubernetes/gpu/kustomization.yaml").read_text())
    for patch in on_gpus["patches"]:
        for change in yaml.safe_load(patch["patch"]):
            place: Any = object_of(patch["target"]["kind"], patch["target"]["name"])
            for part in change["path"].split("/")[1:-1]:
                place = place[int(part)] if isinstance(place, list) else place[part]
            assert isinstance(place, dict)


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_that_it_could_do(file: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    program = tmp_path / "ratchet"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / file.name
    copy.write_text(file.read_text().replace("/opt/ratchet/.venv/bin/ratchet", str(program)).replace("User=ratchet", "User=root"))
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60)
    about = [line for line in (told.stdout + told.stderr).splitlines() if file.name in line]
    assert (told.returncode, about) == (0, [])
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert exposed.returncode == 0, exposed.stdout[-2000:]  # 3.0 of 10, where 0 is a unit that can do nothing


# What is run is there.


def test_every_command_is_one_that_ratchet_has() -> None:
    for name, one in OURS.items():
        parsed(one["command"]), name
    for name, container, _ in containers():
        if "args" in container:
            parsed(container["args"]), name
        probes = [probe.get("exec") for key, probe in container.items() if key.endswith("Probe")]
        for probe in filter(None, probes):
            assert probe["command"][0] == "ratchet"
            parsed(probe["command"][1:])
    for one in OURS.values():
        match one["healthcheck"]["test"]:
            case ["CMD", "ratchet", *arguments]:
                parsed(arguments)
    for file in UNITS:
        for line in unit(file)["ExecStart"]:
            program, *arguments = line.split()
            assert program == "/opt/ratchet/.venv/bin/ratchet"
            parsed(arguments)
    assert re.findall(r"^(?:CMD|ENTRYPOINT) .*$", CONTAINERFILE.read_text(), re.M) == ['ENTRYPOINT ["ratchet"]', 'CMD ["up"]']


def test_every_setting_is_one_that_ratchet_knows() -> None:
    inside = settings(compose()["configs"]["ratchet"]["content"])
    cluster = settings(object_of("ConfigMap", "ratchet")["data"]["ratchet.toml"])
    for config in (inside, cluster):
        assert config.engine.urls and config.storage.artifacts and config.storage.url is None
        assert config.auth.mode == "keys"
    with pytest.raises(msgspec.ValidationError, match="urlz"):
        settings('[engine]\nurlz = ["http://engine:8001"]')
    assert cluster.learner.jobs.runner == "ray"


def test_what_the_build_copies_and_what_is_mounted_is_in_the_repository() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE.read_text(), re.M):
        assert all((DEPLOY.parent / name).exists() for name in line.split())
    for one in OURS.values():
        build = one["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == CONTAINERFILE
        assert f" AS {build['target']}\n" in CONTAINERFILE.read_text()
    watched = {"prometheus/alerts.yml", "grafana/ratchet.json"}
    mounted = {
        mount.split(":")[0].removeprefix("./") for one in SERVICES.values() for mount in one.get("volumes", ()) if "./" in mount
    }
    assert mounted == watched and all((DEPLOY / path).is_file() for path in watched)


def test_every_name_within_compose_is_there() -> None:
    for one in SERVICES.values():
        for kind in ("volumes", "networks", "configs"):
            named = [thing if isinstance(thing, str) else thing["source"] for thing in one.get(kind, ())]
            assert {name.split(":")[0] for name in named if not name.startswith("./")} <= set(compose()[kind])
        assert set(one.get("depends_on", ())) <= set(SERVICES)


def test_every_name_within_kubernetes_is_there() -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects()}
    for name, container, pod in containers():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes), name
        for volume in volumes.values():
            match volume:
                case {"configMap": {"name": named}}:
                    assert ("ConfigMap", named) in there
                case {"persistentVolumeClaim": {"claimName": named}}:
                    assert ("PersistentVolumeClaim", named) in there
    secret = object_of("Secret", "ratchet")["stringData"]
    assert {STORAGE_URL, ADMIN_KEY} <= set(secret) & set(SERVICES["service-cpu"]["environment"])
    for _, container, _ in containers():
        for variable in container.get("env", ()):
            match variable:
                case {"valueFrom": {"secretKeyRef": {"name": named, "key": key}}}:
                    assert named == "ratchet" and key in secret


# Ports and places agree.


def test_ports_agree_within_compose() -> None:
    config = settings(compose()["configs"]["ratchet"]["content"])
    [engine] = {urlsplit(url) for url in config.engine.urls}
    for name in ("cpu", "gpu"):
        service, run = SERVICES[f"service-{name}"], SERVICES[f"engine-{name}"]
        assert run["networks"]["inner"]["aliases"] == [engine.hostname]
        assert parsed(run["command"]).port == engine.port == parsed(run["healthcheck"]["test"][2:]).port
        assert service["ports"] == [f"127.0.0.1:{config.server.port}:{config.server.port}"]
        assert f":{config.server.port}/health/ready" in service["healthcheck"]["test"][-1]
        store = urlsplit(service["environment"]["AWS_ENDPOINT_URL"])
        assert store.hostname in SERVICES and f"-s3.port={store.port}" in SERVICES[store.hostname]["command"]
        database = urlsplit(VARIABLE.sub("secret", service["environment"][STORAGE_URL]))
        assert database.hostname in SERVICES and database.username == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
        assert database.path == f"/{SERVICES['postgres']['environment']['POSTGRES_DB']}"


def test_prometheus_within_compose_looks_at_service_and_engine_by_the_same_alerts() -> None:
    config = settings(compose()["configs"]["ratchet"]["content"])
    watching = yaml.safe_load(compose()["configs"]["prometheus"]["content"])
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in watching["scrape_configs"]}
    assert targets == {"ratchet": [f"service:{config.server.port}"], "engine": [urlsplit(config.engine.urls[0]).netloc]}
    there = [mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]]
    there += [one["target"] for one in SERVICES["prometheus"]["configs"]]
    assert {f"/etc/prometheus/{file}" for file in watching["rule_files"]} <= set(there)
    assert watching["scrape_configs"][0]["authorization"]["credentials_file"] in there


def test_ports_agree_within_kubernetes() -> None:
    config = settings(object_of("ConfigMap", "ratchet")["data"]["ratchet.toml"])
    engines = object_of("StatefulSet", "ratchet-engine")["spec"]
    [container] = engines["template"]["spec"]["containers"]
    listening = parsed(container["args"]).port
    assert container["ports"] == [{"name": "engine", "containerPort": listening}]
    assert parsed(container["livenessProbe"]["exec"]["command"][1:]).port == listening
    expected = [f"http://ratchet-engine-{number}.{engines['serviceName']}:{listening}" for number in range(engines["replicas"])]
    assert [*config.engine.urls] == expected
    [service] = object_of("StatefulSet", "ratchet")["spec"]["template"]["spec"]["containers"]
    assert service["ports"] == [{"name": "http", "containerPort": config.server.port}]
    policy = object_of("NetworkPolicy", "ratchet-service")["spec"]["ingress"]
    assert policy == [{"ports": [{"protocol": "TCP", "port": config.server.port}]}]
    [head] = object_of("RayCluster", "ratchet-ray")["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    ray = urlsplit(config.learner.jobs.ray_address)
    assert {"name": "client", "containerPort": ray.port} in head["ports"]
    assert ray.hostname == "ratchet-ray-head-svc"  # as KubeRay names the service of a cluster "ratchet-ray"


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "StatefulSet"])
def test_every_selector_selects_some_pods(kind: str) -> None:
    labels = [template["metadata"]["labels"] for _, template in pod_templates()]
    for one in objects():
        if one["kind"] == kind:
            spec = one["spec"]
            wanted = spec["podSelector" if kind == "NetworkPolicy" else "selector"]
            wanted = wanted.get("matchLabels", wanted)
            assert any(wanted.items() <= pod.items() for pod in labels), one["metadata"]["name"]


def test_engines_read_adapters_at_the_paths_by_which_services_name_them() -> None:
    for name in ("cpu", "gpu"):
        place = parsed(SERVICES[f"service-{name}"]["command"]).home
        assert SERVICES[f"service-{name}"]["volumes"] == [f"home:{place}"]
        assert SERVICES[f"engine-{name}"]["volumes"] == [f"home:{place}:ro"]
    mounts = {}
    for name, container, _ in containers():
        mounts[name] = {mount["name"]: mount for mount in container["volumeMounts"]}
    service, engine = mounts["StatefulSet ratchet: service"]["homes"], mounts["StatefulSet ratchet-engine: engine"]["homes"]
    assert service["mountPath"] == engine["mountPath"] and engine["readOnly"]


# Nothing is open, and nothing changes by itself.


def test_nobody_outside_reaches_an_engine_a_database_or_a_store() -> None:
    assert compose()["networks"]["inner"] == {"internal": True}
    for name in ("engine-cpu", "engine-gpu", "postgres", "store"):
        assert set(SERVICES[name]["networks"]) == {"inner"} and "ports" not in SERVICES[name], name
    for one in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))
    policies = {one["metadata"]["name"]: one["spec"] for one in objects() if one["kind"] == "NetworkPolicy"}
    assert policies["ratchet-closed"] == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "ratchet"}},
        "policyTypes": ["Ingress"],
    }
    [rule] = policies["ratchet-engine"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "ratchet"}}}]
    assert all(one["spec"].get("type", "ClusterIP") == "ClusterIP" for one in objects() if one["kind"] == "Service")
    assert "--host 127.0.0.1" in unit(DEPLOY / "systemd/ratchet-engine.service")["ExecStart"][0]


def test_every_image_is_an_exact_version_and_ours_is_this_one() -> None:
    named = [one["image"] for one in SERVICES.values()] + [container["image"] for _, container, _ in containers()]
    named += re.findall(r"^FROM (\S+[:/]\S+)", CONTAINERFILE.read_text(), re.M)
    for image in named:
        assert PINNED.fullmatch(image), image
        if image.startswith("ratchet:"):
            assert image.startswith(f"ratchet:{VERSION}-")
    tags = [one["newTag"] for path in ("", "gpu/") for one in _kustomized(path)["images"]]
    assert tags == [f"{VERSION}-cpu", f"{VERSION}-gpu"]
    assert re.findall(r"-t ratchet:(\S+)", CONTAINERFILE.read_text()) == tags


def _kustomized(path: str) -> Document:
    found: Document = yaml.safe_load((DEPLOY / "kubernetes" / path / "kustomization.yaml").read_text())
    return found


def test_ray_in_the_cluster_is_the_version_that_the_image_has() -> None:
    [locked] = set(re.findall(r"^ray==(\S+)", (DEPLOY / "requirements.lock").read_text(), re.M))
    assert object_of("RayCluster", "ratchet-ray")["spec"]["rayVersion"] == locked


def test_containers_have_no_more_rights_than_they_need() -> None:
    for name, one in OURS.items():
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"], name
    assert "\nUSER 10001:10001\nENTRYPOINT" in CONTAINERFILE.read_text()
    for name, container, pod in containers():
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert "memory" in container["resources"]["limits"], name


def test_everything_says_how_it_is() -> None:
    assert [name for name, one in SERVICES.items() if "healthcheck" not in one] == []
    for name in ("ratchet", "ratchet-engine"):
        [container] = object_of("StatefulSet", name)["spec"]["template"]["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_no_secret_is_written_down() -> None:
    for ignoring in (".dockerignore", ".gitignore"):
        assert "deploy/.env" in (DEPLOY.parent / ignoring).read_text().splitlines()
    for variable, told in VARIABLE.findall(COMPOSE.read_text()):
        assert told == "set it in deploy/.env" or variable.endswith("_GPU")
    secret = object_of("Secret", "ratchet")["stringData"]
    assert all("CHANGE-ME" in secret[name] for name in (STORAGE_URL, ADMIN_KEY, "AWS_SECRET_ACCESS_KEY"))


def test_who_ends_a_service_waits_longer_than_it_takes() -> None:
    inside = settings(compose()["configs"]["ratchet"]["content"]).server.shutdown_s
    assert int(SERVICES["service-cpu"]["stop_grace_period"].removesuffix("s")) > inside
    cluster = settings(object_of("ConfigMap", "ratchet")["data"]["ratchet.toml"]).server.shutdown_s
    assert object_of("StatefulSet", "ratchet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > cluster
    assert int(unit(DEPLOY / "systemd/ratchet.service")["TimeoutStopSec"][0]) > Config().server.shutdown_s
