"""The HTTP API held against its own OpenAPI document, by clients that were made from it."""

import re
import sys

import httpx
import pytest

from docs_support import read_page
from web_support import LIMIT

#: schemathesis is installed where it runs with the newest of everything.
IS_NEWEST = sys.version_info >= (3, 14)


@pytest.fixture(scope="module")
def document(running):
    return running.http.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield "%s %s" % (method.upper(), path), operation


def test_everything_is_described(document):
    """Each operation and parameter has a text; errors are modelled."""
    missing = []
    for name, operation in operations(document):
        if not operation.get("summary") or not operation.get("description"):
            missing.append(name)
        for parameter in operation.get("parameters", []):
            if not (parameter.get("description") or parameter["schema"].get("description")):
                missing.append("%s: %s" % (name, parameter["name"]))
        for status in ("401", "403", "413", "422"):
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            if schema != {"$ref": "#/components/schemas/ErrorDocument"}:
                missing.append("%s: %s" % (name, status))
    assert missing == []


def test_operations_have_names_of_their_own(document):
    """Generators make functions of them."""
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names) > 20
    assert [name for name in names if not name.isidentifier()] == []


def test_nothing_of_the_page_is_in_it(document):
    """It is for programs."""
    assert [path for path in document["paths"] if not path.startswith("/api/v1/")] == [
        "/ca.pem", "/metrics"]


def test_the_paths_of_the_documentation_are_there(document):
    """Under the methods that it gives."""
    found = re.findall(r"^``([A-Z]+) (/\S*)``", read_page("docs/simulator-api.rst"), re.M)
    assert len(found) > 30
    assert [path for method, path in found
            if method.lower() not in document["paths"].get("/api/v1" + path, {})] == []


@pytest.mark.skipif(not IS_NEWEST, reason="schemathesis is not installed here")
def test_requests_made_from_the_document(running):
    """Whatever it allows is answered as it says, and what it does not allow is refused."""
    import hypothesis
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    @schemathesis.serializer("application/x-ndjson")
    def serialize(context, value):
        return str(value).encode("utf-8", "replace")

    schema = schemathesis.openapi.from_url(running.url + "/api/v1/openapi.json")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance,
              response_schema_conformance]
    tried, failures = [], []
    for found in schema.get_all_operations():
        operation = found.ok()
        name = "%s %s" % (operation.method.upper(), operation.path)
        # It does not end.
        if name == "GET /api/v1/events":
            continue
        tried.append(name)

        @hypothesis.given(operation.as_strategy())
        @hypothesis.settings(
            max_examples=8, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck))
        def check(case):
            if "wait" in (case.query or {}):
                case.query["wait"] = "0ms"
            case.call_and_validate(checks=checks, timeout=LIMIT)

        try:
            check()
        except Exception as error:
            failures.append("%s: %s" % (name, error))
    assert failures == []
    assert len(tried) > 20
    assert httpx.get(running.url + "/api/v1/health", timeout=LIMIT).json()["status"] == "ok"
