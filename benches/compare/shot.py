"""One attempt to get the picture of an edge."""
from dataclasses import dataclass, field
from typing import Optional

from processes import Usage


@dataclass
class Shot:
    edge_ms: float                      # Unix time of the edge
    latency_ms: Optional[float] = None  # until the file was complete and synced
    usage: Optional[Usage] = None
    path: Optional[str] = None
    failure: Optional[str] = None
    error_ms: Optional[float] = None    # instant shown minus edge; None when the picture cannot be read
    stages: dict = field(default_factory=dict)
    note: Optional[str] = None

    @property
    def is_good(self):
        return self.error_ms is not None
