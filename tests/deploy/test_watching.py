"""Alerts, their runbooks and the dashboards: about metrics and columns that exist."""

import asyncio
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import yaml
from prometheus_client import REGISTRY

from engines.chart import CHART, ROOT, tool
from outerloop.runtime import metrics
from outerloop.runtime.settings import Settings
from outerloop.store.migrate import migrate

RULES = CHART / "files" / "rules.yaml"
# Grafana's ClickHouse plugin, as it writes them out.
MACROS = (
    (r"\$__timeFilter\(([\w.]+)\)", r"\1 >= now() - 3600 AND \1 <= now()"),
    (r"\$__timeInterval\(([\w.]+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)"),
    (r"\$\{agent:singlequote\}", "'helpdesk', 'billing'"),
)
RUNBOOKS = ROOT / "deploy" / "runbooks"


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def known() -> set[str]:
    assert metrics.RECORDS
    names = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    families = {family.name + ("_total" if family.type == "counter" else "") for family in REGISTRY.collect()}
    return names | families


def test_every_rule_does_what_its_test_says(tmp_path: Path) -> None:
    promtool = tool("promtool")
    shutil.copy(RULES, tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts_test.yaml"]):
        said = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_test_and_a_runbook_and_every_runbook_an_alert() -> None:
    names = {rule["alert"] for rule in alerts()}
    tested = set(re.findall(r"alertname: (\w+)", Path(__file__).with_name("alerts_test.yaml").read_text()))
    assert names == tested == {path.stem for path in RUNBOOKS.glob("*.md")}
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"RUNBOOKS/{rule['alert']}.md"
        text = (RUNBOOKS / f"{rule['alert']}.md").read_text()
        assert rule["expr"] in text, f"{rule['alert']}: its runbook shows another expression"
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            "## What it means",
            "## What to look at",
            "## What to do",
        ]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_of_ours(rule: dict[str, Any]) -> None:
    assert set(re.findall(r"\bouterloop_\w+", rule["expr"])) <= known()


def panels() -> Iterator[Any]:
    for path in sorted((CHART / "files" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield pytest.param(target, id=f"{path.stem}: {panel['title']} {target['refId']}")


@pytest.fixture(scope="module")
def schema(chdb: str) -> Iterator[Any]:
    """A database with our schema, and no rows."""
    name = f"dashboards_{uuid.uuid4().hex[:8]}"
    asyncio.run(migrate(Settings(clickhouse=chdb, clickhouse_database=name)))
    with clickhouse_connect.get_client(dsn=chdb, database=name) as client:
        yield client


@pytest.mark.parametrize("target", list(panels()))
def test_a_panel_asks_what_can_be_answered(request: pytest.FixtureRequest, target: dict[str, Any]) -> None:
    if "expr" in target:
        assert set(re.findall(r"\bouterloop_\w+", target["expr"])) <= known()
        return
    sql = target["rawSql"]
    for macro, meant in MACROS:
        sql = re.sub(macro, meant, sql)
    assert "$" not in sql, sql
    request.getfixturevalue("schema").query(sql)
