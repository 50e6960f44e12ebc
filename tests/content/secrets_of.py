"""Secrets of every kind, as people write them, and texts around them."""

import string

from hypothesis import strategies as st

from service.content.detectors import IBAN_LENGTHS

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
WORDS = st.text(alphabet=string.ascii_lowercase + "äßйπ中 ,;!?\n", max_size=40)


def _luhn(digits: str) -> str:
    """*digits* with their check digit."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


@st.composite
def cards(draw: st.DrawFn) -> str:
    first, length = draw(
        st.sampled_from(
            [("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("30", 14), ("6011", 16), ("4", 13), ("62", 19)]
        )
    )
    more = draw(
        st.text(alphabet=string.digits, min_size=length - 1 - len(first), max_size=length - 1 - len(first))
    )
    digits = _luhn(first + more)
    gap = draw(st.sampled_from(["", " ", "-", "\u00a0"]))
    return gap.join(digits[at : at + 4] for at in range(0, length, 4))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(sorted(IBAN_LENGTHS)))
    length = IBAN_LENGTHS[country] - 4
    account = draw(st.text(alphabet=string.ascii_uppercase + string.digits, min_size=length, max_size=length))
    turned = "".join(str(int(sign, 36)) for sign in account + country + "00")
    text = f"{country}{98 - int(turned) % 97:02d}{account}"
    gap = draw(st.sampled_from(["", " "]))
    spelled = gap.join(text[at : at + 4] for at in range(0, len(text), 4))
    return draw(st.sampled_from([spelled, spelled.lower()]))


@st.composite
def emails(draw: st.DrawFn) -> str:
    local = draw(st.text(alphabet=LETTERS_AND_DIGITS + ".!#$%&'*+/=?^_`{|}~-ü", min_size=1, max_size=64))
    labels = draw(
        st.lists(st.text(alphabet=LETTERS_AND_DIGITS, min_size=1, max_size=20), min_size=1, max_size=4)
    )
    top = draw(st.sampled_from(["com", "de", "museum", "рф"]))
    return f"{local}{draw(st.sampled_from(['@', '%40']))}{'.'.join([*labels, top])}"


@st.composite
def phones(draw: st.DrawFn) -> str:
    digits = draw(st.text(alphabet=string.digits, min_size=8, max_size=9))
    area = draw(st.integers(min_value=200, max_value=989))
    return draw(
        st.sampled_from(
            [
                f"+49{digits}",
                f"+49 30 {digits}",
                f"+1 ({area}) 555-{digits[:4]}",
                f"0044 20 {digits[:4]} {digits[4:8]}",
                f"({area}) 555-{digits[:4]}",
                f"{area}-555-{digits[:4]}",
                f"{area}.555.{digits[:4]}",
                f"030 {digits}",
                f"06 {digits[:2]} {digits[2:4]} {digits[4:6]} {digits[6:8]}",
            ]
        )
    )


@st.composite
def credentials(draw: st.DrawFn) -> str:
    body = draw(st.text(alphabet=LETTERS_AND_DIGITS, min_size=24, max_size=60)) + "7"
    shapes = [
        "sk-{}",
        "sk-proj-{}",
        "sk-ant-api03-{}",
        "ghp_{}",
        "github_pat_{}",
        "glpat-{}",
        "xoxb-{}",
        "hf_{}",
        "gsk_{}",
    ]
    shapes += [
        "AIza{}",
        "SG.{}.{}",
        "sk_live_{}",
        "tk_abcdefghijkl_{}_012345",
        "eyJhbGciOi.{}.{}",
        "npm_{}",
        "xai-{}",
    ]
    return draw(st.sampled_from(shapes)).replace("{}", body)


ANY = {
    "card": cards(),
    "iban": ibans(),
    "email": emails(),
    "phone": phones(),
    "credential": credentials(),
}
