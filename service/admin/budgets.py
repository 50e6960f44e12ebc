"""`/admin/v1/budgets`: budgets and how they stand. Amounts are decimal strings."""

from typing import Annotated, Any

from litestar import Request, delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from service.admin.context import AdminContext
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.budgets.detail import detail
from service.budgets.registry import StoredBudget
from service.budgets.standings import history, standing
from service.budgets.values import BudgetChanges, BudgetFilter, NewBudget, check_kind, check_subject
from service.budgets.views import BudgetDetail, BudgetView, PeriodView
from service.errors import InvalidInputError

CREATED = 201
OK = 200
BudgetId = Annotated[str, PathParameter(description="The budget's id, as `bud_…`.")]
Subject = Annotated[
    str | None,
    QueryParameter(description="Of a budget with the scope id `*`: which project, key, end user or model."),
]
Plain = Request[Any, Any, Any]


@post("/budgets", sync_to_thread=True, status_code=CREATED, summary="Create a budget")
def create_budget(admin: Admin, by: By, *, data: JSONBody[NewBudget]) -> BudgetView:
    """In force on every relay within 2 seconds. What was spent before it was made does not count."""
    with admin.store.write() as tx:
        made = admin.budgets.create(tx, data, by=by)
    admin.take_over()
    return _view(admin, made)


@get("/budgets", sync_to_thread=True, summary="List budgets, newest first")
def list_budgets(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Plain,
    *,
    scope_kind: Annotated[
        str | None, QueryParameter(description="`global`, `project`, `key`, `end_user` or `model`.")
    ] = None,
    scope_id: Annotated[str | None, QueryParameter(description="Which one, or `*`.")] = None,
    deleted: Annotated[bool, QueryParameter(description="Deleted budgets too.")] = False,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[BudgetView]:
    """How each stands now is part of it."""
    _refuse_unknown(request, known=("scope_kind", "scope_id", "deleted", "limit", "cursor"))
    wanted = BudgetFilter(
        kind=None if scope_kind is None else check_kind(scope_kind, field="scope_kind"),
        id=None if scope_id is None else check_subject(scope_id, field="scope_id"),
        deleted=deleted,
    )
    after, now = read_cursor(cursor), admin.now()
    with admin.store.read() as tx:
        found = admin.budgets.list(tx, limit=check_limit(limit) + 1, after=after, wanted=wanted)
        page = [
            BudgetView.standing(one.budget, standing(tx, one.budget, "", at=now), **one.dates)
            for one in found[:limit]
        ]
    more = len(found) > limit
    return Page(page, write_cursor(page[-1].created_at, page[-1].id) if more else None)


@get("/budgets/{budget_id:str}", sync_to_thread=True, summary="Show a budget, and who holds its money")
def get_budget(admin: Admin, request: Plain, *, budget_id: BudgetId, subject: Subject = None) -> BudgetDetail:
    """`leases` add up to `held_usd`. With the scope id `*`, `subjects` lists up to 1,000 that have a period now."""
    _refuse_unknown(request, known=("subject",))
    with admin.store.read() as tx:
        found = admin.budgets.get(tx, budget_id, deleted=True)
        return detail(tx, found, subject=subject, now=admin.now())


@get("/budgets/{budget_id:str}/periods", sync_to_thread=True, summary="Show a budget's history")
def list_periods(
    admin: Admin,
    request: Plain,
    *,
    budget_id: BudgetId,
    subject: Subject = None,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[PeriodView]:
    """Periods in which something was spent or held, the latest first; the running one is among them."""
    _refuse_unknown(request, known=("subject", "limit", "cursor"))
    named = None if subject is None else check_subject(subject, field="subject")
    after = read_cursor(cursor)
    with admin.store.read() as tx:
        budget = admin.budgets.get(tx, budget_id, deleted=True).budget
        found = history(tx, budget, subject=named, limit=check_limit(limit) + 1, after=after)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        [PeriodView.of(period) for period in page],
        write_cursor(page[-1].starts_at, page[-1].subject) if more else None,
    )


@patch("/budgets/{budget_id:str}", sync_to_thread=True, summary="Change a budget")
def update_budget(admin: Admin, by: By, *, budget_id: BudgetId, data: JSONBody[BudgetChanges]) -> BudgetView:
    """Fields that are absent stay; `"raise": null` ends a temporary raise. Scope and window never change.

    A limit below what is spent refuses within 2 seconds; a new time zone or anchor day counts from the end of the
    running period.
    """
    with admin.store.write() as tx:
        changed = admin.budgets.update(tx, budget_id, changes=data, by=by)
    admin.take_over()
    return _view(admin, changed)


@delete("/budgets/{budget_id:str}", sync_to_thread=True, status_code=OK, summary="Delete a budget")
def delete_budget(admin: Admin, by: By, *, budget_id: BudgetId) -> BudgetView:
    """It refuses nothing any more, on any relay within 2 seconds. Its history stays."""
    with admin.store.write() as tx:
        gone = admin.budgets.delete(tx, budget_id, by=by)
    admin.take_over()
    return _view(admin, gone)


def _view(admin: AdminContext, found: StoredBudget) -> BudgetView:
    with admin.store.read() as tx:
        now = standing(tx, found.budget, "", at=admin.now())
    return BudgetView.standing(found.budget, now, **found.dates)


def _refuse_unknown(request: Plain, *, known: tuple[str, ...]) -> None:
    for name, _value in request.query_params.multi_items():
        if name not in known:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of this resource", field=name[:100])
