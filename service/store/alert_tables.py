"""The tables of alerts, their delivery, and the keeper's leadership.

`alert_event` is a claim: its unique constraint decides that of many evaluators at once one raises an alert.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from service.store.budget_tables import budget_period
from service.store.metadata import metadata, one_of
from service.store.types import JsonText, RecordId, UtcMicros

ALERT_SEVERITIES = ("info", "warning", "critical")
EVENT_STATES = ("pending", "firing", "resolved")
DELIVERY_KINDS = ("firing", "resolved", "report", "test")
DELIVERY_STATES = ("waiting", "sending", "delivered", "dead")
CHANNEL_KINDS = ("apprise", "webhook", "pagerduty", "log")
NO_DATA_POLICIES = ("ok", "alert")

Index(None, budget_period.c.ends_at)

leadership = Table(
    "leadership",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    comment="Who leads. `fence` grows with every change of hands, `beat` with every sign of life; holder '' is nobody.",
)

alert_rule = Table(
    "alert_rule",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("metric", String(32), nullable=False),
    Column("group_by", JsonText, nullable=False),
    Column("filters", JsonText, nullable=False),
    Column("window", String(16), nullable=False),
    Column("warning", Double),
    Column("critical", Double),
    Column("min_requests", Integer, nullable=False),
    Column("no_data", String(8), nullable=False),
    Column("renotify", String(16)),
    Column("channels", JsonText, nullable=False),
    Column("muted_until", UtcMicros),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
    Column("deleted_at", UtcMicros),
    one_of("no_data", NO_DATA_POLICIES),
    CheckConstraint("min_requests >= 0", name="min_requests"),
    comment="Alert rules; a deleted one stays for its events.",
)

alert_channel = Table(
    "alert_channel",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("target", String(400), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", UtcMicros, nullable=False),
    Column("updated_at", UtcMicros, nullable=False),
    Column("deleted_at", UtcMicros),
    one_of("kind", CHANNEL_KINDS),
    comment="Where alerts go. `sealed` is encrypted; `target` is what may be shown of it.",
)

alert_event = Table(
    "alert_event",
    metadata,
    Column("id", RecordId, primary_key=True),
    Column("rule_id", ForeignKey("alert_rule.id"), nullable=False),
    Column("rule_name", String(200), nullable=False),
    Column("metric", String(32), nullable=False),
    Column("subject", String(1000), nullable=False),
    Column("period", UtcMicros, nullable=False),
    Column("claim", String(32), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("value", Double),
    Column("threshold", Double),
    Column("starts_at", UtcMicros, nullable=False),
    Column("ends_at", UtcMicros),
    Column("seen_at", UtcMicros, nullable=False),
    Column("fired_at", UtcMicros),
    Column("clear_at", UtcMicros),
    Column("resolved_at", UtcMicros),
    Column("told", Integer, nullable=False),
    Column("told_at", UtcMicros),
    Column("summary", Text, nullable=False),
    Column("details", JsonText, nullable=False),
    UniqueConstraint("rule_id", "subject", "period", "claim", "generation"),
    one_of("severity", ALERT_SEVERITIES),
    one_of("state", EVENT_STATES),
    CheckConstraint("generation >= 0", name="generation"),
    CheckConstraint("told >= 0", name="told"),
    comment="One row for each time a threshold of a rule was crossed by a subject in a period.",
)
Index(None, alert_event.c.state, alert_event.c.rule_id)

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("id", RecordId, primary_key=True),
    Column("event_id", ForeignKey("alert_event.id")),
    Column("channel_id", ForeignKey("alert_channel.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcMicros, nullable=False),
    Column("claimed_by", String(200)),
    Column("claimed_until", UtcMicros),
    Column("created_at", UtcMicros, nullable=False),
    Column("finished_at", UtcMicros),
    Column("error", Text),
    UniqueConstraint("event_id", "channel_id", "kind", "number"),
    one_of("kind", DELIVERY_KINDS),
    one_of("state", DELIVERY_STATES),
    CheckConstraint("attempts >= 0", name="attempts"),
    comment="The outbox: one message for one channel, kept until it is delivered or given up.",
)
Index(None, alert_delivery.c.state, alert_delivery.c.due_at)

alert_attempt = Table(
    "alert_attempt",
    metadata,
    Column("delivery_id", ForeignKey("alert_delivery.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", UtcMicros, nullable=False),
    Column("duration_ms", Double, nullable=False),
    Column("ok", Boolean(create_constraint=False), nullable=False),
    Column("detail", Text, nullable=False),
    comment="The log of deliveries: every attempt and what came of it.",
)

alert_gauge = Table(
    "alert_gauge",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("subject", String(400), primary_key=True),
    Column("value", Double, nullable=False),
    Column("measured_at", UtcMicros, nullable=False),
    Column("details", JsonText, nullable=False),
    comment="What keepers measured outside the books: the backlog of a journal, the drift of the books.",
)
