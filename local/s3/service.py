"""What all operations share: the store, who may do what, and how a new object is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local.s3.calls import Call
from local.s3.conditions import check_write
from local.s3.config import ServerConfig
from local.s3.credentials import Keyring
from local.s3.errors import Refused
from local.s3.events import Sender, messages
from local.s3.index import Index, Piece, StoredObject
from local.s3.pace import Pace
from local.s3.permits import Permits
from local.s3.segments import Segments


@dataclass(frozen=True)
class Service:
    """One running server."""

    config: ServerConfig
    index: Index
    segments: Segments
    keyring: Keyring
    permits: Permits
    pace: Pace
    sender: Sender

    async def check_conditions(self, call: Call) -> None:
        """Looks at `If-Match` and `If-None-Match` before a body is taken; `commit` looks again."""
        if "If-Match" in call.headers:
            await self.permits.require(call, "s3:GetObject", f"{call.bucket}/{call.key}")
        check_write(call.headers, self.index.find(call.bucket, call.key))

    def commit(
        self,
        call: Call,
        stored: StoredObject,
        pieces: Sequence[Piece],
        event: str,
        conditions: Mapping[str, str],
        ending: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Makes the pieces an object, in one transaction with its events and with what it ends.

        `ending` removes an upload and names its contents. Raises what `check_write` does, and NoSuchBucket; then
        segments that nothing names are removed.
        """
        index, freed = self.index, [piece.segment for piece in pieces]
        try:
            with index.transaction():
                bucket = index.bucket(stored.bucket)
                check_write(conditions, index.find(stored.bucket, stored.key))
                events = messages(bucket, f"s3:ObjectCreated:{event}", stored, call, self.config.region)
                freed += index.put(stored, pieces, events)
                for content in ending():
                    freed += index.remove_pieces(content)
            self.segments.keep(piece.segment for piece in pieces)
        finally:
            self.segments.remove(index.unused(freed))
        self.sender.wake()

    def remove(self, call: Call, bucket: str, key: str) -> None:
        """Deletes an object; one that is not there is no error and no event."""
        index = self.index
        found = index.find(bucket, key)
        if found is None:
            return
        with index.transaction():
            index.add_events(messages(index.bucket(bucket), "s3:ObjectRemoved:Delete", found, call, self.config.region))
            freed = index.delete(bucket, key)
        self.segments.remove(index.unused(freed))
        self.sender.wake()

    async def existing(self, call: Call, bucket: str, key: str) -> StoredObject:
        """Raises NoSuchKey; AccessDenied instead for a caller who may not list the bucket under this very key.

        That a condition on `s3:prefix` is held against the key is in none of AWS's pages: Ceph's gateway does so to be
        like AWS (https://github.com/ceph/ceph/pull/68577).
        """
        found = self.index.find(bucket, key)
        if found is None:
            self.index.bucket(bucket)
            await self.permits.require(call, "s3:ListBucket", bucket, key)
            raise Refused("NoSuchKey", Key=key)
        return found
