"""The first start: an admin key and a virtual key where the store has none, and what to paste to use them."""

import os
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select

from service.accounts.registry import LINK_PATH, AccountRegistry
from service.audit.actor import Actor
from service.keys.admin_registry import AdminKeyRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, account_key, audit_trail, installation_secret
from service.keys.values import NewKey
from service.settings import Settings
from service.store.engine import Store
from service.store.tables import admin_key, virtual_key

FIRST_KEY_NAME = "first key"
FIRST_START = Actor.system("first start")


class FirstKeys(msgspec.Struct, frozen=True):
    """The keys made now; None where there was one already. Nothing can show them again."""

    admin: str | None
    virtual: str | None
    link: str | None = None
    """The path of the one-time link into the dashboard, while nobody has an account there."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)  # noqa: TID251  (composition root)


def ensure_first_keys(store: Store, settings: Settings) -> FirstKeys:
    """Make the keys that are missing. Safe when two processes start at once on one store."""
    root = installation_secret(store, settings)
    peppers, trail = Peppers.of(root), audit_trail(root, now=utc_now)
    admin = virtual = None
    with store.write() as tx:
        if settings.admin_key is None and tx.scalar(select(admin_key.c.public_id).limit(1)) is None:
            admins = AdminKeyRegistry(peppers, trail=trail, now=utc_now, random_bytes=os.urandom)
            admin = admins.create(tx, name="first admin key", role="admin", by=FIRST_START).token
        if tx.scalar(select(virtual_key.c.id).limit(1)) is None:
            keys = KeyRegistry(peppers, trail=trail, now=utc_now, random_bytes=os.urandom)
            virtual = keys.create(tx, NewKey(name=FIRST_KEY_NAME), by=FIRST_START).token
    return FirstKeys(admin, virtual)


def first_link(store: Store, settings: Settings) -> str | None:
    """The path of a one-time link into the dashboard; None where somebody has an account, or passwords do not count."""
    if settings.dashboard.sign_in != "password":
        return None
    root = installation_secret(store, settings)
    accounts = AccountRegistry(
        account_key(root), trail=audit_trail(root, now=utc_now), now=utc_now, random_bytes=os.urandom
    )
    with store.write() as tx:
        link = accounts.first_link(tx, by=FIRST_START)
    return None if link is None else LINK_PATH + link.token


def welcome(
    base_url: str, keys: FirstKeys, *, dashboard_url: str | None, model: str, store_flag: str = ""
) -> str:
    """What `up` prints once everything runs."""
    lines = ["", f"  Relay       {base_url}/v1"]
    if dashboard_url is not None:
        once = "" if keys.link is None else "      (opens it, once; you are its administrator)"
        lines.append(f"  Dashboard   {dashboard_url}{keys.link or ''}{once}")
    if keys.admin is not None:
        lines.append(f"  Admin key   {keys.admin}      (shown once; keep it)")
    if keys.virtual is None:
        lines += [
            "",
            "  Send requests with one of your virtual keys; another one:  .venv/bin/tollkeeper keys create --name NAME",
            "  Ctrl-C stops.",
            "",
        ]
        return "\n".join(lines)
    lines += [f"  Virtual key {keys.virtual}      (shown once; keep it)", "", "  Try it:", ""]
    lines += [f"  {line}" for line in snippet(base_url, keys.virtual, model=model).splitlines()]
    lines += [
        "",
        f"  Then see what it cost:  .venv/bin/tollkeeper requests{store_flag}      Ctrl-C stops.",
        "",
    ]
    return "\n".join(lines)


def snippet(base_url: str, key: str, *, model: str) -> str:
    """The same request with curl and with the OpenAI SDKs."""
    return f"""\
export OPENAI_BASE_URL={base_url}/v1
export OPENAI_API_KEY={key}

curl $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello"}}]}}'

# Python: pip install openai
from openai import OpenAI
print(OpenAI().chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Say hello"}}]))

// Node: npm install openai
import OpenAI from "openai";
const messages = [{{ role: "user", content: "Say hello" }}];
console.log(await new OpenAI().chat.completions.create({{ model: "{model}", messages }}));

# LangChain: pip install langchain-openai
from langchain_openai import ChatOpenAI
print(ChatOpenAI(model="{model}").invoke("Say hello"))"""
