"""What is fetched ahead: files that exist, everything that what is drawn first imports, and nothing twice."""

import re
from pathlib import Path

from streamlit.file_util import get_static_dir

from dashboard.front_end import FIRST, FONTS, Manifest, files, first_files, prefetched
from dashboard.gate import FRONT_END


def test_every_file_is_there_and_open_to_all() -> None:
    found = first_files()
    assert [one for one in found if not (Path(get_static_dir()) / one.lstrip("/")).is_file()] == []
    assert [one for one in found if not one.startswith(FRONT_END)] == []
    assert len(set(found)) == len(found)


def test_every_name_is_one_of_this_streamlit() -> None:
    found = " ".join(first_files())
    assert [name for name in (*FIRST, *FONTS) if f"/{name}." not in found] == []


def test_the_scripts_of_the_page_itself_are_among_them() -> None:
    page = (Path(get_static_dir()) / "index.html").read_text(encoding="utf-8")
    asked = re.findall(r'(?:src|href)="\./(static/[^"]+)"', page)
    assert asked
    assert {f"/{one}" for one in asked} <= set(first_files())


def test_imports_come_with_their_own_imports_and_end_where_they_meet() -> None:
    manifest: Manifest = {
        "a": {"name": "index", "file": "static/js/a.js", "imports": ["b"], "css": ["static/css/a.css"]},
        "b": {"file": "static/js/b.js", "imports": ["a", "c", "gone"]},
        "c": {"file": "static/js/c.js"},
        "d": {"name": "unused", "file": "static/js/d.js"},
    }
    assert files(manifest) == ("/static/js/a.js", "/static/css/a.css", "/static/js/b.js", "/static/js/c.js")


def test_they_are_named_by_kind() -> None:
    assert prefetched(["/static/js/a.js", "/static/media/f.woff2"]) == (
        '<link rel="prefetch" as="script" href="/static/js/a.js" crossorigin>'
        '<link rel="prefetch" as="font" href="/static/media/f.woff2" crossorigin>'
    )
