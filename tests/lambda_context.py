"""What Lambda's runtime hands to a handler beside its event."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4


@dataclass(frozen=True)
class LambdaContext:
    """Of one invocation that has all its time left."""

    function_name: str = "vsl-local-test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:vsl-local-test"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    milliseconds_left: int = 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds_left
