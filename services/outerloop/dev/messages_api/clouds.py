"""The same model as Amazon Bedrock and Google's Vertex AI serve it: other paths, credentials and errors.

    POST /model/{model}/invoke                                                                  Bedrock
    POST /v1/projects/…/locations/…/publishers/anthropic/models/{model}:rawPredict                Vertex

The model stands in the path and not in the body, which names the version of the API instead. A request to
Bedrock is signed (SigV4, with SECRET, whatever the access key) or shows a bearer token; one to Vertex shows a
bearer token. Streams are not offered.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from aiohttp import web

from outerloop.dev.messages_api.errors import ApiError, invalid
from outerloop.dev.messages_api.shapes import MessagesRequest, SampledMessagesRequest

Front = Literal["", "bedrock", "vertex"]
BEDROCK = "/model/{model}/invoke"
VERTEX = "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict"
SECRET = "scripted-secret-key"  # noqa: S105 - opens nothing
# By what stands in the body as anthropic_version. Bedrock's own is the only one that its InvokeModel takes;
# Vertex's documentation asks for the first, Anthropic's SDK sends the second.
_VERSIONS: Mapping[str, Mapping[str, type[MessagesRequest]]] = {
    "bedrock": {"bedrock-2023-05-31": SampledMessagesRequest},
    "vertex": {"vertex-2023-10-16": SampledMessagesRequest, "2026-10-21": MessagesRequest},
}
_NAMES: Mapping[str, str] = {
    "bedrock": r"(?:[a-z]{2,6}\.)?anthropic\.(claude-[a-z]+-\d+(?:-\d{1,2})?)(?:-\d{8})?(?:-v\d+(?::\d+)?)?",
    "vertex": r"(claude-[a-z]+-\d+(?:-\d{1,2})?)(?:@\d{8})?",
}
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/bedrock/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK = timedelta(minutes=5)  # how far the sender's may be off
_AMAZON = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_GOOGLE = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def front_of(path: str) -> Front:
    """Whose path it is; "" for Anthropic's own API."""
    if path.startswith("/model/"):
        return "bedrock"
    return "vertex" if path.startswith("/v1/projects/") else ""


def check_sender(front: Front, request: web.Request, body: bytes) -> None:
    """Whether the request shows what the cloud asks for. Raises ApiError."""
    said = request.headers.get("authorization", "")
    if said.startswith("Bearer ") and said.removeprefix("Bearer ").strip():
        return
    if front == "vertex":
        raise ApiError(401, "Request is missing required authentication credential.")
    _check_signature(said, request, body)


def as_sent(front: Front, raw: dict[str, Any], name: str) -> tuple[dict[str, Any], type[MessagesRequest]]:
    """The request as Anthropic's own API takes it, and its shape; `name` is the model's in the path.

    Raises ApiError.
    """
    found = re.fullmatch(_NAMES[front], name)
    if found is None and front == "bedrock":
        raise invalid("The provided model identifier is invalid.")
    if found is None:
        raise ApiError(404, f"Publisher Model `publishers/anthropic/models/{name}` was not found.")
    version = raw.get("anthropic_version")
    if version is None:
        raise invalid("anthropic_version: Field required")
    shape = _VERSIONS[front].get(str(version))
    if shape is None:
        raise invalid(f'anthropic_version: "{version}" is not a valid version')
    for field in ("model", "stream") if front == "bedrock" else ("model",):
        if field in raw:
            raise invalid(f"{field}: Extra inputs are not permitted")
    return {key: value for key, value in raw.items() if key != "anthropic_version"} | {
        "model": found[1]
    }, shape


def failed(front: Front, error: ApiError, request_id: str) -> web.Response:
    """An error as the cloud says it."""
    if front == "bedrock":
        status = {401: 403, 529: 503}.get(error.status, error.status)
        kind = {
            "x-amzn-errortype": _AMAZON.get(status, "ValidationException"),
            "x-amzn-requestid": request_id,
        }
        return web.json_response({"message": error.message}, status=status, headers=kind)
    if error.status in _GOOGLE:  # Google's own; all else is Anthropic's, passed on
        about = {"code": error.status, "message": error.message, "status": _GOOGLE[error.status]}
        return web.json_response({"error": about}, status=error.status)
    return web.json_response(error.body(request_id), status=error.status)


def _check_signature(said: str, request: web.Request, body: bytes) -> None:
    """AWS Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html."""
    found = _SIGNED.fullmatch(said)
    at = request.headers.get("x-amz-date", "")
    if found is None or not {"host", "x-amz-date"} <= set(found["names"].split(";")):
        raise ApiError(403, "The request is not signed as it must be.")
    if not at.startswith(found["day"]) or abs(datetime.now(UTC) - _time(at)) > _CLOCK:
        raise ApiError(403, f"Signature expired or not yet current: {at}")
    canonical = "\n".join(
        [
            request.method,
            quote(request.rel_url.raw_path, safe="/~"),
            request.rel_url.raw_query_string,
            *(
                f"{name}:{' '.join(request.headers.get(name, '').split())}"
                for name in found["names"].split(";")
            ),
            "",
            found["names"],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{found['day']}/{found['region']}/bedrock/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), found["signature"]):
        raise ApiError(403, "The request signature we calculated does not match the signature you provided.")


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ApiError(403, f"x-amz-date: {text!r} is no time") from error
