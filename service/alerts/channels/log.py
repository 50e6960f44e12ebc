"""The log as a channel: for whoever collects logs anyway, and to see that alerts work."""

from service.alerts.channels.outcome import Envelope
from service.logs import get_logger


class LogChannel:
    """Writes each message as one line."""

    def send(self, envelope: Envelope) -> str:
        """Write it."""
        payload = envelope.payload
        get_logger().warning(
            "alert",
            type=payload["type"],
            id=payload["id"],
            rule=payload["rule"],
            subject=payload["subject"],
            severity=payload["severity"],
            summary=payload["summary"],
        )
        return "written to the log"
