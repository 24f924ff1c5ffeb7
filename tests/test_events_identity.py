"""Event ids: version 7, strictly increasing, readable back."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.events.event import Event
from eventhub.events.identity import EventIds, delivery_digest, first_id, parse_id, time_of

_TIME = 1_768_478_400_000


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-1000, 1000)), max_size=20))
@settings(max_examples=200, deadline=None)
def test_ids_strictly_increase_even_when_the_clock_steps_back(
    takes: list[tuple[int, int]],
) -> None:
    ids = EventIds()
    made = [event_id for count, step in takes for event_id in ids.take(count, _TIME + step)]
    assert all(before < after for before, after in pairwise(made))
    assert len(made) == sum(count for count, _ in takes)


def test_ids_are_uuids_of_version_7_with_their_time() -> None:
    for event_id in EventIds().take(100, _TIME):
        as_uuid = uuid.UUID(bytes=event_id)
        assert as_uuid.version == 7
        assert as_uuid.variant == uuid.RFC_4122
        assert time_of(event_id) == _TIME


def test_two_collectors_never_make_the_same_id() -> None:
    one, two = EventIds().take(1000, _TIME), EventIds().take(1000, _TIME)
    assert len({*one, *two}) == 2000


def test_a_full_counter_goes_on_in_the_next_millisecond() -> None:
    ids = EventIds()
    ids.take(1, _TIME)
    ids._counter = (1 << 26) - 1
    (last,) = ids.take(1, _TIME)
    following = ids.take(2, _TIME)
    assert [last, *following] == sorted([last, *following])
    assert time_of(last) == _TIME
    assert [time_of(each) for each in following] == [_TIME + 1] * 2


def test_the_first_id_of_a_time_sorts_before_all_its_events() -> None:
    made = EventIds().take(10, _TIME)
    assert all(first_id(_TIME) <= event_id < first_id(_TIME + 1) for event_id in made)
    assert time_of(first_id(-5)) == 0
    assert time_of(first_id(2**60)) == 2**48 - 1


def test_an_id_is_read_as_it_is_written() -> None:
    (made,) = EventIds().take(1, _TIME)
    written = Event(made, 1, "d", b"", 0).uuid
    assert parse_id(written) == parse_id(written.upper()) == parse_id(made.hex()) == made
    assert written == str(uuid.UUID(bytes=made))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "019a",
        str(uuid.UUID(int=0)),
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "019a5b1e-7c40-7d2a-1f11-c04e5d6f7a8b",
        "019a5b1e-7c40-7d2a-9f11-c04e5d6f7a8b00",
        "０19a5b1e-7c40-7d2a-9f11-c04e5d6f7a8b",
        "\0" * 32,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_id(text)


def test_digests_tell_parts_apart() -> None:
    digests = [
        delivery_digest("ab", "c"),
        delivery_digest("a", "bc"),
        delivery_digest("abc"),
        delivery_digest("abc", None),
        delivery_digest("abc", ""),
        delivery_digest(None, "abc"),
        delivery_digest("abc", b"\xff"),
        delivery_digest("abc", "\udcff\udcfe"),
    ]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 16 for digest in digests)
    assert delivery_digest("ab", b"c") == delivery_digest(b"ab", "c")
