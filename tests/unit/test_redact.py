"""Redaction: what must go goes, wherever it stands; what must stay stays, to the byte."""

import base64
import json
import os
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

import samples
from outerloop.ingest.core.redact import Policy, Redactor
from outerloop.runtime.errors import PoisonError
from outerloop.trace.otlp import split_delimited

REAL = sorted((Path(__file__).parents[3] / "shared" / "traces").glob("*.otlp.pb.zst"))
PLAIN, ALL = (
    Redactor(Policy()),
    Redactor(Policy(cards=True, emails=True, phones=True, phone_regions=("US", "DE"))),
)
chance = random.Random(7)  # noqa: S311 - repeatable


def some(alphabet: str, length: int) -> str:
    # One of each kind at its beginning, as real ones have.
    return "a7" + "".join(chance.choices(alphabet, k=length - 2))


WORD, URL, HEX = (
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "-_",
    "0123456789abcdef",
)
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"A"}', os.urandom(32))
)
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(["MIIEpAIBAAKCAQEA" * 4] * 12)
# Put together here, so that no scanner of repositories takes this file for a leak.
SECRETS = {
    "anthropic-key": "sk-" + "ant-api03-" + some(URL, 93) + "AA",
    "openai-key": "sk-" + "proj-" + some(URL, 120) + "x",
    "openrouter-key": "sk-" + "or-v1-" + some(HEX, 64),
    "groq-key": "gsk" + "_" + some(WORD, 52),
    "huggingface-token": "hf" + "_" + some(WORD, 34),
    "google-key": "AI" + "za" + some(WORD, 35),
    "langfuse-key": "sk-" + "lf-" + str(uuid.UUID(int=5)),
    "langsmith-key": "lsv2" + "_pt_" + some(HEX, 32) + "_" + some(HEX, 10),
    "aws-key": "AK" + "IA" + "IOSFODNN7EXAMPLE".replace("7", "2")[:16],
    "github-token": "gh" + "p_" + some(WORD, 36),
    "gitlab-token": "gl" + "pat-" + some(WORD, 20),
    "slack-token": "xo" + "xb-" + "123456789012-1234567890123-" + some(WORD, 24),
    "slack-webhook": "hooks.sl" + "ack.com/services/T00000000/B00000000/" + some(WORD, 24),
    "stripe-key": "sk" + "_live_" + some(WORD, 24),
    "npm-token": "np" + "m_" + some(WORD, 36),
    "digitalocean-token": "do" + "p_v1_" + some(HEX, 64),
    "databricks-token": "da" + "pi" + some(HEX, 32),
    "sendgrid-key": "S" + "G." + some(WORD, 22) + "." + some(WORD, 43),
    "vault-token": "hv" + "s." + some(WORD, 24),
    "telegram-token": "123456789:" + "AA" + some(WORD, 33),
    "jwt": JWT,
    "private-key": PEM + "\n-----END RSA PRIVATE KEY-----",
    "azure-key": "Account" + "Key=" + base64.b64encode(bytes(range(64))).decode(),
}
# As it stands in a text: what goes, and what is around it.
IN_TEXT = {
    "connection-password": ("postgresql://app:", "hunter2!", "@db.internal:5432/x"),
    "bearer-token": ("Authorization: Bearer ", some(WORD, 40), " (sent)"),
    "basic-credentials": ("Authorization: Basic ", base64.b64encode(b"ada:lovelace").decode(), ""),
    "secret": ('{"user":"ada","password":"', "hunter2", '","n":1}'),
    "secret ": ('{"headers": {"X-Api-Key": "', "abcdef", '"}}'),
    "secret  ": ("export AWS_SECRET_ACCESS_KEY=", some(WORD, 40), "\nnext"),
    "secret   ": ("https://x.org/cb?access_token=", some(WORD, 30), "&state=1"),
    "secret    ": ('DATABASE_PASSWORD="', "hunter2!", '"\n'),
    "secret     ": ("db:\n  password: ", "hunter2!", "\n  port: 5432"),
    "secret      ": ("> X-Api-Key: ", some(HEX, 32), "\n> Accept: */*"),
    "secret       ": ("Cookie: ", "sid=" + some(HEX, 32), "; theme=dark"),
    "basic-credentials ": (
        '{"auths": {"r.io": {"auth": "',
        base64.b64encode(b"ada:lovelace").decode(),
        '"}}}',
    ),
    "azure-signature": ("https://a.example/x?sv=1&sig=", some(WORD, 40) + "%3D", "&se=2"),
}
MARK = re.compile(r"\[[a-z0-9-]+:[0-9a-f]{6}\]")


def attribute(text: str) -> ExportTraceServiceRequest:
    return samples.request(samples.span(1, 0, "s", note=text, other="stays"))


def value_of(payload: bytes) -> str:
    request = ExportTraceServiceRequest.FromString(payload)
    return request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value


def redacted(text: str, redactor: Redactor = PLAIN) -> str:
    return value_of(redactor.traces(attribute(text).SerializeToString())[0])


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_goes_wherever_it_stands(name: str) -> None:
    secret = SECRETS[name]
    for around in ("{}", "a {} b", '"{}"', "say ({}).", "üñ {} …", "x={}\ny"):
        before, after = around.split("{}")
        found = redacted(before + secret + after)
        assert secret not in found
        assert MARK.sub("", found).replace("x=", "") == (before + after).replace("x=", "")
        assert f"[{name}:" in found


@pytest.mark.parametrize("name", IN_TEXT)
def test_a_secret_goes_and_what_tells_of_it_stays(name: str) -> None:
    before, secret, after = IN_TEXT[name]
    found = redacted(before + secret + after)
    assert re.fullmatch(re.escape(before) + rf"\[{name.strip()}:\w{{6}}\]" + re.escape(after), found)


@pytest.mark.parametrize("depth", range(5))
def test_json_in_json_stays_json(depth: int) -> None:
    inner: Any = {"config": {"password": "hunter2", "url": "redis://:pa55w0rd@cache:6379"}, "n": [1, None]}
    for _ in range(depth):
        inner = {"result": json.dumps(inner), "token_count": 7}
    found = json.loads(redacted(json.dumps(inner)))
    for _ in range(depth):
        assert found["token_count"] == 7
        found = json.loads(found["result"])
    assert MARK.fullmatch(found["config"]["password"])
    assert re.fullmatch(r"redis://:\[connection-password:\w{6}\]@cache:6379", found["config"]["url"])
    assert found["n"] == [1, None]


@pytest.mark.parametrize("depth", range(4))
def test_a_number_in_json_becomes_a_string_in_json(depth: int) -> None:
    inner = json.dumps({"card": 4111111111111111, "n": 1})
    for _ in range(depth):
        inner = json.dumps({"inner": inner})
    found = redacted(inner, ALL)
    for _ in range(depth):
        found = json.loads(found)["inner"]
    assert MARK.fullmatch(json.loads(found)["card"])
    assert json.loads(found)["n"] == 1


def everywhere(secret: str) -> tuple[ExportTraceServiceRequest, ExportLogsServiceRequest]:
    """The secret in every field that holds text."""
    deep = AnyValue(string_value=secret)
    for _ in range(15):
        pair = KeyValue(key="k", value=deep)
        deep = AnyValue(array_value=ArrayValue(values=[AnyValue(kvlist_value=KeyValueList(values=[pair]))]))
    values = [deep, AnyValue(bytes_value=secret.encode()), AnyValue(string_value=secret)]
    pairs = [KeyValue(key=f"k{n}", value=value) for n, value in enumerate(values)]
    pairs.append(KeyValue(key=f"key {secret}", value=AnyValue(int_value=1)))
    request = samples.request(samples.span(1, 0, f"call {secret}", error=f"failed {secret}"))
    group = request.resource_spans[0]
    group.resource.attributes.extend(pairs)
    group.schema_url = secret
    scope = group.scope_spans[0]
    scope.scope.name = scope.scope.version = secret
    scope.scope.attributes.extend(pairs)
    span = scope.spans[0]
    span.trace_state = secret
    span.attributes.extend(pairs)
    span.events.add(name=secret, attributes=pairs)
    span.links.add(trace_id=b"x" * 16, trace_state=secret, attributes=pairs)
    logs = samples.evaluation(1, "quality", "pass", said=secret)
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    record.body.CopyFrom(deep)
    record.severity_text = secret
    return request, logs


@pytest.mark.parametrize("name", ["anthropic-key", "github-token", "private-key"])
def test_no_field_is_out_of_reach(name: str) -> None:
    secret = SECRETS[name]
    for request, redact in zip(everywhere(secret), (PLAIN.traces, PLAIN.logs), strict=True):
        count = request.SerializeToString().count(secret.encode())
        payload, found = redact(request.SerializeToString())
        assert secret.encode() not in payload
        assert found == {name: count}
        mark = re.search(MARK.pattern.encode(), payload)
        assert mark is not None
        again = type(request).FromString(payload)
        expected = everywhere(mark[0].decode())[isinstance(request, ExportLogsServiceRequest)]
        assert again == expected


@pytest.mark.parametrize(
    "name",
    ["authorization", "http.request.header.authorization", "db.password", "X-Api-Key", "client_secret"],
)
def test_whatever_stands_under_a_name_of_a_credential_goes(name: str) -> None:
    listed = AnyValue(
        array_value=ArrayValue(values=[AnyValue(string_value="first"), AnyValue(bytes_value=b"2nd")])
    )
    request = samples.request(samples.span(1, 0, "s"))
    attributes = request.resource_spans[0].scope_spans[0].spans[0].attributes
    attributes.add(key=name).value.string_value = "anything at all"
    attributes.add(key=name).value.CopyFrom(listed)
    attributes.add(key=name).value.bool_value = True
    attributes.add(key=f"{name}.length").value.string_value = "stays"
    payload, found = PLAIN.traces(request.SerializeToString())
    span = ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans[0]
    text, array, flag, length = (a.value for a in span.attributes)
    assert MARK.fullmatch(text.string_value)
    assert MARK.fullmatch(array.array_value.values[0].string_value)
    assert MARK.fullmatch(array.array_value.values[1].bytes_value.decode())
    assert (flag.bool_value, length.string_value) == (True, "stays")
    assert found == {"secret": 3}


STAYS: dict[str, str] = {
    "uuid": str(uuid.UUID(int=2**127 - 1)),
    "trace id": samples.trace_id(123456789),
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "git": "commit 224026a1d4c7a3c8b1c3f9f4dd7e8f6e0b5a2c11",
    "image": "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(200_000)).decode(),  # noqa: S311
    "url image": base64.urlsafe_b64encode(random.Random(2).randbytes(200_000)).decode(),  # noqa: S311
    "embedding": json.dumps([random.Random(3).random() for _ in range(500)]),  # noqa: S311
    "order ids": "A-1098, 4485-22, ORD_20260101_000123, toolu_01A09q90qw90lq917835lq9, call_" + "a1" * 12,
    "message id": "msg_01XFDUDYJgAACzvnptvVoYEL chatcmpl-9abcDEFghiJKLmnoPQRstuVWxyz01",
    "times": "2026-11-30T03:31:35.123456789Z 1795836695123456789 2024-05-15 12:30-14:00",
    "tokens": '{"input_tokens": 4111111111111112, "token": "next-page-17", "max_tokens": 1024}',
    "schema": '{"password": {"type": "string"}, "required": ["password", "api_key"]}',
    "prose": "Your password: please reset it. The API key is missing. Bearer of news; basic training.",
    "more prose": "Your password: 8 characters or more. Authorization: see page 12. Signed: sig=abc&x=1.",
    "a link": "To reset your password: https://example.org/auth/reset?step=2",
    "yaml schema": "password:\n  type: string\napi_key: ${API_KEY_1}\npassphrase: null",
    "auth": '{"auth": "none", "auth ": "bearer", "auth": "password123"}',
    "placeholders": '{"password": "<your password>", "api_key": "${API_KEY}", "secret_key": "********"}',
    "code": "def login(password: str, token=None): return check(password=password)",
    "url": "https://example.org:8443/a@b?x=1 http://localhost:4318/v1/traces mailto:x",
    "short": "sk-test xoxb- ghp_ AKIA eyJhbGciOi hf_model_name sk-learn",
    "slug": "sk-thisisaverylongslugwithoutanydigitsinit",
    "public key": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
    "card-like": "card 4111 1111 1111 1111, mail ada@example.org, call +1 415 555 2671",
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_no_credential_stays_to_the_byte(name: str) -> None:
    payload = attribute(STAYS[name]).SerializeToString()
    assert PLAIN.traces(payload) == (payload, {})


@pytest.mark.parametrize("name", [name for name in STAYS if name != "card-like"])
def test_what_tells_of_nobody_stays_also_where_people_are_looked_for(name: str) -> None:
    payload = attribute(STAYS[name]).SerializeToString()
    assert ALL.traces(payload) == (payload, {})


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("4111 1111 1111 1111", ["card"]),
        ("pay with 4111111111111111.", ["card"]),
        ("3782 822463 10005 and 5555-5555-5555-4444", ["card", "card"]),
        ("4111 1111 1111 1112", []),  # Luhn says no
        ("id 41111111111111110000", []),
        ("write to Ada.Lovelace+x@mail.example.co.uk!", ["email"]),
        ("a@b", []),
        ("npm i @scope/pkg@1.2.3", []),
        ("call +49 30 901820 or (415) 555-2671", ["phone", "phone"]),
        ("flight 4155552671, ref 030901820", []),
    ],
)
def test_what_tells_of_people_goes_where_that_is_asked_for(text: str, kinds: list[str]) -> None:
    found = redacted(text, ALL)
    assert [mark[1:-8] for mark in MARK.findall(found)] == kinds
    assert redacted(text) == text


def test_the_same_has_the_same_placeholder_however_it_is_written() -> None:
    for forms in (
        ("ada@example.org", "Ada@Example.ORG"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"),
        ("+1 415 555 2671", "(415) 555-2671", "+1-415-555-2671"),
    ):
        assert len({redacted(form, ALL) for form in forms}) == 1
    assert redacted("ada@example.org", ALL) != redacted("bob@example.org", ALL)
    keyed = Redactor(Policy(emails=True, key=b"ours"))
    assert redacted("ada@example.org", keyed) != redacted("ada@example.org", ALL)


def test_a_team_has_patterns_and_names_of_its_own() -> None:
    own = Redactor(Policy(patterns={"badge": r"(?<!\d)EMP-(?P<secret>\d{6})(?!\d)"}, names=("x-tenant",)))
    assert re.fullmatch(r"EMP-\[badge:\w{6}\], EMP-1234567", redacted("EMP-123456, EMP-1234567", own))
    assert re.fullmatch(r'\{"x_tenant": "\[secret:\w{6}\]"\}', redacted('{"x_tenant": "acme"}', own))
    nothing = Redactor(Policy(credentials=False))
    assert redacted(SECRETS["github-token"], nothing) == SECRETS["github-token"]


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ({"x": "("}, "pattern x: missing"),
        ({"X y": "a"}, "'X y' cannot name a pattern"),
        ({"x": "a*"}, "patterns x"),
    ],
)
def test_a_pattern_that_is_none_is_refused_by_name(patterns: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Redactor(Policy(patterns=patterns))


def test_twice_is_once() -> None:
    text = " ".join([*SECRETS.values(), *("".join(parts) for parts in IN_TEXT.values()), STAYS["card-like"]])
    once, _ = ALL.traces(attribute(text).SerializeToString())
    assert ALL.traces(once) == (once, {})


def test_a_cut_off_key_goes_too() -> None:
    assert "MIIE" not in redacted(f"{PEM} … and then")
    assert "MIIE" not in redacted(json.dumps({"key": PEM}))


def test_what_is_no_message_is_poison_where_something_would_have_to_go() -> None:
    secret = SECRETS["github-token"].encode()
    assert PLAIN.traces(b"\xff\xff garbage") == (b"\xff\xff garbage", {})  # for the decoder to refuse
    for broken in (
        b"\xff\xff" + secret,
        b"\x0a\x7f" + secret,
        attribute(secret.decode()).SerializeToString()[:-1],
    ):
        with pytest.raises(PoisonError, match="not an OTLP request"):
            PLAIN.traces(broken)


# --- properties ---------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from([*SECRETS.values(), *STAYS.values()]),
    st.sampled_from(["".join(parts) for parts in IN_TEXT.values()]),
)
NAMED = ["authorization", "db.password", "gen_ai.input.messages"]
KEYS = st.one_of(st.text(max_size=8), st.sampled_from(NAMED))
ANY: st.SearchStrategy[AnyValue] = st.recursive(
    st.one_of(
        TEXTS.map(lambda text: AnyValue(string_value=text)),
        TEXTS.map(lambda text: AnyValue(bytes_value=text.encode())),
        st.integers(-(2**63), 2**63 - 1).map(lambda number: AnyValue(int_value=number)),
        st.just(AnyValue()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: AnyValue(array_value=ArrayValue(values=values))),
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda pairs: AnyValue(
                kvlist_value=KeyValueList(values=[KeyValue(key=key, value=value) for key, value in pairs])
            )
        ),
    ),
    max_leaves=6,
)
KEYS = st.one_of(
    st.text(max_size=8), st.sampled_from(["authorization", "db.password", "gen_ai.input.messages"])
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every scalar of a message, with its path."""
    for field, content in value.ListFields():
        for number, item in enumerate(content if hasattr(content, "append") else [content]):
            here = (*path, field.name, number)
            if hasattr(item, "ListFields"):
                yield from leaves(item, here)
            else:
                yield here, item


@given(st.lists(st.tuples(KEYS, ANY), max_size=4), TEXTS)
@settings(deadline=None, max_examples=150)
def test_nothing_but_matches_changes(pairs: list[tuple[str, AnyValue]], name: str) -> None:
    request = samples.request(samples.span(1, 0, name))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.extend(KeyValue(key=key, value=value) for key, value in pairs)
    span.events.add(attributes=[KeyValue(key=key, value=value) for key, value in pairs[:1]])
    for redactor in (PLAIN, ALL):
        payload, found = redactor.traces(request.SerializeToString())
        again = ExportTraceServiceRequest.FromString(payload)
        before, after = list(leaves(request)), list(leaves(again))
        assert [path for path, _ in before] == [path for path, _ in after]
        replaced = 0
        for (_, old), (_, new) in zip(before, after, strict=True):
            if old == new:
                continue
            new_text = new.decode() if isinstance(new, bytes) else new
            old_text = old.decode() if isinstance(old, bytes) else old
            between = [re.escape(part) for part in MARK.split(new_text)]
            assert re.fullmatch(r"[\s\S]+".join(between), old_text)
            replaced += len(MARK.findall(new_text))
        assert replaced >= found.total() > 0 or payload == request.SerializeToString()
        for secret in SECRETS.values():
            assert secret.encode() not in payload


@given(st.binary(max_size=300), st.sampled_from(list(SECRETS.values())), st.integers(0, 300))
@settings(deadline=None, max_examples=300)
def test_hostile_bytes_end_in_an_answer_or_in_poison(noise: bytes, secret: str, place: int) -> None:
    payload = noise[:place] + secret.encode() + noise[place:]
    try:
        after, found = ALL.traces(payload)
    except PoisonError:
        return
    assert (after == payload) == (not found)


def test_a_field_full_of_hints_takes_time_in_proportion() -> None:
    # Every one a candidate, none a match: what a hostile sender would try.
    for redactor, text in (
        (ALL, "1@a.b" * 40_000),
        (PLAIN, "Bearer " + "x" * 16 + " "),
        (PLAIN, "eyJ" * 60_000),
    ):
        redactor.traces(attribute(text * (20 if len(text) < 100 else 1)).SerializeToString())
    many = " ".join([SECRETS["github-token"]] * 5000)
    _, found = PLAIN.traces(attribute(many).SerializeToString())
    assert found == {"github-token": 5000}


@pytest.mark.skipif(not REAL, reason="the real traces are not there")
@pytest.mark.parametrize("file", REAL, ids=lambda file: str(getattr(file, "name", file)))
def test_real_traces_hold_no_credentials_and_stay_as_they_are(file: Path) -> None:
    with zstandard.ZstdDecompressor().stream_reader(file.open("rb"), read_across_frames=True) as stream:
        records = list(split_delimited(stream.read()))
    redact: Callable[[bytes], tuple[bytes, Any]] = PLAIN.traces
    assert all(redact(record) == (record, {}) for record in records)
