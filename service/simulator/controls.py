"""Trouble for every request at once: what `POST /_sim/faults` sets.

The share of failing requests is exact, not drawn by lot: with `error_rate` 0.25 every fourth request fails.
"""

from typing import Annotated

import msgspec

from service.simulator.refusals import OUTAGE, Refusal, of_status

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Status = Annotated[int, msgspec.Meta(ge=400, le=599)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]


class Controls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /_sim/faults`; an empty object switches all trouble off."""

    outage: bool = False  # every request is answered with 503
    error_rate: Share = 0.0
    error_status: Status = 500
    latency_ms: Milliseconds = 0  # added before the response head


class ControlPanel:
    """The controls in force, and whose turn it is to fail."""

    def __init__(self) -> None:
        self.controls = Controls()
        self._owed = 0.0

    def set(self, controls: Controls) -> None:
        """Put *controls* in force from the next request on."""
        self.controls = controls
        self._owed = 0.0

    def refusal(self) -> Refusal | None:
        """The error the next request gets, if it is to fail."""
        if self.controls.outage:
            return OUTAGE
        self._owed += self.controls.error_rate
        if self._owed < 1 - 1e-9:
            return None
        self._owed -= 1
        return of_status(self.controls.error_status)
