"""Prefixes around and inside others: the index finds what a walk over all would find."""

from ipaddress import IPv4Network, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.prefix_index import PrefixCounts, PrefixIndex, sort_key
from isthmus.model.prefixes import Network, PrefixSet, is_inside

# Few bits that differ, so that random prefixes lie in each other often.
NETWORKS: st.SearchStrategy[Network] = st.one_of(
    st.builds(
        lambda bits, length: IPv4Network((bits << 26, length), strict=False),
        st.integers(0, 63),
        st.sampled_from([0, 1, 2, 4, 6, 30, 32]),
    ),
    st.builds(
        lambda bits, length: IPv6Network((bits << 123, length), strict=False),
        st.integers(0, 31),
        st.sampled_from([0, 1, 3, 5, 64, 128]),
    ),
)
STEPS = st.lists(st.tuples(st.booleans(), NETWORKS, st.integers(0, 2)), max_size=60)


@given(STEPS, NETWORKS)
def test_the_index_finds_what_a_walk_finds(
    steps: list[tuple[bool, Network, int]], asked: Network
) -> None:
    """After any additions and removals, around and inside any prefix."""
    index, entries = PrefixIndex[int](), dict[tuple[Network, int], None]()
    for adds, prefix, value in steps:
        if adds:
            index.add(prefix, value)
            entries[prefix, value] = None
        else:
            index.remove(prefix, value)
            entries.pop((prefix, value), None)
    around = [(p, v) for p, v in entries if is_inside(asked, p)]
    inside = [(p, v) for p, v in entries if is_inside(p, asked)]
    assert list(index.inside(asked)) == [v for _, v in sorted(inside, key=lambda e: sort_key(e[0]))]
    longest_first = sorted(around, key=lambda entry: -entry[0].prefixlen)
    assert list(index.covering(asked)) == [value for _, value in longest_first]
    either = [v for p, v in entries if is_inside(asked, p) or is_inside(p, asked)]
    assert sorted(index.overlapping(asked)) == sorted(either)
    assert len(index) == len({prefix for prefix, _ in entries})


@given(STEPS)
def test_counts_keep_the_canonical_order(steps: list[tuple[bool, Network, int]]) -> None:
    """What was added more often than removed is there, in order, with its rank."""
    counts, held = PrefixCounts(), list[Network]()
    for adds, prefix, _ in steps:
        if adds:
            assert counts.add(prefix) == (prefix not in held)
            held.append(prefix)
        elif prefix in held:
            held.remove(prefix)
            assert counts.remove(prefix) == (prefix not in held)
    ordered = sorted(set(held), key=sort_key)
    assert list(counts) == ordered
    assert [counts.rank(prefix) for prefix in ordered] == list(range(len(counts)))
    assert all(counts[rank] == prefix for rank, prefix in enumerate(ordered))
    assert all(prefix in counts for prefix in held)


@given(st.lists(NETWORKS, max_size=20), NETWORKS)
def test_a_set_of_prefixes_contains_what_lies_in_one_of_them(
    entries: list[Network], asked: Network
) -> None:
    """The answer is the same as that of checking each of them."""
    assert PrefixSet(entries).contains(asked) == any(is_inside(asked, e) for e in entries)
