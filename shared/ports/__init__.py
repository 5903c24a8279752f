"""What the use cases need from the world, in the product's own words."""

from shared.ports.media import MediaStore, OpenUpload, Part, StoredObject, UploadForm
from shared.ports.records import Announcement, Records, Transaction
from shared.ports.world import (
    Clock,
    Downloader,
    Encoder,
    Fetched,
    Inside,
    KeyDirectory,
    LiveView,
    ModelSchemas,
    ModelSource,
    ModelVersion,
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
    "ModelSchemas",
    "ModelSource",
    "ModelVersion",
    "OpenUpload",
    "Part",
    "Prediction",
    "Provider",
    "Queue",
    "Records",
    "Reports",
    "StatusCache",
    "StoredObject",
    "Transaction",
    "UploadForm",
    "Waiters",
]
