"""Whom an alert is about."""

from service.alerts.subjects import LONGEST, about, subject_of


def test_everything_is_named() -> None:
    assert subject_of((), ()) == "all"
    assert about((), (), key_names={}) == "All requests"


def test_dimensions_are_spelled_out() -> None:
    assert subject_of(("key", "model"), ("key_1", "gpt-4o")) == "key=key_1, model=gpt-4o"
    assert about(("key", "model"), ("key_1", "gpt-4o"), key_names={"key_1": "alpha"}) == (
        "Key alpha, model gpt-4o"
    )


def test_a_key_without_a_name_and_a_value_that_is_not_known() -> None:
    assert about(("key", "end_user"), ("key_1", ""), key_names={}) == "Key key_1, end user unknown"


def test_too_long_a_subject_stays_unique() -> None:
    one = subject_of(("end_user",), ("x" * 2000,))
    other = subject_of(("end_user",), ("x" * 1999 + "y",))
    assert len(one) == len(other) == LONGEST
    assert one != other
