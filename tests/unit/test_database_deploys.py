"""What a deploy does to the database: always answered, by the Data API, with logins that are kept for a while."""

from __future__ import annotations

import json
import urllib.request
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from botocore.validate import ParamValidator

from functions.database_roles import handler as roles_function
from functions.migrate import handler as migrate_function
from shared import bootstrap, config
from shared.adapters.data_api import PAUSE_SECONDS, TRIES, DataApi, patiently
from shared.adapters.postgres.connection import PostgresRecords
from shared.adapters.postgres.roles import APP, OWNER, make_roles
from shared.adapters.postgres.tokens import DatabaseTokens
from shared.domain.errors import Conflict, DependencyDown
from tests.lambda_context import LambdaContext
from tests.memory import MemoryClock

DIRECT = {
    "ResponseURL": "https://cloudformation.example/answer",
    "StackId": "s",
    "RequestId": "r",
    "LogicalResourceId": "l",
}
CLUSTER, SECRET = "arn:aws:rds:eu-west-1:1:cluster:c", "arn:aws:secretsmanager:eu-west-1:1:secret:s"
BY_FRAMEWORK = {**DIRECT, "ResponseURL": "..."}


CONTEXT = LambdaContext(milliseconds_left=270_000)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What CloudFormation was answered."""
    answers: list[dict[str, Any]] = []

    def take(request: urllib.request.Request, timeout: float) -> Any:
        assert (request.full_url, request.method) == (DIRECT["ResponseURL"], "PUT")
        assert isinstance(request.data, bytes)
        answers.append(json.loads(request.data))
        return nullcontext()

    monkeypatch.setattr(urllib.request, "urlopen", take)
    monkeypatch.setattr(
        bootstrap, "settings", lambda kind: kind(stage="dev", database_url="postgresql://vsl_owner@h/d")
    )
    return answers


def _migrating(monkeypatch: pytest.MonkeyPatch, outcome: Exception | list[str]) -> list[str]:
    urls: list[str] = []

    def apply(url: str) -> list[str]:
        urls.append(url)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(bootstrap, "apply_migrations", apply)
    return urls


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_cloudformation_is_told_that_migrations_ran(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, request_type: str
) -> None:
    urls = _migrating(monkeypatch, ["0001_initial.sql"])

    migrate_function.handler({**DIRECT, "RequestType": request_type}, CONTEXT)

    (answer,) = told
    assert urls == ["postgresql://vsl_owner@h/d"]
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "vsl-schema")
    assert (answer["StackId"], answer["RequestId"], answer["LogicalResourceId"]) == ("s", "r", "l")


@pytest.mark.parametrize("error", [Conflict("Changed.", code="migration_changed"), RuntimeError("x"), MemoryError()])
def test_cloudformation_is_told_that_migrations_failed(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    _migrating(monkeypatch, error)

    migrate_function.handler({**DIRECT, "RequestType": "Update"}, CONTEXT)

    (answer,) = told
    # The same id as before: another one would have CloudFormation delete the old.
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", "vsl-schema")
    assert answer["Reason"] == f"{type(error).__name__}: see the log of this function"


def test_the_framework_is_answered_by_what_is_returned_or_raised(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _migrating(monkeypatch, ["0001_initial.sql"])
    answer = migrate_function.handler({**BY_FRAMEWORK, "RequestType": "Create"}, CONTEXT)
    _migrating(monkeypatch, RuntimeError("no such column"))
    with pytest.raises(RuntimeError):
        migrate_function.handler({**BY_FRAMEWORK, "RequestType": "Update"}, CONTEXT)

    assert (answer["PhysicalResourceId"], answer["Data"], told) == ("vsl-schema", {"applied": 1}, [])


@pytest.mark.parametrize("event", [DIRECT, BY_FRAMEWORK])
def test_to_delete_the_resource_touches_no_row(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    urls = _migrating(monkeypatch, RuntimeError("nobody asks"))
    monkeypatch.setattr(bootstrap, "make_database_roles", lambda _: urls.append("roles"))

    migrate_function.handler({**event, "RequestType": "Delete"}, CONTEXT)
    made = roles_function.handler({**BY_FRAMEWORK, "RequestType": "Delete"}, CONTEXT)

    assert (urls, made["PhysicalResourceId"]) == ([], "vsl-database-roles")
    assert [answer["Status"] for answer in told] == ["SUCCESS"] * len(told)


def test_migrations_have_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.adapters.postgres import migrations

    given: list[float] = []
    monkeypatch.setattr(migrations, "apply_migrations", lambda *_, seconds, **__: given.append(seconds) or [])
    for left in (270.0, 100.0):
        monkeypatch.setattr(bootstrap, "seconds_left", lambda left=left: left)
        bootstrap.apply_migrations("postgresql://vsl_owner:secret@h/d")

    assert given == [240.0, 95.0]


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class FakeDataApi:
    """Takes what botocore's model of the service takes; answers in its shapes."""

    def __init__(self, failures: int = 0, known: tuple[str, ...] = (), lost: bool = False) -> None:
        self._model = get_session().get_service_model("rds-data")
        self.failures, self.known, self.lost = failures, known, lost
        self.calls: list[str] = []
        self.statements: list[str] = []

    def _take(self, operation: str, parameters: dict[str, Any]) -> None:
        shape = self._model.operation_model(operation).input_shape
        assert not (report := ParamValidator().validate(parameters, shape)).has_errors(), report.generate_report()
        assert (parameters["resourceArn"], parameters["secretArn"]) == (CLUSTER, SECRET)
        self.calls.append(operation)

    def begin_transaction(self, **parameters: Any) -> dict[str, Any]:
        self._take("BeginTransaction", parameters)
        return {"transactionId": f"t{len(self.calls)}"}

    def execute_statement(self, **parameters: Any) -> dict[str, Any]:
        self._take("ExecuteStatement", parameters)
        self.statements.append(parameters["sql"])
        if self.failures:
            self.failures -= 1
            raise ClientError({"Error": {"Code": "DatabaseErrorException", "Message": "lock timeout"}}, "x")
        if "quote_ident" in parameters["sql"]:
            return {"records": [[{"stringValue": "vsl"}]], "numberOfRecordsUpdated": 0}
        if "pg_roles WHERE rolname IN" in parameters["sql"]:
            return {"records": [[{"stringValue": role}] for role in self.known]}
        return {"records": []} if parameters["sql"].lstrip().startswith("SELECT") else {"numberOfRecordsUpdated": 0}

    def commit_transaction(self, **parameters: Any) -> None:
        self._take("CommitTransaction", parameters)

    def rollback_transaction(self, **parameters: Any) -> None:
        self._take("RollbackTransaction", parameters)
        if self.lost:
            raise ClientError({"Error": {"Code": "TransactionNotFoundException", "Message": "is not found"}}, "x")


def _api(client: FakeDataApi) -> DataApi:
    return DataApi(client, CLUSTER, SECRET, "vsl")


def test_roles_are_made_in_one_transaction_of_statements_that_the_data_api_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = FakeDataApi()
    monkeypatch.setattr(bootstrap, "aws", {"rds-data": client}.__getitem__)
    monkeypatch.setattr(
        bootstrap,
        "settings",
        lambda kind: config.DatabaseRoles(
            stage="dev",
            database_cluster=CLUSTER,
            database_secret=SECRET,
            database_name="vsl",
        ),
    )

    answer = roles_function.handler({**BY_FRAMEWORK, "RequestType": "Create"}, CONTEXT)

    assert answer == {"PhysicalResourceId": "vsl-database-roles", "Data": {"handedOver": 0}}
    assert (client.calls[0], client.calls[-1], client.calls.count("BeginTransaction")) == (
        "BeginTransaction",
        "CommitTransaction",
        1,
    )
    assert [one for one in client.statements if "ROLE vsl_" in one] == [
        "CREATE ROLE vsl_maker CREATEROLE",
        "SET LOCAL ROLE vsl_maker",
        "CREATE ROLE vsl_app LOGIN",
        "CREATE ROLE vsl_owner LOGIN",
        "DROP ROLE vsl_maker",
    ]
    assert client.statements[-1] == "GRANT rds_iam TO vsl_owner, vsl_app"
    # One statement at a time, and a colon would begin the name of a parameter.
    assert not [one for one in client.statements if ";" in one or ":" in one]


def test_roles_that_are_there_are_not_made_again() -> None:
    client = FakeDataApi(known=(OWNER, APP))

    patiently(_api(client), make_roles, MemoryClock(BEGAN))

    assert not [one for one in client.statements if "ROLE vsl_" in one]


def test_a_rollback_that_fails_hides_nothing_of_what_was_refused() -> None:
    with pytest.raises(ClientError, match="lock timeout"):
        patiently(_api(FakeDataApi(failures=1000, lost=True)), make_roles, MemoryClock(BEGAN))


def test_what_is_refused_is_rolled_back_and_tried_again() -> None:
    client, clock = FakeDataApi(failures=2), MemoryClock(BEGAN)

    patiently(_api(client), make_roles, clock)

    assert client.calls.count("RollbackTransaction") == 2
    waited = (clock.now() - BEGAN).total_seconds()
    assert (client.calls[-1], waited) == ("CommitTransaction", 2 * PAUSE_SECONDS)


def test_what_stays_refused_fails_the_deploy() -> None:
    client = FakeDataApi(failures=1000)

    with pytest.raises(ClientError):
        patiently(_api(client), make_roles, MemoryClock(BEGAN))

    assert client.calls == ["BeginTransaction", "ExecuteStatement", "RollbackTransaction"] * TRIES


class Signer:
    """boto3's own, whose tokens of one second would be the same; `made` are the users."""

    def __init__(self) -> None:
        self._rds = boto3.client("rds", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
        self.made: list[str] = []

    def generate_db_auth_token(self, **place: Any) -> str:
        self.made.append(place["DBUsername"])
        return f"{self._rds.generate_db_auth_token(**place)}&{len(self.made)}"


def test_a_token_is_used_for_ten_minutes_and_is_of_its_role_alone() -> None:
    clock, signer = MemoryClock(BEGAN), Signer()
    tokens = DatabaseTokens(lambda: signer, clock)
    app, owner = "postgresql://vsl_app@h.example:5432/vsl?sslmode=verify-full", "postgresql://vsl_owner@h.example/vsl"
    first = tokens.kept_for(app)
    clock.sleep(599)
    again, other = tokens.kept_for(app), tokens.kept_for(owner)
    clock.sleep(2)
    later = tokens.kept_for(app)

    assert first.startswith("h.example:5432/?Action=connect&DBUser=vsl_app&")
    assert (again == first, later == first, signer.made) == (True, False, ["vsl_app", "vsl_owner", "vsl_app"])
    assert "DBUser=vsl_owner&" in other


def test_a_token_grows_old_while_its_environment_is_frozen() -> None:
    clock, signer = MemoryClock(BEGAN), Signer()
    tokens = DatabaseTokens(lambda: signer, clock)
    first = tokens.kept_for("postgresql://vsl_app@h.example/vsl")
    clock.freeze(15 * 60)

    assert tokens.kept_for("postgresql://vsl_app@h.example/vsl") != first


def test_a_connect_that_failed_is_tried_again_with_another_token(monkeypatch: pytest.MonkeyPatch) -> None:
    signer, tried = Signer(), []

    def refuse(_url: str, *, password: str, **_: Any) -> None:
        tried.append(password)
        raise psycopg.OperationalError("PAM authentication failed")

    monkeypatch.setattr(psycopg, "connect", refuse)
    records = PostgresRecords("postgresql://vsl_app@h.example/vsl", DatabaseTokens(lambda: signer, MemoryClock(BEGAN)))
    for _ in range(2):
        with pytest.raises(DependencyDown):
            records.ping()

    assert len(set(tried)) == 2


def test_each_run_of_the_migrations_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.adapters.postgres import migrations

    given: list[str] = []
    signer = Signer()
    tokens = DatabaseTokens(lambda: signer, MemoryClock(BEGAN))
    monkeypatch.setattr(bootstrap, "_tokens", lambda: tokens)
    monkeypatch.setattr(bootstrap, "seconds_left", lambda: 100.0)
    monkeypatch.setattr(migrations, "apply_migrations", lambda *_, password, **__: given.append(password) or [])
    for _ in range(2):
        bootstrap.apply_migrations("postgresql://vsl_owner@h.example/vsl")

    assert len(set(given)) == 2
