"""The functions with their queues, grants and schedule; the API stands in api.py."""

from __future__ import annotations

from typing import Any

from aws_cdk import Annotations, Duration, Names, Stack, aws_events, aws_events_targets, aws_ssm
from constructs import Construct

from infra.access import CONSUME, Stores, grant_access, grant_sends
from infra.constructs.function import ProductFunction, Surroundings, World
from infra.constructs.layers import dependency_layer, encoder_layers
from infra.constructs.queue import TopicQueue
from infra.constructs.schema import DatabaseSchema
from infra.stacks.api import ProductApi
from infra.stacks.data import APP, DATABASE, OWNER, DataStack
from infra.stacks.media import MediaStack
from infra.stacks.network import NetworkStack
from infra.stages import Stage

# Names of the rules, by the minutes between two runs.
_EVERY = {1: "each-minute", 60: "each-hour"}
READERS = {
    "calls": "call_provider",
    "reports": "settle",
    "store": "store_media",
    "fetch": "fetch_source",
    "inspect": "inspect_media",
    "compile": "compile_videos",
    "uploads": "inspect_media",
}
NOTHING_RESERVED = (
    "What this stage would reserve does not fit its account_concurrency (infra/stages.py): a flood of one route may "
    "starve the others. Raise Lambda's quota of concurrent executions: docs/operations.md, 'What runs at once'."
)
# Messages of these lead back to them, and by design more often than Lambda's loop detection lets them (ADR 14). Each
# round is a step of a job, whose deadline, tries and sources end the chain; Lambda ends any other loop.
CHAINED = {
    "call_provider": "a call that waits for its turn comes again as a new message",
    "store_media": "a prediction of Runway is asked for again and again",
    "settle": "every round of the two above, and of the next, is settled here",
    "fetch_source": "each source that is there asks for the next one of its job",
    "inspect_media": "each job that ends calls the account's next one",
    "compile_videos": "each job that ends calls the account's next one",
}


class ServiceStack(Stack):
    """All functions of a stage. `functions` by folder name, `queues` by topic."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        stage: Stage,
        network: NetworkStack,
        data: DataStack,
        media: MediaStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.stage, self.data, self.media = stage, data, media
        self.around = Surroundings(
            stage, network.vpc, network.functions, dependency_layer(self, stage), encoder_layers(self, stage)
        )
        # The queue that hears of uploads stands with the bucket, which is not made before it may send there.
        own = [topic for topic in READERS if topic != "uploads"]
        self.queues = {topic: TopicQueue(self, stage, topic, self._reader_timeout_seconds(topic)) for topic in own}
        self.queues["uploads"] = media.uploads
        self.functions: dict[str, ProductFunction] = {}
        self._of_database()
        self._inside()
        self._outside()
        grant_access(self.functions, Stores(stage, media.bucket, data.jobs, data.api_keys))
        self._read_queues()
        self._schedule()
        self.schema = DatabaseSchema(self, stage, self.functions)
        self.api = ProductApi(self, stage, self.functions)
        if not stage.reserved:
            Annotations.of(self).add_warning_v2("vsl:nothing-reserved", NOTHING_RESERVED)

    def _inside(self) -> None:
        stage = self.stage
        origins = {"CORS_ORIGINS": ",".join(stage.cors_origins)}
        for_calls = (stage.api_timeout_seconds, stage.api_memory_mb)
        waiters = {"WAITERS_OF_ACCOUNT": str(stage.waiters_of_account), "WAITERS_OF_STAGE": str(stage.waiters_of_stage)}
        models = self._models()
        self._live("generate_media", ("calls", "compile", "fetch"), origins | waiters | models, *for_calls)
        self._live("status", (), origins | waiters, *for_calls)
        self._live("review", ("calls",), origins | models, *for_calls)
        worker = (stage.worker_timeout_seconds, stage.worker_memory_mb)
        self._live("retention", ("calls",), origins, *worker)
        all_topics = ("calls", "store", "inspect", "compile", "fetch")
        self._live("settle", all_topics, {}, *worker)
        keys = {"API_KEYS_TABLE": self.data.api_keys.table_name}
        compiles, inspections = self._share("compile"), self._share("inspect")
        self._live("reconcile", all_topics, keys | compiles | inspections, *worker)
        encoder = (stage.encoder_timeout_seconds, stage.encoder_memory_mb)
        of_compile = origins | waiters | self._source_origins() | compiles
        self._live("compile_videos", ("compile", "fetch"), of_compile, *encoder, encodes=True)
        self._live("inspect_media", ("inspect",), inspections, *encoder, encodes=True)
        account = self._function(
            "account", World.INSIDE, {"DATABASE_URL": self._address("database-app-url"), **keys, **origins}, *worker
        )
        self._grant_database(account, APP)

    def _outside(self) -> None:
        stage, queues = self.stage, self.queues
        keys = {"API_KEYS_TABLE": self.data.api_keys.table_name}
        self._function("authorizer", World.OUTSIDE, keys, 10, stage.api_memory_mb)
        reports = {"REPORTS_QUEUE_URL": queues["reports"].queue_url}
        url_key = {"WEBHOOK_URL_KEY": self._secret("webhook-url-key")}
        hook_secret = {"REPLICATE_WEBHOOK_SECRET": self._secret("replicate-webhook-secret")}
        self._function("webhook", World.OUTSIDE, reports | url_key | hook_secret, 10, stage.api_memory_mb)
        self._provider_callers(reports, url_key)
        for name in ("webhook", "call_provider", "store_media", "fetch_source"):
            grant_sends(self.functions[name], [queues["reports"]])

    def _provider_callers(self, reports: dict[str, str], url_key: dict[str, str]) -> None:
        stage, settle = self.stage, self.functions["settle"]
        replicate = {
            "S3_BUCKET": self.media.bucket.bucket_name,
            "REPLICATE_API_TOKEN": self._secret("replicate-token"),
            "REPLICATE_BASE_URL": self._provider_setting("replicate-base-url", stage.provider_base_url),
        }
        provider = {
            "SETTLE_FUNCTION": settle.function_name,
            **replicate,
            "RUNWAY_API_TOKEN": self._secret("runway-token"),
            "RUNWAY_BASE_URL": self._provider_setting("runway-base-url", stage.runway_base_url),
        }
        base = {"PUBLIC_BASE_URL": f"ssm:/vsl/{stage.name}/public-base-url"}
        self._function(
            "call_provider",
            World.OUTSIDE,
            provider | reports | url_key | base,
            stage.worker_timeout_seconds,
            stage.worker_memory_mb,
        )
        origins = self._provider_setting("provider-output-origins", ",".join(stage.provider_output_origins))
        self._function(
            "store_media",
            World.OUTSIDE,
            provider | reports | {"PROVIDER_OUTPUT_ORIGINS": origins},
            stage.store_timeout_seconds,
            stage.worker_memory_mb,
            storage_mb=stage.fetched_storage_mb,
        )
        self._function(
            "provider_catalog",
            World.OUTSIDE,
            replicate | self._models(),
            stage.worker_timeout_seconds,
            stage.api_memory_mb,
        )
        self._source_fetcher(reports)

    def _source_fetcher(self, reports: dict[str, str]) -> None:
        """Goes wherever a caller names, and so is given no secret."""
        stage = self.stage
        environment = {
            "SETTLE_FUNCTION": self.functions["settle"].function_name,
            "S3_BUCKET": self.media.bucket.bucket_name,
            **self._source_origins(),
        }
        self._function(
            "fetch_source",
            World.OUTSIDE,
            reports | environment,
            stage.store_timeout_seconds,
            stage.worker_memory_mb,
            storage_mb=stage.fetched_storage_mb,
        )

    def _share(self, topic: str) -> dict[str, str]:
        """How many of a queue's workers one account may have."""
        return {f"{topic.upper()}_SHARE": str(self.stage.queues[topic].share_of_account)}

    def _models(self) -> dict[str, str]:
        """The registry of models: a parameter is read at deploy, as inside functions have no route to SSM."""
        named = self.stage.models_config
        if self.stage.is_local:
            named = self._address("models-config")
        elif named.startswith("ssm:"):
            named = self._parameter(named.removeprefix("ssm:"))
        return {"MODELS_CONFIG": named}

    def _source_origins(self) -> dict[str, str]:
        """Where sources may lie that callers name by URL, besides every public https address."""
        return {"SOURCE_ORIGINS": self._provider_setting("source-origins", "")}

    def _live(
        self,
        name: str,
        topics: tuple[str, ...],
        environment: dict[str, str],
        timeout_seconds: int,
        memory_mb: int,
        *,
        encodes: bool = False,
    ) -> None:
        """An inside function that changes or reads jobs."""
        made = self._function(
            name,
            World.INSIDE,
            {
                "DATABASE_URL": self._address("database-app-url"),
                "REDIS_URL": self._address("redis-url"),
                "DYNAMODB_TABLE": self.data.jobs.table_name,
                "S3_BUCKET": self.media.bucket.bucket_name,
                **{f"{topic.upper()}_QUEUE_URL": self.queues[topic].queue_url for topic in topics},
                **environment,
            },
            timeout_seconds,
            memory_mb,
            encodes=encodes,
        )
        self._grant_database(made, APP)
        if self.data.cache is not None:
            self.data.cache.grant_connect(made)
        grant_sends(made, [self.queues[topic] for topic in topics])

    def _function(
        self,
        name: str,
        world: World,
        environment: dict[str, str],
        timeout_seconds: int,
        memory_mb: int,
        *,
        encodes: bool = False,
        storage_mb: int | None = None,
    ) -> ProductFunction:
        self.functions[name] = ProductFunction(
            self,
            name,
            self.around,
            world,
            environment,
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb,
            encodes=encodes,
            storage_mb=self.stage.encoder_storage_mb if encodes else storage_mb,
            in_chain=name in CHAINED,
        )
        return self.functions[name]

    def _grant_database(self, function: ProductFunction, role: str) -> None:
        """To log in as exactly this role of the database, by IAM tokens."""
        if self.data.cluster is not None:
            self.data.cluster.grant_connect(function, role)

    def _of_database(self) -> None:
        """Prepares the database for the other functions: its roles, from outside of its network, and its objects."""
        stage, cluster = self.stage, self.data.cluster
        owner = {"DATABASE_URL": self._address("database-owner-url")}
        bounds = (stage.migrate_timeout_seconds, stage.worker_memory_mb)
        self._grant_database(self._function("migrate", World.INSIDE, owner, *bounds), OWNER)
        if cluster is None:
            return
        assert cluster.secret is not None
        places = {"DATABASE_CLUSTER": cluster.cluster_arn, "DATABASE_SECRET": cluster.secret.secret_arn}
        roles = self._function("database_roles", World.OUTSIDE, {**places, "DATABASE_NAME": DATABASE}, *bounds)
        calls = ("BeginTransaction", "ExecuteStatement", "CommitTransaction", "RollbackTransaction")
        for actions, resource in (
            ([f"rds-data:{call}" for call in calls], cluster.cluster_arn),
            (["secretsmanager:GetSecretValue"], cluster.secret.secret_arn),
        ):
            roles.allow(*actions, on=[resource])

    def _reader_timeout_seconds(self, topic: str) -> int:
        stage = self.stage
        timeouts = {"calls": stage.worker_timeout_seconds, "reports": stage.worker_timeout_seconds}
        timeouts |= {"store": stage.store_timeout_seconds, "fetch": stage.store_timeout_seconds}
        return timeouts.get(topic, stage.encoder_timeout_seconds)

    def _read_queues(self) -> None:
        for topic, reader in READERS.items():
            numbers, queue, function = self.stage.queues[topic], self.queues[topic], self.functions[reader]
            function.allow(*CONSUME, on=[queue.queue_arn])
            # SqsEventSource would name it so too; with it go rights that Lambda does not use.
            function.add_event_source_mapping(
                f"SqsEventSource:{Names.node_unique_id(queue.node)}",
                event_source_arn=queue.queue_arn,
                batch_size=numbers.batch_size,
                max_concurrency=numbers.max_concurrency,
                report_batch_item_failures=True,
            )

    def _schedule(self) -> None:
        """EventBridge hands an event to Lambda's own queue, which tries a failed one twice more if not told otherwise,
        and keeps a throttled one for six hours."""
        rules: dict[int, aws_events.Rule] = {}
        for name, numbers in self.stage.schedules.items():
            age = Duration.minutes(numbers.every_minutes)
            rule = rules.get(numbers.every_minutes) or aws_events.Rule(
                self, _EVERY[numbers.every_minutes], schedule=aws_events.Schedule.rate(age)
            )
            rules[numbers.every_minutes] = rule
            function = self.functions[name]
            function.configure_async_invoke(max_event_age=age, retry_attempts=numbers.retries)
            rule.add_target(aws_events_targets.LambdaFunction(function, retry_attempts=0, max_event_age=age))

    def _address(self, name: str) -> str:
        return self._parameter(f"/vsl/{self.stage.name}/{name}")

    def _parameter(self, name: str) -> str:
        """Read at each deployment, as inside functions have no route to SSM.

        By a parameter of the template: of a dynamic reference CloudFormation compares the text, which stays the same,
        so that functions would keep the value of their last change
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/systems-manager-parameter-types.html).
        """
        plain, _, version = name.partition(":")
        return aws_ssm.StringParameter.value_for_string_parameter(self, plain, int(version) if version else None)

    def _provider_setting(self, name: str, value: str) -> str:
        """The stand-in's port is known only once the local stack runs."""
        return self._address(name) if self.stage.is_local else value

    def _secret(self, name: str) -> str:
        return f"secret:/vsl/{self.stage.name}/{name}"
