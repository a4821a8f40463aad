"""Sessions on Amazon Bedrock and Google's Vertex AI: the SDK's own clients over HTTP, with false credentials.

What answers is the scripted server, which checks paths, versions and signatures as the clouds do.
"""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integration.test_propose_session import EDIT, FINISH, PRICE, Bench, use
from outerloop.dev.messages_api import Fault, MessagesApi, serving
from outerloop.dev.messages_api.clouds import SECRET
from outerloop.propose.provider import provider_of
from outerloop.propose.record import Proposed
from outerloop.propose.session import Session
from outerloop.propose.settings import ProposeSettings
from outerloop.runtime.errors import OutageError, UserError

pytest.importorskip("botocore", reason="the extra `bedrock` is not installed")
pytest.importorskip("google.auth", reason="the extra `vertex` is not installed")

MODELS = {"bedrock": "eu.anthropic.claude-sonnet-5-5-20260901-v1:0", "vertex": "claude-sonnet-5-5@20260901"}
CLOUDS = list(MODELS)
INVOKE = "/model/anthropic.claude-sonnet-5-5/invoke"
PREDICT = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5-5:rawPredict"
BEARER = {"authorization": "Bearer k"}
USER: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where the clouds' own SDKs look for them; what they find opens the scripted server and nothing else."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "shop",
        "private_key": pem.decode(),
        "client_email": "propose@shop.example",
        "token_uri": "http://127.0.0.1:9/token",
    }
    (tmp_path / "google.json").write_text(json.dumps(account))
    env = {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        # One of its own for each test: the SDK keeps the credentials that it has once found, by region.
        "AWS_REGION": f"eu-{uuid.uuid4().hex[:8]}-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CLOUD_ML_REGION": "europe-west1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "shop",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "google.json"),
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    return env


@asynccontextmanager
async def google(env: dict[str, str]) -> AsyncIterator[list[str]]:
    """Google's token endpoint: what is asked of it, and a token for whoever asks well."""
    asked: list[str] = []

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        asked.append(str(form["grant_type"]))
        return web.json_response(
            {"access_token": "ya29.scripted", "expires_in": 3600, "token_type": "Bearer"}
        )

    app = web.Application()
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _rewrite(Path(env["GOOGLE_APPLICATION_CREDENTIALS"]), f"http://127.0.0.1:{runner.addresses[0][1]}/token")
    try:
        yield asked
    finally:
        await runner.cleanup()


def _rewrite(account: Path, token_uri: str) -> None:
    account.write_text(json.dumps(json.loads(account.read_text()) | {"token_uri": token_uri}))


def settings_of(cloud: Any, api: MessagesApi) -> ProposeSettings:
    url = f"{api.url}/v1" if cloud == "vertex" else api.url
    return ProposeSettings(propose_provider=cloud, propose_provider_url=url, propose_model=MODELS[cloud])


class Abroad(Bench):
    """A session that asks a cloud."""

    def __init__(self, root: Path, cloud: str, *turns: list[dict[str, Any]]) -> None:
        super().__init__(root, *turns)
        self.cloud = cloud
        self.model = MODELS[cloud]

    @asynccontextmanager
    async def session(self, api: MessagesApi) -> AsyncIterator[Session]:
        provider = provider_of(settings_of(self.cloud, api))
        provider.client.max_retries = 0
        async with provider.client:
            yield self.of(provider)


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_session_on_a_cloud_is_one_like_any(
    tmp_path: Path, credentials: dict[str, str], cloud: str
) -> None:
    bench = Abroad(tmp_path / "tree", cloud, [use("edit_file", **EDIT)], [use("finish", **FINISH)])
    async with google(credentials) as asked:
        ended = await bench.run()
    assert isinstance(ended, Proposed)
    assert 0 < ended.usd == pytest.approx(PRICE.usd(ended.usage))
    assert bench.workspace.changed == ("prompts/policy.md",)
    assert [request["model"] for request in bench.requests] == ["claude-sonnet-5-5"] * 2
    # One token for both calls, asked for as a service account asks.
    assert asked == (["urn:ietf:params:oauth:grant-type:jwt-bearer"] if cloud == "vertex" else [])


@pytest.mark.parametrize("kind", ["429", "500", "529"])
@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_cloud_that_is_busy_is_an_outage(
    tmp_path: Path, credentials: dict[str, str], cloud: str, kind: Any
) -> None:
    bench = Abroad(tmp_path / "tree", cloud, [use("list_files")])
    bench.fault = Fault(kind=kind)
    async with google(credentials):
        with pytest.raises(OutageError, match="the model provider is away"):
            await bench.run()
    assert bench.told[-1].usd == 0  # it said so itself: nothing is to be paid


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_model_that_a_cloud_does_not_know_is_the_settings_fault(
    tmp_path: Path, credentials: dict[str, str], cloud: str
) -> None:
    bench = Abroad(tmp_path / "tree", cloud, [use("list_files")])
    bench.model = "claude_9" if cloud == "vertex" else "anthropic.claude_9"
    async with google(credentials):
        with pytest.raises(UserError, match="OUTERLOOP_PROPOSE_MODEL: the provider does not know"):
            await bench.run()


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_SECRET_ACCESS_KEY", "another"), ("AWS_ACCESS_KEY_ID", None)]
)
async def test_credentials_that_open_nothing_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(name)
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    else:
        monkeypatch.setenv(name, value)
    bench = Abroad(tmp_path / "tree", "bedrock", [use("list_files")])
    with pytest.raises(OutageError, match=r"does not match the signature|credentials"):
        await bench.run()
    assert bench.told[-1].usd == 0  # no call was made, or it was refused


async def test_a_token_that_google_does_not_give_is_waited_for(tmp_path: Path) -> None:
    bench = Abroad(tmp_path / "tree", "vertex", [use("list_files")])
    with pytest.raises(OutageError, match="the cloud's credentials"):
        await bench.run()  # nobody listens at the account's token_uri
    assert bench.told[-1].usd == 0


@pytest.mark.parametrize(
    ("cloud", "name"),
    [("bedrock", "AWS_REGION"), ("vertex", "CLOUD_ML_REGION"), ("vertex", "ANTHROPIC_VERTEX_PROJECT_ID")],
)
def test_what_a_cloud_has_to_be_told_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, cloud: Any, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(UserError, match=rf"OUTERLOOP_PROPOSE_PROVIDER: {cloud}: .*{name}"):
        provider_of(ProposeSettings(propose_provider=cloud))


async def test_bedrock_takes_no_version_but_its_own(tmp_path: Path) -> None:
    # What the SDK sends by itself: the reason for which we name the version.
    bench = Bench(tmp_path / "tree", [use("list_files")])
    async with serving(bench.reply) as api, anthropic.AsyncAnthropicBedrock(base_url=api.url) as client:
        with pytest.raises(anthropic.BadRequestError, match="is not a valid version"):
            await client.messages.create(model=MODELS["bedrock"], max_tokens=9, messages=USER)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "said"),
    [
        (INVOKE, {}, {}, 403, "not signed as it must be"),
        (
            INVOKE,
            {},
            BEARER,
            400,
            "anthropic_version: Field required",
        ),
        (
            INVOKE,
            {"anthropic_version": "bedrock-2023-05-31", "model": "claude-sonnet-5-5"},
            BEARER,
            400,
            "model: Extra inputs are not permitted",
        ),
        (
            INVOKE,
            {"anthropic_version": "bedrock-2023-05-31", "stream": True},
            BEARER,
            400,
            "stream: Extra inputs",
        ),
        ("/model/claude-sonnet-5-5/invoke", {}, BEARER, 400, "identifier is invalid"),
        (
            PREDICT,
            {},
            {},
            401,
            "authentication credential",
        ),
        (
            PREDICT,
            {"anthropic_version": "2023-06-01"},
            BEARER,
            400,
            "is not a valid version",
        ),
    ],
)
async def test_the_scripted_server_is_as_strict_as_the_clouds(
    *, tmp_path: Path, path: str, body: dict[str, Any], headers: dict[str, str], status: int, said: str
) -> None:
    bench = Bench(tmp_path / "tree", [use("list_files")])
    whole = {"max_tokens": 9, "messages": USER} | body
    async with serving(bench.reply) as api, httpx2.AsyncClient() as client:
        answer = await client.post(f"{api.url}{path}", json=whole, headers=headers)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert bench.requests == []
