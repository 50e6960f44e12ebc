"""The OpenAPI document of the data plane. Its one source is `openapi.json` beside this file.

The schemas of request, answer and error are those of the wire contract that Tollkeeper was given, with English texts.
"""

from importlib.resources import files
from typing import Any

import msgspec


def relay_document() -> dict[str, Any]:
    """The document, whole."""
    content = files("service.relay").joinpath("openapi.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, Any])


def merged(admin: dict[str, Any]) -> dict[str, Any]:
    """The document of the whole service: the relay's paths, and those of *admin* beside them."""
    relay = relay_document()
    components = dict(relay["components"])
    for kind, parts in admin.get("components", {}).items():
        components[kind] = {**parts, **components.get(kind, {})}
    return {
        **relay,
        "info": {**relay["info"], "title": "Tollkeeper"},
        "paths": {**admin.get("paths", {}), **relay["paths"]},
        "components": components,
    }
