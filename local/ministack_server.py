"""Starts MiniStack with trace headers that travel as they do in AWS. Run by MiniStack's own Python, as a script.

Lambda counts the rounds of a chain in the trace header (`local/runtime/lineage.py`), which services pass on: SQS keeps
a request's X-Amzn-Trace-Id as `AWSTraceHeader` of each message it brings (Amazon SQS Developer Guide, "Message system
attributes"), Lambda gives an invocation's to the function. MiniStack 1.5.33 drops both. A version of it that has moved
what is replaced here does not start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any

_HEADER = "x-amzn-trace-id"
_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def main() -> None:
    carry_trace_headers(import_module("ministack.services.sqs"), import_module("ministack.services.lambda_svc"))
    import_module("ministack.app").main()


def carry_trace_headers(sqs: Any, functions: Any) -> None:
    """Raises AttributeError or KeyError when MiniStack has changed."""
    for service in (sqs, functions):
        service.handle_request = _remembering(service.handle_request)
    sqs._act_send_message = sqs._HANDLERS["SendMessage"] = _keeping(sqs._act_send_message)
    functions._xray_trace_id_for_invocation = _preferring_the_callers(functions._xray_trace_id_for_invocation)


def _remembering(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Work that a request starts, in other threads too, has the request's header."""

    async def handle_request(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        _trace.set(headers.get(_HEADER))
        return await handle(method, path, headers, *rest)

    return handle_request


def _keeping(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_message(data: dict[str, Any], queue_url: str) -> Any:
        trace = _trace.get()
        if trace and not data.get("MessageSystemAttributes"):
            header = {"DataType": "String", "StringValue": trace}
            data = {**data, "MessageSystemAttributes": {"AWSTraceHeader": header}}
        return send(data, queue_url)

    return send_message


def _preferring_the_callers(make: Callable[..., Any]) -> Callable[..., Any]:
    def trace_id(config: dict[str, Any], inbound: str | None = None) -> Any:
        return make(config, inbound or _trace.get())

    return trace_id


if __name__ == "__main__":
    main()
