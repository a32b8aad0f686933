"""The time without acknowledged writes."""

from chaos.spans import Span, longest_silence, resumptions

SPANS = [Span(10, 20), Span(30, 40)]


def test_silence_counts_while_a_majority_is_up() -> None:
    """It is measured from the start of a span, between writes, and to its end, not across spans."""
    assert longest_silence(SPANS, [11, 12, 18, 19, 31, 39]) == 8
    assert longest_silence(SPANS, [13, 16, 19, 35]) == 5
    assert longest_silence(SPANS, [19, 30, 35, 39]) == 9
    assert longest_silence(SPANS, [11]) == 10
    assert longest_silence([], []) == 0


def test_resumption_counts_from_the_start_of_a_span() -> None:
    """A span that ends before the first write has no such time."""
    assert resumptions(SPANS, [11, 12, 33]) == [1, 3]
    assert resumptions(SPANS, [25, 33]) == [3]
