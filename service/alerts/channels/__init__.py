"""How messages reach people: apprise, a signed webhook, PagerDuty, the log. The only place of alerts that calls out."""
