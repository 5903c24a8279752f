"""The one definition of a queue: named after its topic, with a queue for what keeps failing."""

from __future__ import annotations

from aws_cdk import Duration, aws_sqs
from constructs import Construct

from infra.stages import Stage

VISIBILITY_FACTOR = 6


class TopicQueue(aws_sqs.Queue):
    """`vsl-{stage}-{topic}`.

    A message is hidden for six times its reader's timeout, as Lambda asks for, which tries again while it is throttled
    (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html). Nobody waits for that: a reader lets
    what it fails at come again soon (`shared/batches.py`) and gives up its lease, and the sweep sends anew what a
    reader was killed at.
    """

    def __init__(self, scope: Construct, stage: Stage, topic: str, reader_timeout_seconds: int) -> None:
        dead = aws_sqs.Queue(
            scope,
            f"{topic}-dlq",
            queue_name=f"vsl-{stage.name}-{topic}-dlq",
            encryption=aws_sqs.QueueEncryption.SQS_MANAGED,
            retention_period=Duration.days(14),
            enforce_ssl=not stage.is_local,
        )
        letters = aws_sqs.DeadLetterQueue(queue=dead, max_receive_count=stage.queues[topic].max_receive_count)
        super().__init__(
            scope,
            f"{topic}-queue",
            queue_name=f"vsl-{stage.name}-{topic}",
            encryption=aws_sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=not stage.is_local,
            visibility_timeout=Duration.seconds(reader_timeout_seconds * VISIBILITY_FACTOR),
            dead_letter_queue=letters,
        )
