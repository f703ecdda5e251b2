"""What there is in `deploy/` for machines that run containers or systemd, as it is read by tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
CONTAINERFILE = DEPLOY / "Containerfile"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
VARIABLE = re.compile(r"\$\{(\w+):[-?]([^}]*)\}")

Document: TypeAlias = dict[str, Any]


@cache
def compose() -> Document:
    """The compose file, its anchors and `<<` resolved."""
    document: Document = yaml.safe_load(COMPOSE.read_text())
    return document


@cache
def objects() -> list[Document]:
    """All that is to be applied to a Kubernetes cluster."""
    found = [one for file in KUBERNETES if file.name != "kustomization.yaml" for one in yaml.safe_load_all(file.read_text())]
    assert len(found) > 10
    return found


def object_of(kind: str, name: str) -> Document:
    [found] = [one for one in objects() if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pod_templates() -> Iterator[tuple[str, Document]]:
    """The pods of everything that makes pods, by the name of what makes them."""
    for one in objects():
        spec, name = one.get("spec", {}), f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] in ("StatefulSet", "Deployment", "Job"):
            yield name, spec["template"]
        elif one["kind"] == "RayCluster":
            for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
                yield f"{name} {group.get('groupName', 'head')}", group["template"]


def containers() -> Iterator[tuple[str, Document, Document]]:
    """Each container, with its name and its pod."""
    for name, template in pod_templates():
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            yield f"{name}: {container['name']}", container, template["spec"]


def unit(file: Path) -> dict[str, list[str]]:
    """The settings of a unit, which may stand there more than once."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found
