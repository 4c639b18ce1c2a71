"""Every setting of the operator can be chosen in the chart, and the chart sets nothing that the operator ignores."""

from __future__ import annotations

import pytest

from tests.support.chartfiles import at, default_values, schema_at, settings_table
from tolstoy_operator.settings import Settings

DOWNWARD_API = {"POD_NAME", "POD_NAMESPACE"}
TESTS_ONLY = {"REFRESH_TIME_SCALE"}
"""Settings that make sense to a test and to no installation."""

TABLE = settings_table()
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
NUMBERS = sorted(variable for variable, path in TABLE.items() if schema_at(path).get("type") == "integer")


def test_the_table_has_a_row_for_each_setting_and_no_other() -> None:
    assert set(TABLE) | DOWNWARD_API | TESTS_ONLY == set(FIELDS), (
        "add the setting to _settings.tpl, values.yaml and its schema"
    )


@pytest.mark.parametrize("variable", sorted(TABLE.keys() - {"USE_AWS_SECRETS"}))
def test_the_default_of_a_value_is_the_default_of_its_setting(variable: str) -> None:
    value = at(default_values(), TABLE[variable])
    assert (tuple(value) if isinstance(value, list) else value) == FIELDS[variable].default


def test_no_two_settings_hang_on_one_value() -> None:
    assert len(set(TABLE.values())) == len(TABLE)


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("limit", ["minimum", "maximum"])
def test_what_the_schema_accepts_the_operator_accepts(
    variable: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else the chart installs a pod that refuses to start."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv(variable, str(schema_at(TABLE[variable])[limit]))
    Settings()


def test_log_levels_are_the_same() -> None:
    assert tuple(schema_at(TABLE["LOG_LEVEL"])["enum"]) == FIELDS["LOG_LEVEL"].annotation.__args__  # type: ignore[union-attr]


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_SECRET_NAME", "CLUSTER_ID"])
def test_patterns_are_the_same(variable: str) -> None:
    patterns = [getattr(constraint, "pattern", None) for constraint in FIELDS[variable].metadata]
    assert schema_at(TABLE[variable])["pattern"] in patterns
