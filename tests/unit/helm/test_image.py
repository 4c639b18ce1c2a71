"""The image and the chart that runs it agree on who runs, on which port, and on what goes into the build."""

from __future__ import annotations

import re

from dev.chart import CHART, ROOT
from tests.support.chartfiles import default_values

DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]


def test_the_user_is_a_number_and_the_charts() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", FINAL_STAGE, flags=re.MULTILINE)
    assert f"runAsUser: {user}\n" in (CHART / "templates" / "_helpers.tpl").read_text()


def test_the_numeric_user_has_a_name_in_the_environment() -> None:
    assert re.search(r"^    USER=\w+$", FINAL_STAGE, flags=re.MULTILINE)


def test_the_port_is_the_charts() -> None:
    assert f"\nEXPOSE {default_values()['http']['port']}\n" in FINAL_STAGE


def test_arguments_of_the_container_reach_the_program() -> None:
    assert 'ENTRYPOINT ["python", "-m", "tolstoy_operator"]' in FINAL_STAGE
    assert "CMD" not in FINAL_STAGE


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()
    }
    assert copied == admitted
    assert all((ROOT / source).exists() for source in copied)


def test_the_base_is_pinned_by_its_content_and_told_by_a_label() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", DOCKERFILE, flags=re.MULTILINE)
    assert re.fullmatch(r"python:3\.12\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert 'org.opencontainers.image.base.name="${PYTHON_IMAGE}"' in FINAL_STAGE


def test_a_release_is_built_on_that_base() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert "PYTHON_IMAGE=$" not in workflow
    assert "python:3" not in workflow


def test_everything_that_is_installed_is_pinned_by_hash() -> None:
    fetching = [line for line in DOCKERFILE.splitlines() if "install" in line and "-r " in line]
    assert len(fetching) == 2
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in fetching)
