"""`tollkeeper projects`: projects, whose members are keys. Where a command takes PROJECT, an id or a name will do."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
from sqlalchemy import Connection

from service.cli.budget_options import Installation, opened
from service.cli.capture import capture_options, changed_capture
from service.cli.limits import (
    changed_limit_options,
    changed_limits,
    limit_options,
    limits_of,
    metadata_of,
    unless_none,
)
from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import operator
from service.keys.projects import NewProject, Project, ProjectChanges, count_keys

PAGE = 500
_COLUMNS = ("id", "name", "keys", "limits", "archived_at", "created_at")


@click.group()
def projects() -> None:
    """Create, list, show, update, archive and restore projects."""


@projects.command()
@click.argument("name")
@click.option("--metadata", help="A JSON object to keep with the project.")
@limit_options
@store_options
@json_option
def create(name: str, *, as_json: bool, **options: Any) -> None:
    """Make a project. A key that names one which is not there makes it too, without limits."""
    new = NewProject(name=name, metadata=metadata_of(options["metadata"]), limits=limits_of(options))
    with opened(options, create=True) as there, there.store.write() as tx:
        [shown] = _shown(tx, [there.projects.create(tx, new, by=operator())])
    _print(shown, as_json=as_json)


@projects.command(name="list")
@click.option("--all", "archived", is_flag=True, help="Archived projects too.")
@store_options
@json_option
def list_projects(*, archived: bool, as_json: bool, **options: Any) -> None:
    """List the projects, newest first, and how many keys of each are not revoked."""
    with opened(options) as there:
        found = list(_all(there, archived=archived))
    if as_json:
        print_json(found)
        return
    print_table(_COLUMNS, [[project[name] for name in _COLUMNS] for project in found], right=("keys",))


@projects.command()
@click.argument("project")
@store_options
@json_option
def show(project: str, *, as_json: bool, **options: Any) -> None:
    """Show one project."""
    with opened(options) as there, there.store.read() as tx:
        [shown] = _shown(tx, [there.projects.find(tx, project)])
    _print(shown, as_json=as_json)


@projects.command()
@click.argument("project")
@click.option("--metadata", help="A JSON object in place of the one before; `none` removes it.")
@changed_limit_options
@capture_options
@store_options
@json_option
def update(project: str, *, as_json: bool, **options: Any) -> None:
    """Change what is given; the rest stays. The name is in every record and never changes."""
    with opened(options) as there, there.store.write() as tx:
        before = there.projects.find(tx, project)
        changes = ProjectChanges(
            metadata=unless_none(options["metadata"], metadata_of),
            limits=changed_limits(options, before=before.limits),
            capture=changed_capture(options, before=before.capture),
        )
        [shown] = _shown(tx, [there.projects.update(tx, before.id, changes=changes, by=operator())])
    _print(shown, as_json=as_json)


@projects.command()
@click.argument("project")
@store_options
@json_option
def archive(project: str, *, as_json: bool, **options: Any) -> None:
    """Refuse the project's keys, on every relay within 2 seconds. Its records, prices and budgets stay."""
    with opened(options) as there, there.store.write() as tx:
        [shown] = _shown(tx, [there.projects.archive(tx, project, by=operator())])
    _print(shown, as_json=as_json)


@projects.command()
@click.argument("project")
@store_options
@json_option
def restore(project: str, *, as_json: bool, **options: Any) -> None:
    """Take an archived project into use again, with its keys."""
    with opened(options) as there, there.store.write() as tx:
        [shown] = _shown(tx, [there.projects.restore(tx, project, by=operator())])
    _print(shown, as_json=as_json)


def _all(there: Installation, *, archived: bool) -> Iterator[dict[str, Any]]:
    after = None
    while True:
        with there.store.read() as tx:
            page = there.projects.list(tx, limit=PAGE, after=after, archived=archived)
            yield from _shown(tx, page)
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].id)


def _shown(tx: Connection, found: Sequence[Project]) -> list[dict[str, Any]]:
    counts = count_keys(tx, [project.name for project in found])
    return [{**msgspec.structs.asdict(one), "keys": counts.get(one.name, 0)} for one in found]


def _print(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
    else:
        print_fields(shown.items())
