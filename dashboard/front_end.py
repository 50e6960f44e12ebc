"""Which files of Streamlit's front end the first page needs, from the manifest that comes with it.

The pages that sign somebody in name them to the browser, which fetches them while a person types. They are the same
for everybody and for good (their names hold their hashes), and hold nothing of the books.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PREFIX = "/"
ENTRY = "index"
FIRST = (
    ENTRY, "Html", "Button", "ButtonGroup", "Selectbox", "Metric", "EChartsChart", "DataFrame", "PageLink",
    "remark-emoji", "embed", "vega-interpreter",
)  # fmt: skip
"""Chunks of what the Overview shows."""
FONTS = ("MaterialSymbols-Rounded", "SourceSansVF-Upright")
_KINDS = {".js": "script", ".css": "style", ".woff2": "font"}

Manifest = Mapping[str, Mapping[str, Any]]


@cache
def first_files() -> tuple[str, ...]:
    """Their addresses; none where this version of Streamlit says nothing of them."""
    from streamlit.file_util import get_static_dir

    path = Path(get_static_dir()) / "manifest.json"
    return files(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()


def files(manifest: Manifest) -> tuple[str, ...]:
    """The files of `FIRST` with all that they import, then the fonts."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    todo = [key for name in FIRST for key, chunk in manifest.items() if chunk.get("name") == name]
    while todo:
        key = todo.pop(0)
        if key in seen or key not in manifest:
            continue
        seen.add(key)
        chunk = manifest[key]
        found |= dict.fromkeys((chunk["file"], *chunk.get("css", ())))
        todo += chunk.get("imports", ())
    fonts = (chunk["file"] for chunk in manifest.values() if any(font in chunk["file"] for font in FONTS))
    return tuple(PREFIX + file for file in (*found, *fonts) if Path(file).suffix in _KINDS)


def prefetched(addresses: Iterable[str]) -> str:
    """As HTML for the head of a page."""
    return "".join(
        f'<link rel="prefetch" as="{_KINDS[Path(address).suffix]}" href="{address}" crossorigin>'
        for address in addresses
    )
