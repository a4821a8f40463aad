"""Settings of ingest."""

from typing import Annotated

from pydantic import Field

from outerloop.runtime.settings import Settings


class IngestSettings(Settings):
    """See the descriptions; `outerloop settings` prints them."""

    settle_seconds: Annotated[
        float, Field(gt=0, description="silence after which a trace with its root is judged")
    ] = 5.0
    settle_rootless_seconds: Annotated[
        float, Field(gt=0, description="silence after which a trace without its root is judged")
    ] = 60.0
    ingest_batch: Annotated[int, Field(ge=1, description="Kafka records stored at a time")] = 500
    otlp_host: Annotated[str, Field(description="where OTLP/HTTP is received")] = "127.0.0.1"
    otlp_http_port: Annotated[int, Field(ge=0, le=65535, description="OTLP/HTTP; 0: nowhere")] = 4318
