"""The pages that sign somebody in, as HTML without scripts. Pure; every text is escaped.

They need nothing but themselves: no font, no picture, no style sheet. What is fetched *ahead*, while somebody types, is
what the page after them needs.
"""

from html import escape
from urllib.parse import quote

from dashboard.brand import LOGO

_STYLE = """
:root{color-scheme:light dark;--page:#f4f6f9;--card:#fff;--text:#1b2433;--soft:#5b6678;--line:#dfe4ec;--blue:#2f5fd0;
--on:#fff;--bad:#b3261e;--badbg:#fdecea}
@media(prefers-color-scheme:dark){:root{--page:#0f141c;--card:#18202c;--text:#e6eaf1;--soft:#9aa5b8;--line:#2a3444;
--blue:#7ba2ff;--on:#0f141c;--bad:#ffb4ab;--badbg:#3a1d1b}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--page);color:var(--text);
font:15px/1.5 "Source Sans","Segoe UI",system-ui,sans-serif;padding:16px}
main{width:100%;max-width:380px;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:28px}
h1{font-size:1.25rem;margin:20px 0 4px}p{margin:0 0 16px;color:var(--soft)}
label{display:block;font-size:.9rem;margin:0 0 14px}
input{display:block;width:100%;margin-top:4px;padding:9px 11px;font:inherit;color:inherit;background:var(--page);
border:1px solid var(--line);border-radius:8px}
input:focus{outline:2px solid var(--blue);outline-offset:1px}
button,a.button{display:block;width:100%;padding:10px;font:inherit;font-weight:600;color:var(--on);
background:var(--blue);border:0;border-radius:8px;cursor:pointer;text-align:center;text-decoration:none}
a.button{margin-top:12px;background:none;color:var(--blue);border:1px solid var(--line)}
a.first{color:var(--on);background:var(--blue);border:0}
.bad{color:var(--bad);background:var(--badbg);border-radius:8px;padding:9px 11px;margin:0 0 14px}
code{font:13px ui-monospace,monospace}small{color:var(--soft)}
"""


def login(
    *,
    next_path: str,
    problem: str | None = None,
    no_accounts: bool = False,
    provider: str = "",
    with_password: bool = True,
    ahead: str = "",
) -> str:
    """Name and password, and a way to the identity provider, if there is one by the name *provider*."""
    button = _provider_button(provider, next_path=next_path, is_only=not with_password)
    if not with_password:
        return _page("Sign in", _problem(problem) + button, head=ahead)
    if no_accounts and not provider:
        return _page(
            "Nobody has an account yet",
            "<p>Open the link that <code>tollkeeper up</code> printed when it started; it makes you the administrator. "
            "Each start prints a new one until it is used.</p>",
        )
    return _page(
        "Sign in",
        f"""{_problem(problem)}<form method="post" action="/login">
<input type="hidden" name="next" value="{escape(next_path)}">
<label>Name<input name="name" autocomplete="username" required autofocus maxlength="100"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required maxlength="256"></label>
<button>Sign in</button></form>{button}""",
        head=ahead,
    )


def onward(next_path: str) -> str:
    """Goes on by itself to where somebody wanted to go."""
    return _page(
        "You are signed in",
        f'<a class="button" href="{escape(next_path)}">Go on</a>',
        head=f'<meta http-equiv="refresh" content="0;url={escape(next_path)}">',
    )


def not_signed_in(problem: str) -> str:
    """The way over an identity provider did not end in a session."""
    return _page("You are not signed in", f'{_problem(problem)}<a class="button" href="/login">Sign in</a>')


def first_visit(*, action: str, name: str, problem: str | None = None, ahead: str = "") -> str:
    """The first link: in at one click."""
    return _page(
        "Welcome",
        f"""<p>This link works once and makes you the administrator of this dashboard.</p>{_problem(problem)}
<form method="post" action="{escape(action)}"><input type="hidden" name="name" value="{escape(name)}">
<button autofocus>Open the dashboard</button></form>
<p style="margin:16px 0 0"><small>You can set a password there, to come back from another browser.</small></p>""",
        head=ahead,
    )


def set_password(*, action: str, name: str, problem: str | None = None, ahead: str = "") -> str:
    """The link of an account: a password for it."""
    return _page(
        "Set a password",
        f"""<p>For the account <b>{escape(name)}</b>.</p>{_problem(problem)}
<form method="post" action="{escape(action)}">
<label>New password<input name="password" type="password" autocomplete="new-password" required autofocus
minlength="12" maxlength="256"><small>At least 12 characters; a few words will do.</small></label>
<button>Set it and sign in</button></form>""",
        head=ahead,
    )


def stale_link() -> str:
    """A link that was used, has ended, or never was."""
    return _page(
        "This link does not work any more",
        "<p>It was used, or its day is over. Ask an administrator for a new one.</p>"
        '<a class="button" href="/login">Sign in</a>',
    )


def signed_out() -> str:
    """After signing out."""
    return _page("You are signed out", '<a class="button" href="/login">Sign in again</a>')


def sign_out() -> str:
    """Asks before it signs out."""
    return _page(
        "Sign out?",
        '<form method="post" action="/logout"><button autofocus>Sign out</button></form>'
        '<a class="button" href="/">Stay</a>',
    )


def away() -> str:
    """The store cannot be asked."""
    return _page(
        "The store does not answer right now",
        "<p>Nobody can sign in meanwhile. Relays go on forwarding; nothing is lost. This page tries again.</p>",
        head='<meta http-equiv="refresh" content="5">',
    )


def _provider_button(provider: str, *, next_path: str, is_only: bool) -> str:
    if not provider:
        return ""
    kind = "button first" if is_only else "button"
    href = f"/oidc/login?next={quote(next_path, safe='')}"
    return f'<a class="{kind}" href="{escape(href)}">Sign in with {escape(provider)}</a>'


def _problem(text: str | None) -> str:
    return "" if text is None else f'<div class="bad" role="alert">{escape(text)}</div>'


def _page(title: str, body: str, *, head: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title} · Tollkeeper</title><style>{_STYLE}</style>{head}</head>'
        f"<body><main>{LOGO}<h1>{title}</h1>{body}</main></body></html>"
    )
