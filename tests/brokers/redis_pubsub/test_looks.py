"""What is new in a list, without ids."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collectors.redis_pubsub.looks import digest, kept, pack, surplus, unpack

few = st.lists(st.sampled_from([b"a", b"b"]), max_size=12)


@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(min_value=1, max_value=40),
)
def test_of_a_queue_of_different_elements_all_that_is_new_is_found(
    there: int, taken: int, added: int, probe: int
) -> None:
    before = [digest(b"%d" % n) for n in range(there)]
    now = [digest(b"%d" % n) for n in range(min(taken, there), there + added)]
    left = kept(before, now[:probe], len(now))
    expected = there - min(taken, there)
    # Where nothing is left of the old ones, nothing fits.
    assert left == (expected or (0 if not now or not before else None))


@given(few, few, st.integers(0, 12))
def test_equal_elements_are_never_counted_twice(
    before: list[bytes], added: list[bytes], taken: int
) -> None:
    now = before[taken:] + added
    left = kept(before, now, len(now))
    new = len(now) - left if left is not None else len(surplus(Counter(before), now))
    assert 0 <= new <= len(added)


def test_what_was_removed_from_the_middle_or_put_back_hides_nothing_new() -> None:
    before = [b"a", b"b", b"c"]
    now = [b"a", b"c", b"c", b"d"]
    assert kept(before, now, 4) is None
    assert [now[index] for index in surplus(Counter(before), now)] == [b"c", b"d"]


def test_nothing_before_and_nothing_now() -> None:
    assert kept([], [], 0) == 0
    assert kept([], [b"a"], 1) == 0
    assert kept([b"a"], [], 0) == 0


@given(st.lists(st.binary(max_size=9).map(digest)))
def test_what_is_remembered_survives_the_checkpoint(digests: list[bytes]) -> None:
    assert unpack(pack(digests)) == digests
