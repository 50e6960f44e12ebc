"""Budgets that never overshoot, on any number of relays, with only the SQL store; and rate limits.

`windows`, `policy`, `estimate`, `model_limits`, `leasing` and `rates` are pure. `leases`, `registry`, `snapshot` and
`permits` are the store. `allowance` and `gate` live on a relay's event loop: a request asks the `BudgetGate`, which
spends from leases in memory and goes to the store only to fill them.

    BudgetGate.admit → Admission → settle | release        a hold on every budget that applies
    leases.settle_flush(tx, …)                             in the writer's transaction, for new records only
"""
