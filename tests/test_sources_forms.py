"""From a pydantic model to a form and back: every kind of field."""

import json
from datetime import datetime, timedelta, timezone
from typing import Literal

from django.http import QueryDict
from pydantic import Field

from dashboard.forms import fields, forgotten, read
from eventhub.brokers.config import BrokerConfig
from eventhub.sources.choices import Choices
from tests.sample_broker import SampleConfig

HOUR = timedelta(hours=1)

ENTERED = (
    "host=+broker.example+&port=99&rate=2.5&level=high&password=+geheim+&note=hello"
    "&topics=orders%0D%0A%0D%0A+stock+&queues=&mode=log&unknown=1"
)


def test_each_annotation_has_its_kind() -> None:
    kinds = {name: field.kind for name, field in fields(SampleConfig).items()}
    assert kinds == {
        "host": "text",
        "port": "number",
        "rate": "number",
        "tls": "yes_no",
        "level": "choice",
        "password": "secret",
        "token": "secret",
        "note": "text",
        "topics": "list",
        "queues": "list",
        "mode": "choice",
    }


def test_a_new_form_shows_defaults_titles_and_examples() -> None:
    drawn = fields(SampleConfig)
    assert (drawn["port"].value, drawn["rate"].value, drawn["tls"].value) == ("1234", "1.5", True)
    assert (drawn["host"].title, drawn["host"].example) == ("Host", "broker.example")
    assert drawn["topics"].example == "orders\nstock"
    assert drawn["level"].choices == ("low", "high")
    assert [name for name, field in drawn.items() if field.required] == ["host", "password"]


def test_what_is_entered_becomes_the_configuration() -> None:
    config = SampleConfig.model_validate(read(SampleConfig, QueryDict(ENTERED)))
    plain, secrets = config.split()
    assert secrets == {"password": " geheim "}
    assert plain["host"] == "broker.example"
    assert (plain["port"], plain["rate"], plain["tls"]) == (99, 2.5, False)
    assert (plain["topics"], plain["queues"]) == (["orders", "stock"], [])
    assert (plain["level"], plain["note"], plain["mode"]) == ("high", "hello", "log")


def test_a_stored_configuration_comes_back_unchanged() -> None:
    config = SampleConfig.model_validate(read(SampleConfig, QueryDict(ENTERED)))
    plain, secrets = config.split()
    form = QueryDict(mutable=True)
    for name, field in fields(SampleConfig, plain, stored=secrets).items():
        if field.kind == "yes_no" and not field.value:
            continue
        form[name] = field.value if field.value is not None else ""
    again = SampleConfig.join(read(SampleConfig, form), secrets)
    assert again.split()[0] == plain


def test_a_blank_field_takes_its_default_and_a_blank_secret_is_left_out() -> None:
    assert read(SampleConfig, QueryDict("host=&port=&password=&tls=on")) == {
        "tls": True,
        "topics": [],
        "queues": [],
    }


def test_a_secret_is_never_drawn() -> None:
    drawn = fields(SampleConfig, {"password": "geheim"}, stored={"password"})["password"]
    assert "geheim" not in repr(drawn)
    assert drawn.stored
    assert not drawn.required


def test_a_time_is_drawn_as_utc() -> None:
    drawn = fields(Choices, {"start_time": datetime(2026, 1, 31, 15, tzinfo=timezone(HOUR))})
    assert (drawn["start_time"].kind, drawn["start_time"].value) == ("time", "2026-01-31T14:00")


def test_a_problem_stands_at_its_field() -> None:
    drawn = fields(SampleConfig, {"port": "x"}, {"port": "Port: “x” is not a whole number."})
    assert (drawn["port"].value, drawn["port"].error) == ("x", "Port: “x” is not a whole number.")
    assert drawn["host"].error == ""


def test_a_secret_is_forgotten_only_when_asked() -> None:
    assert forgotten(SampleConfig, QueryDict("forget-token=on&forget-other=on")) == {"token"}


def test_a_field_tells_with_which_choices_it_means_something() -> None:
    class Config(BrokerConfig):
        mode: Literal["tap", "browse"] = Field(default="tap")
        seconds: int = Field(default=5, json_schema_extra={"when": {"mode": ["browse"]}})

    found = fields(Config)
    assert found["mode"].when == ""
    assert json.loads(found["seconds"].when) == {"mode": ["browse"]}
    assert found["seconds"].applies({"mode": "browse"})
    assert not found["seconds"].applies({"mode": "tap"})
    assert found["mode"].applies({})
