"""What the use cases need from the world, in the product's own words."""

from shared.ports.records import Announcement, Records, Transaction
from shared.ports.world import (
    Clock,
    Downloader,
    Encoder,
    Fetched,
    Inside,
    KeyDirectory,
    LiveView,
    MediaStore,
    Prediction,
    Provider,
    Queue,
    Reports,
    StatusCache,
    Waiters,
)

__all__ = [
    "Announcement",
    "Clock",
    "Downloader",
    "Encoder",
    "Fetched",
    "Inside",
    "KeyDirectory",
    "LiveView",
    "MediaStore",
    "Prediction",
    "Provider",
    "Queue",
    "Records",
    "Reports",
    "StatusCache",
    "Transaction",
    "Waiters",
]
