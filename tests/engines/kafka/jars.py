"""Fetches Kafka's jars with Maven, once, into the repository's `.cache`."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_POM = Path(__file__).with_name("pom.xml")
_CACHE = Path(__file__).parents[3] / ".cache" / "kafka"
_OLDEST_JAVA = 17


def missing() -> str | None:
    """Why Kafka cannot run here; None if it can."""
    if shutil.which("java") is None:
        return "no java"
    version = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    major = re.search(r'version "(\d+)', version)
    if major is None or int(major[1]) < _OLDEST_JAVA:
        return f"Kafka 4 needs Java {_OLDEST_JAVA}, here is {version.splitlines()[0]}"
    if shutil.which("mvn") is None and not _jars().exists():
        return "no mvn"
    return None


def classpath() -> str:
    """The class path of the broker, fetched if this pom was never fetched before."""
    jars = _jars()
    if not jars.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as unfinished:
            target = Path(unfinished) / "jars"
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
            subprocess.run(["mvn", "-q", "-B", "-f", str(_POM), *goal], check=True, capture_output=True)
            target.rename(jars)  # so that a folder with the final name is always whole
    return f"{jars}/*"


def _jars() -> Path:
    return _CACHE / hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
