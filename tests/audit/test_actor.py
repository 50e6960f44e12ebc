"""Who does things, as names that can be stored and shown."""

from service.audit.actor import Actor, label


def test_the_operating_systems_user() -> None:
    assert Actor.command_line(user="ops", host="gate-1") == Actor("command_line", "ops@gate-1", "ops")


def test_tollkeeper_itself() -> None:
    assert Actor.system("first start") == Actor("system", "first_start", "first start")


def test_a_label_is_one_printable_line() -> None:
    assert label("Ökonomie 7", longest=200) == "Ökonomie 7"
    unprintable = "\N{REPLACEMENT CHARACTER}"
    assert label("a\nb\x00c\x1b[31m\ud800", longest=200) == "a?b?c?[31m?".replace("?", unprintable)
    assert label("x" * 200, longest=200) == "x" * 200
    assert label("x" * 201, longest=200) == "x" * 199 + "…"
