"""The agent that bench_trials.py runs: asks the model once, sends one span, prints the answer.

The request is the first argument or, without one, a line of stdin. What is measured is what is around it, so
it does without whatever is slow to import: `socket`, `json`, and so on.
"""

import os
import sys
import time
from _socket import AF_INET, SOCK_STREAM, socket

PARTS = r"[{\"role\": \"assistant\", \"parts\": [{\"type\": \"text\", \"content\": \"%s\"}]}]"
TRACE = (
    '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "%s", "spanId": "%s", '
    '"name": "invoke_agent trivial", "startTimeUnixNano": "%d", "endTimeUnixNano": "%d", "attributes": ['
    '{"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}}, '
    '{"key": "gen_ai.output.messages", "value": {"stringValue": "%s"}}]}]}]}]}'
)


def post(url: str, path: str, body: str) -> bytes:
    """The answer to one POST, headers and all; the address is http://IP:PORT/..."""
    host, _, rest = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    head = (
        f"POST /{rest}{path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"x-api-key: {os.environ['ANTHROPIC_API_KEY']}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = socket(AF_INET, SOCK_STREAM)
    connection.connect((name, int(port)))
    connection.sendall((head + body).encode())
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    connection.close()
    return answer


def main() -> None:
    """Asks the model, and answers what the model answers."""
    if len(sys.argv) == 1:
        sys.stdin.readline()
    started = time.time_ns()
    said = post(os.environ["ANTHROPIC_BASE_URL"], "/v1/messages", '{"messages": []}').decode()
    answer = said.partition('"text": "')[2].partition('"')[0]
    ids = (os.urandom(16).hex(), os.urandom(8).hex())
    trace = TRACE % (*ids, started, time.time_ns(), PARTS % answer)
    post(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"], "/v1/traces", trace)
    sys.stdout.write(answer + "\n")


main()
