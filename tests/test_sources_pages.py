"""The Sources page as an admin and as others see it."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from eventhub.accounts.roles import Role, give_role
from eventhub.sources.models import CollectorStatus, Source
from tests.sample_broker import VALID, SampleConfig, sample_kind  # noqa: F401

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.usefixtures("sample_kind"),
]

FORM = {**VALID, "name": "shop", "start_from": "now", "mode": "tap", "tls": "on"}


def person(role: Role) -> User:
    user = User.objects.create_user(role.group)
    give_role(user, role)
    return user


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(person(Role.ADMIN))
    return client


def make(name: str = "shop", shares: int = 1, **values: Any) -> Source:
    source = Source(name=name, kind="sample", **values)
    source.configure(SampleConfig.model_validate(VALID))
    source.shares = shares
    source.save()
    return source


def tell(source: Source, state: str, **values: Any) -> None:
    now = timezone.now()
    CollectorStatus.objects.create(
        source=source, state=state, **{"since": now, "heartbeat": now, **values}
    )


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


class TestList:
    def test_an_empty_one_says_what_to_do_next(self, admin: Client) -> None:
        page = admin.get(reverse("sources"))
        assert "Connect your first broker" in text(page)
        assert reverse("source-add") in page.content.decode()

    def test_a_viewer_of_an_empty_one_is_told_who_can_add(self, client: Client) -> None:
        client.force_login(person(Role.VIEWER))
        page = client.get(reverse("sources"))
        assert "An admin can add one here" in text(page)
        assert reverse("source-add") not in page.content.decode()

    def test_each_state_has_its_words(self, admin: Client) -> None:
        now = timezone.now()
        tell(make("a", desired="running"), "up")
        tell(
            make("b", desired="running"),
            "not connected",
            reason="connection refused",
            retry_at=now + timedelta(seconds=22.5),
            since=now - timedelta(minutes=6),
        )
        tell(make("c", desired="running"), "failed", reason="wrong vhost", way_out="Create it.")
        tell(make("d", desired="running"), "up", heartbeat=now - timedelta(minutes=1))
        make("e", desired="stopped")
        shown = text(admin.get(reverse("sources-rows")))
        assert "not connected 6" in shown
        assert "Retry in 22" in shown
        assert "Connection refused." in shown
        assert "Wrong vhost. Create it." in shown
        assert "does not answer" in shown
        assert "stopped" in shown

    @pytest.mark.parametrize(
        ("others", "word", "reason", "rate"),
        [
            ({1: "up", 2: "up"}, "up", "", "7.0"),
            ({1: "not connected", 2: "up"}, "not connected", "1 of 3 collectors: Gone.", "4.8"),
            ({1: "not connected", 2: "not connected"}, "not connected", "2 of 3 coll", "2.5"),
            ({1: "up"}, "no collector", "1 of 3 collectors: no collector has", "4.8"),
            ({1: "up", 2: "silent"}, "no heartbeat", "1 of 3 collectors: its coll", "4.8"),
            ({1: "up", 2: "up", 3: "failed"}, "up", "", "7.0"),
        ],
    )
    def test_a_source_of_several_collectors_is_one_row_with_the_worst_of_them(
        self, admin: Client, others: dict[int, str], word: str, reason: str, rate: str
    ) -> None:
        """The fourth is left over from when there were more."""
        source = make("a", shares=3, desired="running")
        past = timezone.now() - timedelta(minutes=6)
        tell(source, "up", rate=2.5)
        for share, state in others.items():
            values: dict[str, Any] = {"share": share, "rate": 2.25}
            if state == "not connected":
                values |= {"reason": "Gone", "since": past}
            if state == "silent":
                values |= {"heartbeat": past}
            tell(source, "up" if state == "silent" else state, **values)
        page = admin.get(reverse("sources-rows"))
        [row] = page.context["rows"]
        assert row.condition.word == word
        assert row.reason.startswith(reason)
        assert f"{word} {rate}" in text(page).replace(" 6 min", "")
        assert reason in text(page)

    def test_the_frame_counts_a_source_as_up_when_all_its_collectors_are(
        self, admin: Client
    ) -> None:
        source = make("a", desired="running", shares=2)
        tell(source, "up")
        assert "0 of 1 sources up" in text(admin.get(reverse("sources")))
        tell(source, "up", share=1)
        assert "1 of 1 sources up" in text(admin.get(reverse("sources")))

    def test_what_needs_a_person_comes_first(self, admin: Client) -> None:
        tell(make("a", desired="running"), "up")
        make("b", desired="stopped")
        tell(make("c", desired="running"), "failed")
        rows = admin.get(reverse("sources-rows")).context["rows"]
        assert [row.source.name for row in rows] == ["c", "a", "b"]

    def test_rows_under_the_pointer_keep_their_order(self, admin: Client) -> None:
        tell(make("a", desired="running"), "up")
        tell(make("c", desired="running"), "failed")
        make("new", desired="stopped")
        rows = admin.get(reverse("sources-rows"), {"keep": "a,gone,c"}).context["rows"]
        assert [row.source.name for row in rows] == ["a", "c", "new"]

    @pytest.mark.parametrize(
        ("q", "names"), [("sho", ["shop"]), ("SAMPLE stag", ["ticks"]), ("broker.example:12", None)]
    )
    def test_the_filter_finds_name_kind_environment_and_address(
        self, admin: Client, q: str, names: list[str] | None
    ) -> None:
        make("shop")
        make("ticks", environment="staging")
        rows = admin.get(reverse("sources"), {"q": q}).context["rows"]
        assert [row.source.name for row in rows] == (names or ["shop", "ticks"])

    def test_a_filter_without_a_match_leads_back(self, admin: Client) -> None:
        make("shop")
        page = admin.get(reverse("sources"), {"q": "<b>"})
        assert "No source matches “&lt;b&gt;”" in page.content.decode()
        assert "Show all 1" in text(page)

    @pytest.mark.parametrize("number", [1, 30])
    def test_it_takes_the_same_few_queries_for_any_number_of_sources(
        self, admin: Client, number: int, django_assert_num_queries: Any
    ) -> None:
        for n in range(number):
            source = make(f"s{n:02}", desired="running", shares=2)
            for share in range(2):
                tell(source, "up", share=share)
        # Session, user, groups, sources, what their collectors say.
        with django_assert_num_queries(5):
            admin.get(reverse("sources-rows"))

    def test_a_kind_that_is_not_installed_does_not_break_the_page(self, admin: Client) -> None:
        Source.objects.create(name="old", kind="no_such_kind", config={"host": "x"})
        assert "kind not installed" in text(admin.get(reverse("sources")))
        assert admin.get(reverse("source", args=["old"])).status_code == 200


class TestAdding:
    def test_every_kind_is_offered_with_its_read_safety(self, admin: Client) -> None:
        shown = text(admin.get(reverse("source-add")))
        assert "Sample broker" in shown
        assert "adds a bounded queue" in shown

    def test_the_form_tells_what_each_mode_does_and_cannot_see(self, admin: Client) -> None:
        shown = text(admin.get(reverse("source-add-kind", args=["sample"])))
        for words in (
            "Adds a queue of 10 messages.",
            "What an overflow dropped.",
            "Reads the log.",
        ):
            assert words in shown
        assert "the earliest kept: not offered. This way gets a message only when" in shown

    def test_without_a_source_nothing_refers_to_the_filter(self, admin: Client) -> None:
        page = admin.get(reverse("source-add")).content
        assert b'id="q"' not in page
        assert b'"#q"' not in page

    def test_saving_does_not_start(self, admin: Client) -> None:
        answer = admin.post(reverse("source-add-kind", args=["sample"]), {**FORM, "act": "save"})
        assert answer["Location"] == reverse("source", args=["shop"])
        assert Source.objects.get().desired == "stopped"

    def test_starting_starts(self, admin: Client) -> None:
        admin.post(reverse("source-add-kind", args=["sample"]), {**FORM, "act": "start"})
        assert Source.objects.get().desired == "running"

    def test_all_problems_are_named_at_once_and_what_was_entered_stays(self, admin: Client) -> None:
        answer = admin.post(
            reverse("source-add-kind", args=["sample"]),
            {**FORM, "name": "Bad Name", "port": "x<y", "retention_days": "0", "password": "s3cr"},
        )
        assert answer.status_code == 422
        html = answer.content.decode()
        assert "Port: “x&lt;y” is not a whole number." in html
        assert "Keep for (days): “0” is too small" in html
        assert "Name: Use lower-case letters" in html
        assert 'value="Bad Name"' in html
        assert "s3cr" not in html
        assert not Source.objects.exists()

    def test_an_unknown_kind_is_not_found(self, admin: Client) -> None:
        assert admin.get(reverse("source-add-kind", args=["nothing"])).status_code == 404


class TestDetail:
    def test_no_page_shows_a_secret(self, admin: Client) -> None:
        make()
        for name in ("source", "source-edit"):
            html = admin.get(reverse(name, args=["shop"])).content.decode()
            assert "geheim" not in html
        assert "kept encrypted" in text(admin.get(reverse("source", args=["shop"])))

    def test_editing_with_a_blank_password_keeps_it(self, admin: Client) -> None:
        make()
        answer = admin.post(
            reverse("source-edit", args=["shop"]),
            {**FORM, "password": "", "note": "new", "revision": "1", "act": "save"},
        )
        assert answer.status_code == 302
        config = Source.objects.get().configuration()
        assert config.note == "new"  # type: ignore[attr-defined]
        assert config.password.get_secret_value() == "geheim"  # type: ignore[attr-defined]

    def test_removing_asks_for_the_name(self, admin: Client) -> None:
        make()
        wrong = admin.post(reverse("source-delete", args=["shop"]), {"typed": "sho"})
        assert wrong.status_code == 422
        assert Source.objects.get().desired == "stopped"
        admin.post(reverse("source-delete", args=["shop"]), {"typed": "shop"})
        assert Source.objects.get().desired == "deleted"

    def test_starting_and_stopping(self, admin: Client) -> None:
        make()
        admin.post(reverse("source-start", args=["shop"]))
        assert Source.objects.get().desired == "running"
        admin.post(reverse("source-stop", args=["shop"]))
        assert (Source.objects.get().desired, Source.objects.get().revision) == ("stopped", 3)


class TestBroker:
    def check(self, user: User, **values: str) -> list[str]:
        async def ask() -> list[str]:
            client = AsyncClient()
            await client.aforce_login(user)
            answer: Any = await client.post(
                reverse("source-check", args=["sample"]), {**FORM, **values}
            )
            return [part.decode() async for part in answer.streaming_content]

        return asyncio.run(ask())

    @pytest.mark.django_db(databases="__all__", transaction=True)
    def test_each_step_comes_by_itself_with_words_way_out_and_time(self) -> None:
        admin = person(Role.ADMIN)
        steps = self.check(admin)
        assert len(steps) == 3
        assert "10.0.0.1" in steps[0]
        assert re.search(r"\b4\sms", steps[0])
        assert "st warn" in steps[2]
        assert "Grant monitoring." in steps[2]
        failed = self.check(admin, password="wrong")
        assert "Wrong password." in failed[-1]
        assert "Enter another." in failed[-1]
        invalid = self.check(admin, port="x")
        assert "Port: “x” is not a whole number." in invalid[0]

    def test_what_is_found_can_be_picked_for_the_field_that_takes_it(self, admin: Client) -> None:
        html = admin.post(reverse("source-discover", args=["sample"]), FORM).content.decode()
        topics, queues = html.split('data-fills="field-queues"')
        assert 'data-fills="field-topics"' in topics
        assert 'value="orders"' in topics
        assert "&lt;b&gt;bold" in topics
        assert 'value="work"' in queues

    def test_a_broker_that_is_away_says_so_with_the_way_out(self, admin: Client) -> None:
        answer = admin.post(
            reverse("source-discover", args=["sample"]), {**FORM, "host": "away.example"}
        )
        assert "Nobody is there. Start the broker." in text(answer)

    def test_a_stored_password_is_used_for_its_own_address_only(self, admin: Client) -> None:
        make()
        form = {**FORM, "password": "", "stored": "shop"}
        assert "orders" in text(admin.post(reverse("source-discover", args=["sample"]), form))
        elsewhere = admin.post(
            reverse("source-discover", args=["sample"]), {**form, "host": "attacker.example"}
        )
        assert "enter it again" in text(elsewhere)

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("orders", "Confirmed. 12 bytes taken."),
            ("closed", "Refused. The topic closed is closed."),
            ("slow", "Unknown. No answer came in time."),
            ("lost", "Unknown. The connection was lost."),
            ("", "Refused. A target is needed."),
        ],
    )
    def test_a_test_message_shows_the_broker_s_word(
        self, admin: Client, target: str, words: str
    ) -> None:
        make()
        answer = admin.post(
            reverse("source-test-message", args=["shop"]),
            {"target": target, "payload": "test12345678", "token": "test12345678"},
        )
        assert words in text(answer)
        linked = "q=source%3Ashop+%22test12345678%22" in answer.content.decode()
        assert linked is not words.startswith("Refused")


class TestPermissions:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.REVEALER, Role.OPERATOR, Role.EDITOR])
    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("source-add", []),
            ("source-add-kind", ["sample"]),
            ("source-check", ["sample"]),
            ("source-discover", ["sample"]),
            ("source-edit", ["shop"]),
            ("source-start", ["shop"]),
            ("source-stop", ["shop"]),
            ("source-delete", ["shop"]),
        ],
    )
    def test_only_an_admin_configures(
        self, client: Client, role: Role, name: str, args: list[str]
    ) -> None:
        make()
        client.force_login(person(role))
        answer = client.post(reverse(name, args=args), {**FORM, "typed": "shop"})
        assert answer.status_code == 403
        assert f"needs the role admin (configure sources and people). Yours is {role.group}" in (
            text(answer)
        )
        assert (Source.objects.get().desired, Source.objects.get().revision) == ("stopped", 1)

    @pytest.mark.parametrize("role", list(Role))
    def test_an_editor_and_higher_publish(self, client: Client, role: Role) -> None:
        make()
        client.force_login(person(role))
        answer = client.post(
            reverse("source-test-message", args=["shop"]), {"target": "orders", "payload": "x"}
        )
        assert answer.status_code == (200 if role >= Role.EDITOR else 403)
        shown = client.get(reverse("source", args=["shop"])).content.decode()
        assert ("Publish 1 message" in shown) is (role >= Role.EDITOR)

    def test_a_viewer_sees_sources_without_buttons(self, client: Client) -> None:
        make()
        client.force_login(person(Role.VIEWER))
        html = client.get(reverse("source", args=["shop"])).content.decode()
        assert "broker.example" in html
        for name in ("source-edit", "source-start", "source-delete"):
            assert reverse(name, args=["shop"]) not in html
