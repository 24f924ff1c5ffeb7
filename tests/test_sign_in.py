"""Signing in: one-time links, passwords, and what a role may do."""

from datetime import timedelta
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.permissions import ACTIONS, may
from eventhub.accounts.models import SignInLink
from eventhub.accounts.roles import Role, give_role, role_of
from eventhub.accounts.sign_in_links import LinkRefused, admin_named, make_link, use_link

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> User:
    return User.objects.create_user("watcher", password="a long enough password")


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


class TestLink:
    def test_the_command_makes_an_admin_and_prints_a_link_that_works(self, client: Client) -> None:
        printed = StringIO()
        call_command("signin", "--base-url", "http://hub.example:8000/", stdout=printed)
        link = urlsplit(printed.getvalue().strip())
        assert (link.scheme, link.netloc) == ("http", "hub.example:8000")

        client.post(link.path)

        assert client.session["_auth_user_id"] == str(User.objects.get(username="admin").pk)
        assert role_of(User.objects.get(username="admin")) is Role.ADMIN

    def test_the_command_takes_the_address_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVENTHUB_URL", "https://hub.example")
        printed = StringIO()
        call_command("signin", stdout=printed)
        assert printed.getvalue().startswith("https://hub.example/sign-in/")

    def test_the_command_leaves_the_role_of_a_person_who_is_there(self, person: User) -> None:
        give_role(person, Role.VIEWER)
        call_command("signin", "--user", "watcher", stdout=StringIO())
        assert role_of(User.objects.get(username="watcher")) is Role.VIEWER

    def test_looking_at_a_link_does_not_consume_it(self, client: Client, person: User) -> None:
        path = reverse("sign-in-link", args=[make_link(person)])
        for _ in range(3):
            page = client.get(path)
            assert page.status_code == 200
            assert "Sign in as watcher" in page.content.decode()
        assert not signed_in(client)
        assert client.post(path).status_code == 302
        assert signed_in(client)

    def test_a_link_works_once(self, person: User) -> None:
        path = reverse("sign-in-link", args=[make_link(person)])
        Client().post(path)
        second = Client()
        page = second.post(path)
        assert page.status_code == 410
        assert "works once" in page.content.decode()
        assert not signed_in(second)

    def test_a_link_expires_after_fifteen_minutes(self, client: Client, person: User) -> None:
        path = reverse("sign-in-link", args=[make_link(person)])
        link = SignInLink.objects.get()
        assert link.expires - link.created == pytest.approx(
            timedelta(minutes=15), abs=timedelta(seconds=1)
        )
        SignInLink.objects.update(expires=timezone.now())
        page = client.post(path)
        assert page.status_code == 410
        assert "expired" in page.content.decode()
        assert not signed_in(client)

    def test_only_the_digest_of_a_token_is_stored(self, person: User) -> None:
        token = make_link(person)
        assert token not in str(SignInLink.objects.values().get())

    def test_a_link_of_a_person_who_was_locked_out_is_refused(self, person: User) -> None:
        token = make_link(person)
        User.objects.update(is_active=False)
        with pytest.raises(LinkRefused, match="may no longer sign in"):
            use_link(token)

    def test_a_link_nobody_made_is_refused(self, client: Client) -> None:
        assert client.get(reverse("sign-in-link", args=["nothing"])).status_code == 410


class TestPassword:
    def test_the_right_one_leads_where_the_person_wanted_to_go(
        self, client: Client, person: User
    ) -> None:
        answer = client.post(
            reverse("sign-in"),
            {"username": "watcher", "password": "a long enough password", "next": "/sources/"},
        )
        assert answer["Location"] == "/sources/"
        assert signed_in(client)

    def test_it_never_leads_to_another_site(self, client: Client, person: User) -> None:
        answer = client.post(
            reverse("sign-in"),
            {
                "username": "watcher",
                "password": "a long enough password",
                "next": "https://elsewhere.example/",
            },
        )
        assert answer["Location"] == reverse("overview")

    def test_five_wrong_ones_close_that_name_even_for_the_right_one(
        self, client: Client, person: User
    ) -> None:
        wrong = {"username": "watcher", "password": "wrong"}
        for _ in range(4):
            assert client.post(reverse("sign-in"), wrong).status_code == 200
        assert client.post(reverse("sign-in"), wrong).status_code == 429
        right = client.post(
            reverse("sign-in"), {"username": "watcher", "password": "a long enough password"}
        )
        assert right.status_code == 429
        assert "15 minutes" in right.content.decode()
        assert not signed_in(client)

    def test_a_closed_name_does_not_close_another(self, client: Client, person: User) -> None:
        for _ in range(6):
            client.post(reverse("sign-in"), {"username": "someone", "password": "wrong"})
        client.post(
            reverse("sign-in"), {"username": "watcher", "password": "a long enough password"}
        )
        assert signed_in(client)

    def test_a_link_still_works_for_a_closed_name(self, client: Client, person: User) -> None:
        for _ in range(6):
            client.post(reverse("sign-in"), {"username": "watcher", "password": "wrong"})
        client.post(reverse("sign-in-link", args=[make_link(person)]))
        assert signed_in(client)

    def test_a_person_made_by_the_command_has_no_password(self, client: Client) -> None:
        admin_named("admin")
        client.post(reverse("sign-in"), {"username": "admin", "password": ""})
        assert not signed_in(client)


class TestSignOut:
    def test_it_ends_the_session(self, client: Client, person: User) -> None:
        client.force_login(person)
        client.post(reverse("sign-out"))
        assert not signed_in(client)

    def test_a_link_elsewhere_cannot_sign_a_person_out(self, client: Client, person: User) -> None:
        client.force_login(person)
        assert client.get(reverse("sign-out")).status_code == 405
        assert signed_in(client)


class TestRoles:
    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("action", list(ACTIONS))
    def test_a_role_may_what_it_and_lower_ones_may(
        self, person: User, role: Role, action: str
    ) -> None:
        give_role(person, role)
        assert may(person, action) is (role >= ACTIONS[action])

    def test_a_person_has_one_role_at_a_time(self, person: User) -> None:
        give_role(person, Role.ADMIN)
        give_role(person, Role.VIEWER)
        assert role_of(User.objects.get(pk=person.pk)) is Role.VIEWER

    def test_a_person_without_a_role_sees_nothing(self, client: Client, person: User) -> None:
        client.force_login(person)
        page = client.get(reverse("sources"))
        assert page.status_code == 403
        assert "needs the role viewer" in page.content.decode()

    def test_a_stranger_is_asked_to_sign_in(self, client: Client) -> None:
        answer = client.get(reverse("sources"))
        assert answer["Location"] == f"{reverse('sign-in')}?next={reverse('sources')}"
