"""What is in ``packaging/`` starts the simulator, and reaches it, as it stands there."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List

import httpx

from cli_support import serving
from stdio_support import free_port
from web_support import LIMIT

PACKAGING = Path(__file__).parents[2] / "packaging"


def dockerfile_command(word: str) -> List[str]:
    """The last command of this kind in the Dockerfile, which has it as a JSON array."""
    text = (PACKAGING / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    return json.loads(re.findall(r"^%s .*?(\[.*\])$" % word, text, re.MULTILINE)[-1])


def unit() -> configparser.ConfigParser:
    """The systemd unit; some of its keys are there twice."""
    found = configparser.ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(str(PACKAGING / "apns-simulator.service"), encoding="utf-8")
    return found


def with_free_ports(words: List[str], web: str) -> List[str]:
    """Return these words with no port but ``web`` taken from the machine."""
    return [re.sub(r"\b8025\b", web, re.sub(r"^219\d$", "0", word)) for word in words]


def test_the_container_serves_what_its_check_asks_for(tmp_path: Path) -> None:
    """By the name that the compose file gives it, with an address to push to that is the same."""
    compose = (PACKAGING / "compose.yaml").read_text(encoding="utf-8")
    more = json.loads(re.findall(r"^ +command: (.*)$", compose, re.MULTILINE)[0])
    command, port = dockerfile_command("ENTRYPOINT"), str(free_port())
    arguments = with_free_ports(command[1:], port)
    assert arguments[-2:] == ["--directory", "/data"]
    arguments[-1] = str(tmp_path)
    with serving(*arguments + ["--json"] + more) as simulator:
        ready = simulator.read_document()
        check = with_free_ports(dockerfile_command("HEALTHCHECK"), port)
        assert check[0] == "python"
        subprocess.run([sys.executable] + check[1:], check=True, timeout=LIMIT)
        with httpx.Client(base_url="http://127.0.0.1:%s/api/v1" % port, timeout=LIMIT,
                          headers={"Host": "apns:8025"}) as client:
            addresses = client.get("/credentials").json()["addresses"]
            proxy = client.put("/chaos/provider").json()
        provider = ready["provider"].rpartition(":")[2]
        assert addresses["provider"] == "apns:" + provider
        assert ready["provider"] == "127.0.0.1:" + provider
        assert proxy["address"].startswith("apns:")
        simulator.end()
    assert "ca.pem" in [found.name for found in tmp_path.iterdir()]


def test_the_ports_of_the_container_are_those_that_it_says() -> None:
    """Exposed, listened at, published, and checked."""
    text = (PACKAGING / "Dockerfile").read_text(encoding="utf-8")
    exposed = set(re.findall(r"\d+", re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE)[0]))
    assert exposed == set(re.findall(r"\b\d{4}\b", " ".join(dockerfile_command("ENTRYPOINT"))))
    published = re.findall(r'"127\.0\.0\.1:(\d+):(\d+)"',
                           (PACKAGING / "compose.yaml").read_text(encoding="utf-8"))
    assert published and all(here == there and here in exposed for here, there in published)


def test_the_service_runs_what_it_says(tmp_path: Path) -> None:
    """With its folder where systemd says that it is."""
    command = unit()["Service"]["ExecStart"].replace("${STATE_DIRECTORY}", str(tmp_path))
    program, *arguments = with_free_ports(shlex.split(command), "0")
    assert program == "/opt/apns/bin/apns"
    with serving(*arguments + ["--json"]) as simulator:
        page = simulator.read_document()["page"]
        assert httpx.get(page, timeout=LIMIT).status_code == 200
        assert simulator.end().status == 0
    assert "key.p8" in [found.name for found in tmp_path.iterdir()]
