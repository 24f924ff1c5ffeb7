"""Changing sources: what is written, what is refused, and what the supervisor sees."""

from typing import Any

import pytest

from eventhub.brokers.contract import Adapter
from eventhub.sources import changes
from eventhub.sources.changes import ChangeRefused
from eventhub.sources.models import Source
from tests.sample_broker import VALID, sample_kind  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sample_kind")]


@pytest.fixture
def adapter(sample_kind: Adapter[Any]) -> Adapter[Any]:  # noqa: F811
    return sample_kind


def add(adapter: Adapter[Any], *, running: bool = False, **chosen: Any) -> Source:
    return changes.create(
        "sample",
        changes.choices({"name": "shop", **chosen}),
        changes.configuration(adapter, VALID),
        running=running,
    )


def change(adapter: Adapter[Any], source: Source, revision: int = 1, **values: Any) -> Source:
    return changes.update(
        source,
        changes.choices({"name": source.name, **values.pop("choices", {})}),
        changes.configuration(adapter, {"host": "broker.example", **values}, stored=source),
        revision=revision,
        running=False,
    )


def test_a_new_source_runs_only_when_asked_to(adapter: Adapter[Any]) -> None:
    assert add(adapter).desired == "stopped"
    assert add(adapter, name="other", running=True).desired == "running"


def test_secrets_are_kept_apart_and_encrypted(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    source.refresh_from_db()
    assert "password" not in source.config
    assert b"geheim" not in bytes(source.credentials)
    assert source.configuration().password.get_secret_value() == "geheim"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("chosen", "field", "words"),
    [
        ({"name": ""}, "name", "Name"),
        ({"name": "Shop EU"}, "name", "lower-case"),
        ({"name": "x" * 41}, "name", "40"),
        ({"retention_days": "0"}, "retention_days", "“0” is too small: give 1 or more"),
        ({"retention_days": "ten"}, "retention_days", "“ten” is not a whole number"),
        ({"payload_limit_mib": "65"}, "payload_limit_mib", "“65” is too large: give 64"),
        ({"environment": "moon"}, "environment", "“moon” is not offered: choose 'production'"),
        ({"start_from": "earliest"}, "start_from", "cannot start from earliest; choose now"),
        ({"start_time": "soon"}, "start_time", "“soon” is no time: write 2026-01-31T14:00"),
        ({"retention_gib": "nan"}, "retention_gib", "Keep at most"),
    ],
)
def test_a_wrong_choice_names_its_field_its_value_and_the_way_out(
    adapter: Adapter[Any], chosen: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(ChangeRefused) as refusal:
        add(adapter, **chosen)
    assert set(refusal.value.problems) == {field}
    assert words in refusal.value.problems[field]
    assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "host", "Host: is needed."),
        ({"port": "70000"}, "port", "Port: “70000” is too large: give 65535 or less."),
        ({"port": "x"}, "port", "Port: “x” is not a whole number."),
        ({"rate": "fast"}, "rate", "Rate: “fast” is not a number."),
        ({"level": "mid"}, "level", "Level: “mid” is not offered: choose 'low' or 'high'."),
        ({"host": "two names"}, "host", "Host: “two names” has a blank in it: give one name."),
        ({"colour": "red"}, "colour", "colour: is not a setting of this kind; leave it out."),
    ],
)
def test_a_wrong_setting_names_its_field_its_value_and_the_way_out(
    adapter: Adapter[Any], values: dict[str, str], field: str, words: str
) -> None:
    entered = {**({"host": "a"} if values else {}), "password": "x", **values}
    with pytest.raises(ChangeRefused) as refusal:
        changes.configuration(adapter, entered)
    assert refusal.value.problems == {field: words}


def test_a_wrong_secret_is_never_quoted(adapter: Adapter[Any]) -> None:
    with pytest.raises(ChangeRefused) as refusal:
        changes.configuration(adapter, {"host": "a", "password": ["geheim"]})
    assert "geheim" not in str(refusal.value)


def test_the_same_name_twice_is_refused(adapter: Adapter[Any]) -> None:
    add(adapter)
    with pytest.raises(ChangeRefused, match="already a source called shop"):
        add(adapter)


def test_a_start_time_without_a_zone_is_utc(adapter: Adapter[Any]) -> None:
    config = changes.configuration(adapter, {**VALID, "mode": "log"})
    chosen = changes.choices({"name": "a", "start_from": "time", "start_time": "2026-01-31T14:00"})
    assert changes.create("sample", chosen, config, running=False).start_time == 1769868000000


def test_starting_from_a_time_needs_the_time(adapter: Adapter[Any]) -> None:
    config = changes.configuration(adapter, {**VALID, "mode": "log"})
    with pytest.raises(ChangeRefused, match="is needed to start from a time"):
        changes.create(
            "sample", changes.choices({"name": "a", "start_from": "time"}), config, running=False
        )


def test_a_secret_that_is_not_entered_stays(adapter: Adapter[Any]) -> None:
    source = change(adapter, add(adapter), note="changed")
    config = source.configuration()
    assert (config.note, config.password.get_secret_value()) == ("changed", "geheim")  # type: ignore[attr-defined]


def test_a_secret_can_be_forgotten(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    source.configure(changes.configuration(adapter, {**VALID, "token": "t"}))
    config = changes.configuration(adapter, {"host": "broker.example"}, stored=source)
    assert config.token.get_secret_value() == "t"  # type: ignore[attr-defined]
    config = changes.configuration(
        adapter, {"host": "broker.example"}, stored=source, forget={"token"}
    )
    assert config.token is None  # type: ignore[attr-defined]


def test_a_stored_secret_is_not_sent_to_another_address(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    with pytest.raises(ChangeRefused, match="enter it again, because the address has changed"):
        changes.configuration(adapter, {"host": "attacker.example"}, stored=source)
    config = changes.configuration(
        adapter, {"host": "new.example", "password": "another"}, stored=source
    )
    assert config.address() == "new.example:1234"


def test_every_change_raises_the_revision(adapter: Adapter[Any]) -> None:
    source = change(adapter, add(adapter))
    seen = [source.revision]
    for act in (changes.start, changes.stop, lambda each: changes.delete(each, "shop")):
        act(source)
        seen.append(Source.objects.get().revision)
    assert seen == [2, 3, 4, 5]


def test_of_two_forms_opened_at_once_the_second_is_refused(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    change(adapter, source, note="first")
    with pytest.raises(ChangeRefused, match="Somebody else has changed"):
        change(adapter, source, note="second")
    assert Source.objects.get().config["note"] == "first"


def test_editing_leaves_a_running_source_running(adapter: Adapter[Any]) -> None:
    assert change(adapter, add(adapter, running=True)).desired == "running"


def test_a_source_keeps_its_name(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    with pytest.raises(ChangeRefused, match="'shop' stays"):
        change(adapter, source, choices={"name": "other"})


def test_deleting_needs_the_name_typed(adapter: Adapter[Any]) -> None:
    source = add(adapter)
    with pytest.raises(ChangeRefused, match="Type shop"):
        changes.delete(source, "Shop")
    changes.delete(source, "shop")
    assert Source.objects.get().desired == "deleted"


@pytest.mark.parametrize("act", [changes.start, changes.stop])
def test_what_is_being_removed_cannot_be_changed(adapter: Adapter[Any], act: Any) -> None:
    source = add(adapter)
    changes.delete(source, "shop")
    with pytest.raises(ChangeRefused, match="being removed"):
        act(source)
    with pytest.raises(ChangeRefused, match="being removed"):
        change(adapter, source, revision=2)
