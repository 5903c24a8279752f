"""The rights of the functions' user of the cache: the commands of `shared/adapters/redis_cache.py`, on its keys.

ElastiCache takes it as an access string, the local stack's Redis as an ACL
(https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Clusters.RBAC.html#Access-string).
"""

from __future__ import annotations

from collections.abc import Sequence

KEYS = ("status:*", "waiters:*")
# The client's own are at the end: it asks what commands there are, and which node has which slots.
COMMANDS = (
    "get",
    "set",
    "eval",
    "time",
    "ttl",
    "expire",
    "zadd",
    "zcard",
    "zrem",
    "zremrangebyscore",
    "ping",
    "command",
    "cluster|slots",
)


def access_string(commands: Sequence[str] = COMMANDS) -> str:
    """In the words of Redis's ACL SETUSER, without a password."""
    return " ".join(["on", *(f"~{key}" for key in KEYS), "-@all", *(f"+{command}" for command in commands)])
