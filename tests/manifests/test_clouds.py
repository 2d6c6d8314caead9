"""AWS, Google Cloud and Azure: valid where a validator exists, and in agreement with the product everywhere."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest

from tests.manifests import product
from tests.manifests.clouds import CLOUD, load
from tests.manifests.clouds.aws import aws_faults
from tests.manifests.clouds.azure import azure_faults
from tests.manifests.clouds.google import google_faults
from tests.manifests.mutants import paths, without

AZURE = ("api", *product.WORKERS, "migration", "chroma")


def _file(cloud: str, name: str) -> str:
    return f"{cloud}/{f'worker-{name}' if name in product.WORKERS else name}.yaml"


@pytest.mark.parametrize("cloud", ["azure", "google"])
@pytest.mark.parametrize("name", AZURE)
def test_an_app_agrees_with_the_product_and_every_field_of_it_is_needed(
    cloud: str, name: str
) -> None:
    check = azure_faults if cloud == "azure" else google_faults
    app = load(_file(cloud, name))
    assert list(check(name, app)) == []
    survivors = []
    for path in paths(app):
        try:
            noticed = next(check(name, without(app, path)), None)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            noticed = "cannot be read"
        if noticed is None:
            survivors.append("/".join(map(str, path)))
    assert survivors == []


def test_no_cloud_file_is_left_out() -> None:
    files = {str(path.relative_to(CLOUD)) for path in CLOUD.rglob("*.yaml")}
    assert files == {_file(c, n) for c in ("azure", "google") for n in AZURE} | {
        "aws/stack.yaml",
        "aws/process.yaml",
    }


def test_the_stack_agrees_with_the_product() -> None:
    assert list(aws_faults(load("aws/stack.yaml"), load("aws/process.yaml"))) == []


# What may be taken out of the AWS files without harm, and why.
HARMLESS = {
    "AWSTemplateFormatVersion": "there is one version", "*Description": "for people", "*/Version": "of the language of policies",
    "*/PolicyName": "cfn-lint demands it", "*/ContainerDefinitions/0/Name": "cfn-lint demands it",
    "*/LogGroupName": "a name is made", "Resources/Vault/Properties*": "cfn-lint demands a name",
    "Resources/MetricLogs/*Policy": "these logs are numbers that CloudWatch has already",
    "Resources/DatabaseParameters/Properties/Parameters/log_min_duration_statement": "for who looks for slow statements",
    "Resources/Database/Properties/EnablePerformanceInsights": "for who looks for slow statements",
    "Resources/ErrorsAlarm/Properties/DatapointsToAlarm": "it cries two minutes later",
    "Resources/Late/Properties/OKActions": "nobody hears that it is over",
}  # fmt: skip


def test_whatever_is_taken_out_of_the_aws_files_is_noticed() -> None:
    stack, process = load("aws/stack.yaml"), load("aws/process.yaml")
    mutants = [(path, without(stack, path), process) for path in paths(stack)]
    mutants += [(path, stack, without(process, path)) for path in paths(process)]
    survivors = [
        "/".join(map(str, path)) for path, mutated, beside in mutants if not _noticed(mutated, beside)
    ]  # fmt: skip
    print(f"AWS: {len(mutants)} mutants, {len(survivors)} survive")
    assert len(mutants) > 1200
    assert len(survivors) <= 0.05 * len(mutants)
    assert [s for s in survivors if not any(fnmatch(s, known) for known in HARMLESS)] == []


def _noticed(stack: Any, process: Any) -> bool:
    try:
        return next(aws_faults(stack, process), None) is not None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return True
