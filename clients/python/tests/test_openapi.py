"""What a broker says of itself by HTTP: its description is OpenAPI, and is true."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from real_broker import BINARY, RealBroker

pytestmark = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    """Where a broker speaks HTTP."""
    broker = RealBroker("--listen", "http://127.0.0.1:0")
    assert broker.process.stdout is not None
    said = broker.process.stdout.readline()
    assert said.startswith("babelmq page at "), said
    yield said.split()[-1].rstrip("/")
    broker.close()


def ask(url: str, method: str = "GET", **sent: Any) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, method=method, **sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), error.read()


def described(http: str) -> dict[str, Any]:
    status, kind, body = ask(f"{http}/openapi.json")
    assert (status, kind) == (200, "application/json")
    description = json.loads(body)
    assert isinstance(description, dict)
    return description


def test_it_is_openapi(http: str) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    errors = list(OpenAPIV31SpecValidator(described(http)).iter_errors())
    assert not errors, errors


JSON = {"data": b"[1, 2]", "headers": {"Content-Type": "application/json"}}
VALUE = "/api/v1/value?topic=/a"


@pytest.mark.parametrize(
    ("method", "target", "sent", "expected"),
    [
        ("GET", "/healthz", {}, 200),
        ("GET", "/readyz", {}, 200),
        ("POST", "/api/v1/publish?topic=/a", JSON, 202),
        ("POST", "/api/v1/publish?topic=/a", {"data": b"a=b"}, 415),
        ("POST", "/api/v1/publish?topic=/a", {**JSON, "data": b"["}, 400),
        ("GET", VALUE, {}, 200),
        ("GET", VALUE, {"headers": {"Accept": "image/png"}}, 406),
        ("GET", VALUE, {"headers": {"Host": "broker.example"}}, 421),
        ("GET", "/api/v1/value?topic=/none", {}, 404),
        ("DELETE", VALUE, {"headers": {"Origin": "https://page.example"}}, 403),
        ("GET", "/api/v1/topics?limit=1", {}, 200),
        ("GET", "/api/v1/topics?limit=0", {}, 400),
        ("GET", "/api/v1/stats", {}, 200),
        ("GET", "/api/v1/limits", {}, 200),
        ("GET", "/api/v1/clients", {}, 200),
        ("DELETE", "/api/v1/clients?id=99999", {}, 404),
        ("GET", "/ws", {}, 426),
        ("DELETE", VALUE, {}, 204),
    ],
)
def test_answers_are_as_it_says(
    http: str, method: str, target: str, sent: dict[str, Any], expected: int
) -> None:
    from jsonschema import Draft202012Validator

    status, kind, body = ask(http + target, method, **sent)
    assert status == expected, body
    description = described(http)
    operation = description["paths"][target.split("?")[0]][method.lower()]
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = description["components"]["responses"][response["$ref"].split("/")[-1]]
    contents = response.get("content")
    if contents is None:
        assert body == b""
        return
    schema = {**contents[kind]["schema"], "components": description["components"]}
    Draft202012Validator(schema).validate(json.loads(body))
