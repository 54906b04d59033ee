"""How the HTTP API says that something went wrong: ``{"error": {"message": ..., "field": ...}}``.
"""

import logging
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .documents import DocumentResponse
from .methods import methods_of

__all__ = ["Error", "ErrorDocument", "ApiError", "RESPONSES", "add_error_handlers",
           "error_response"]

_log = logging.getLogger(__name__)


class Error(BaseModel):
    """What went wrong."""

    message: str = Field(description="What happened, and what was expected.")
    field: Optional[str] = Field(
        None, description="Which parameter, or which part of the body, it is about.")


class ErrorDocument(BaseModel):
    """The body of each response with a status from 400."""

    error: Error


#: What each path of the API may respond with, besides its own.
RESPONSES: Dict[Union[int, str], Dict[str, Any]] = {
    400: {"model": ErrorDocument, "description": "The body is cut off, or not what it says."},
    401: {"model": ErrorDocument, "description": "The password is missing or wrong."},
    403: {"model": ErrorDocument,
          "description": "The name in Host, or the site in Origin, is not this server's."},
    404: {"model": ErrorDocument, "description": "It is not there, or not any more."},
    409: {"model": ErrorDocument,
          "description": "The simulator does not run, or a library that it needs is missing."},
    413: {"model": ErrorDocument, "description": "The body is too large."},
    422: {"model": ErrorDocument, "description": "A parameter, or the body, is not usable."},
}


class ApiError(Exception):
    """Ends a request with an error.

    :param status: status of the response, from 400 (int).
    :param message: what happened, and what was expected (str).
    :param field: name of the parameter, or of the part of the body (str), or None.
    """

    def __init__(self, status: int, message: str, field: Optional[str] = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


def error_response(status: int, message: str, field: Optional[str] = None,
                   headers: Optional[Mapping[str, str]] = None) -> Response:
    """Return a response with an error document."""
    return DocumentResponse({"error": {"message": message, "field": field}}, status, headers)


def add_error_handlers(application: FastAPI) -> None:
    """Have an application turn every exception into an error document."""
    application.add_exception_handler(ApiError, _on_api_error)
    application.add_exception_handler(RequestValidationError, _on_invalid_request)
    application.add_exception_handler(HTTPException, _on_http_error)
    application.add_exception_handler(Exception, _on_failure)


def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error.status, str(error), error.field)


def _on_invalid_request(request: Request, error: Exception) -> Response:
    """Name the first thing that is wrong. The value is not repeated: it may be a key."""
    assert isinstance(error, RequestValidationError)
    errors: Sequence[Any] = error.errors()
    first = errors[0]
    kind, location = first["type"], first["loc"]
    if kind == "json_invalid":
        return error_response(422, "the body is not JSON: %s at character %d"
                              % (first["ctx"]["error"], location[-1] + 1))
    if location == ("body",) and kind != "missing" and not _is_json(request):
        return error_response(422, "the body is not said to be JSON: expected the header field "
                                   "Content-Type: application/json (curl --json sends it)")
    field = _name_of(location)
    message = first["msg"]
    if kind == "extra_forbidden":
        message = "there is no such %s" % ("field" if location[0] == "body" else "parameter")
    return error_response(422, "%s: %s" % (field or "body", message), field)


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _name_of(location: Sequence[Union[str, int]]) -> Optional[str]:
    """Return the name of a parameter, or the place in the body such as ``script.errors.3``."""
    # Where a value may be of several types, their names stand in it: dict[str,any].
    parts: List[str] = [str(part) for part in location if "[" not in str(part)]
    if parts[0] in ("body", "query", "path", "header"):
        del parts[0]
    return ".".join(parts) or None


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    message = str(error.detail)
    if error.status_code == 400:
        message = ("the body cannot be read: it is cut off, nested too deep, or has a number that "
                   "is too large")
    elif error.status_code == 404:
        message = "there is no such path; /api/v1/openapi.json has those that there are"
    elif error.status_code == 405:
        methods = methods_of(request.app, request.url.path) or ["GET", "HEAD"]
        headers["Allow"] = ", ".join(methods)
        message = "there is no %s of this path, expected %s" % (request.method, headers["Allow"])
    return error_response(error.status_code, message, None, headers)


def _on_failure(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, "the server failed: %s" % type(error).__name__)
