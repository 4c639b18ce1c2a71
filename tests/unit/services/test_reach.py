"""What an installation got wrong about token endpoints ends its start, and the message names the setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tolstoy_operator.services.reach import endpoints_of
from tolstoy_operator.settings import SettingsError, load_settings


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def start(**variables: str) -> None:
        for variable, value in {"AWS_REGION": "eu-west-1", **variables}.items():
            monkeypatch.setenv(variable, value)
        endpoints_of(load_settings(), 20.0)

    return start


def test_what_an_organisation_may_add(given: Callable[..., None], tmp_path: Path) -> None:
    given()
    given(
        TOKEN_ENDPOINT_HOSTS="*.example.com,idp.example.org:8443",
        TOKEN_ENDPOINT_NETWORKS="10.20.0.0/16",
        TOKEN_ENDPOINT_ORIGINS="http://127.0.0.1:9000",
        PROVIDERS_DIR=str(tmp_path),
    )


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TOKEN_ENDPOINT_NETWORKS", "10.20.0.0/99", "TOKEN_ENDPOINT_NETWORKS: "),
        ("TOKEN_ENDPOINT_HOSTS", "https://example.com", "TOKEN_ENDPOINT_HOSTS or TOKEN_ENDPOINT_ORIGINS: "),
        ("TOKEN_ENDPOINT_ORIGINS", "example.com", "TOKEN_ENDPOINT_HOSTS or TOKEN_ENDPOINT_ORIGINS: "),
    ],
)
def test_what_cannot_be_meant(given: Callable[..., None], variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        given(**{variable: value})


def test_a_catalogue_entry_that_cannot_be_read(given: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("title: [")
    with pytest.raises(SettingsError, match="PROVIDERS_DIR: "):
        given(PROVIDERS_DIR=str(tmp_path))
