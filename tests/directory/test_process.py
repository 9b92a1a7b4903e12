"""The directory with real workers that are killed at random, and the commands that maintain it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from hub import cli
from hub.directory.engines import index_folder
from hub.domain.case import Person
from hub.store import certificates, parties
from indexer.embedded.engine import EmbeddedDirectory
from tests.directory.test_directory import plant, push, settle
from tests.support import city as c
from tests.support.city import City

pytestmark = pytest.mark.sqlite


def hub(city: City, *words: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HUB_DATA_DIR": str(city.folder), "HUB_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "hub", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def party_of(city: City, who: c.Person) -> int:
    found = parties.find(city.parts.database.reader, city.parts.vault, Person("", who[0], who[1]))
    assert found is not None
    return found


def test_a_counter_finds_everything_while_workers_are_killed(city: City) -> None:
    rng = random.Random(4)
    holdings, parts = city.parts.lookup._holdings, city.parts
    qiu, today = party_of(city, c.QIU), city.parts.clock.today()
    workers = [hub(city, "work"), hub(city, "work")]
    pushed: list[str] = []
    until = time.monotonic() + 8
    lives, kill_at = 0, time.monotonic()
    try:
        while time.monotonic() < until:
            pushed.append(push(city, f"K-{len(pushed)}", [c.QIU]))
            found = holdings.of_party(qiu, (c.CLEAN_RECORD,), today)
            assert pushed[-1] in {version.identifier for version in found}
            if time.monotonic() > kill_at:
                kill_at = time.monotonic() + rng.random()
                chosen = rng.randrange(2)
                workers[chosen].kill()
                workers[chosen].communicate()
                workers[chosen] = hub(city, "work")
                lives += 1
        found = holdings.of_party(qiu, (c.CLEAN_RECORD,), today)
        assert found == certificates.of_party(parts.database.reader, parts.vault, qiu, (c.CLEAN_RECORD,), today)
        assert set(pushed) <= {version.identifier for version in found}
        assert lives > 3
        until = time.monotonic() + 60
        while parts.directory.lag().changes:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=20)
    report = parts.directory.compare()
    assert report is not None
    assert (report.differences, report.certificates) == ([], 86 + len(pushed))


def test_what_is_issued_is_in_the_directory_in_a_moment(city: City) -> None:
    settle(city.parts)
    engine = EmbeddedDirectory(index_folder(city.parts.settings))
    name = engine.current()
    assert name
    worker = hub(city, "work")
    try:
        seconds = []
        for number in range(25):
            new = push(city, f"M-{number}", [c.MINYU])
            begun = time.monotonic()
            explained = city.parts.directory.explain(new)
            while engine.find(name, explained.expected[0].key) is None:
                assert time.monotonic() - begun < 30
                time.sleep(0.002)
            seconds.append(time.monotonic() - begun)
    finally:
        worker.terminate()
        worker.communicate(timeout=20)
    print(f"in the directory after {sorted(seconds)[12] * 1000:.0f} ms (median)")
    assert sorted(seconds)[12] < 5


def test_the_commands(city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    settle(city.parts)
    monkeypatch.setenv("HUB_DATA_DIR", str(city.folder))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hub", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, out, _ = run("index", "status", "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code, told["entries"], told["pending"], told["generation"]) == (0, 92, 0, "g1")
    plant(city)
    code, out, err = run("index", "compare")
    assert (code, len(out.splitlines())) == (1, 4)
    assert "--repair" in err
    code, out, _ = run("index", "compare", "--repair", "--json")
    assert (code, json.loads(out)["repaired"]) == (0, 4)
    code, out, _ = run("index", "rebuild")
    assert (code, out.strip()) == (0, "g2")
    identifier = city.identifier(c.LICENCE, c.MINYU)
    code, out, _ = run("index", "explain", identifier, "--json")
    explained = json.loads(out)
    assert (code, explained["pending"], explained["generation"]) == (0, False, "g2")
    assert explained["holdings"][0]["repository"] == explained["holdings"][0]["directory"]
    assert not {"party", "home"} & set(explained["holdings"][0]["directory"])
    assert run("index", "explain", "1.2.3")[0] == 1
    shutil.rmtree(index_folder(city.parts.settings))
    assert run("index", "status")[0] == 5
    assert run("index", "compare")[0] == 5
    assert run("init")[0] == 0
    assert run("index", "status")[0] == 0
