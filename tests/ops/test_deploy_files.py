"""The files of a deployment are consistent with each other, with the code and with the standards that they follow."""

import fnmatch
import json
import re
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ruamel.yaml import YAML

import hub
from hub.api.health import gauges
from hub.app import create_app
from hub.domain.errors import TITLES
from hub.ops.init import initialise
from hub.parts import open_parts
from hub.settings import Settings
from hub.web.metrics import Metrics
from signing import x509
from tests.support.deployed import NGINX, ROOT, compose, copied_into, make_secrets, program, resolved

SERVICES: dict[str, Any] = compose()["services"]
UNITS = sorted((ROOT / "docs/operations/systemd").glob("*.service"))
VARIABLES = {f"HUB_{name.upper()}" for name in Settings.model_fields}
METRIC = re.compile(r"\b(?:hub|process|python)_[a-z_]+\b")


# --- the compose file -------------------------------------------------------------------------------------------------


def test_the_compose_file_is_one_by_the_official_schema() -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    official = jsonschema.validators.validator_for(schema)(schema)
    official.validate(compose())
    wrong = compose() | {"services": SERVICES | {"api": SERVICES["api"] | {"comand": []}}}
    with pytest.raises(jsonschema.ValidationError):
        official.validate(wrong)


def test_no_key_is_said_twice() -> None:
    YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+(m|g)", service["mem_limit"])
    assert service["pids_limit"] > 0
    assert service["restart"] == ("on-failure:5" if name == "migrate" else "unless-stopped")
    assert ("healthcheck" in service) == (name != "migrate")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name != "elasticsearch")
    user = int(service["user"].partition(":")[0])
    assert user > 0
    assert ("ports" in service) == (name == "proxy")
    assert list(service["networks"]) == (["outside", "inside"] if name == "proxy" else ["inside"])
    image, _, tag = service["image"].rpartition(":")
    assert image
    assert re.match(r"\d+\.\d+", tag)
    if "build" in service:
        assert tag == hub.__version__
    assert not service.get("privileged")


def test_it_uses_what_it_declares_and_declares_what_it_uses() -> None:
    mounts = [m for s in SERVICES.values() for m in s.get("volumes", [])]
    named = {m.partition(":")[0] for m in mounts if not m.startswith(".")}
    assert named == set(compose()["volumes"])
    for mount in mounts:
        if mount.startswith("./") and not mount.startswith("./deploy/secrets"):
            assert (ROOT / mount.split(":")[0]).is_file()
    taken = {s if isinstance(s, str) else s["source"] for service in SERVICES.values() for s in service["secrets"]}
    assert taken == set(compose()["secrets"])
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_nothing_secret_stands_in_it() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN", name):
                assert name.endswith("_FILE")
                assert re.match("/run/(secrets|hub-master)/", str(value))
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value))
    text = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/deploy/secrets/", "/.env"} <= set(text)


def test_the_public_address_must_be_given() -> None:
    value = SERVICES["api"]["environment"]["HUB_PUBLIC_URL"]
    assert resolved(value, {"HUB_PUBLIC_URL": "https://a.example"}) == "https://a.example"
    with pytest.raises(KeyError):
        resolved(value, {"HUB_PUBLIC_URL": ""})


def test_every_name_of_the_environment_is_a_setting() -> None:
    named = {n for s in SERVICES.values() for n in s.get("environment", {}) if n.startswith("HUB_")}
    for file in [*UNITS, ROOT / "docs/operations/systemd/hub.env", ROOT / "Dockerfile"]:
        named |= set(re.findall(r"\bHUB_[A-Z_]+\b", file.read_text(encoding="utf-8")))
    assert named - VARIABLES == set()


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets") / "deploy"
    make_secrets(folder)
    return folder


def test_exactly_the_secrets_are_created(secrets: Path) -> None:
    wanted = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == wanted | {"master", "ca.key"}
    assert all(secret["file"].startswith("deploy/secrets/") for secret in compose()["secrets"].values())


def test_secrets_are_for_few_and_certificates_for_all(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for path in secrets.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.suffix == ".crt":
            assert mode == 0o644
            (end,) = x509.ends_of(path.read_bytes())
            assert end.year > 2026
        elif path.name == "proxy_name.conf":
            assert (mode, path.read_text()) == (0o644, "server_name hub.city.example;\n")
        else:
            assert mode & 0o037 == 0, path.name
    passwords = {path.read_text() for path in secrets.glob("*_password")}
    assert len(passwords) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{44}", password) for password in passwords)


def test_certificates_lead_to_our_authority(secrets: Path) -> None:
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(secrets / "ca.crt"), "-purpose", "sslserver"]
    for name, host in (("elasticsearch", "elasticsearch"), ("proxy", "hub.city.example")):
        done = subprocess.run(
            [*command, "-verify_hostname", host, str(secrets / f"{name}.crt")], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_made_again_they_stay_and_only_what_is_missing_is_made(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}
    (secrets / "proxy.crt").unlink()
    make_secrets(secrets)
    after = {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}
    assert {name for name in before if before[name] != after[name]} == {"proxy.crt", "proxy.key"}
    make_secrets(secrets, "other.example")
    assert (secrets / "proxy_name.conf").read_text() == "server_name other.example;\n"
    make_secrets(secrets)
    (secrets / "ca.key").rename(secrets / "kept")
    done = subprocess.run(
        [str(ROOT / "deploy/make-secrets"), "--name", "a.example", "--dir", str(secrets)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    (secrets / "kept").rename(secrets / "ca.key")


@pytest.mark.parametrize("words", [[], ["--name"], ["--name", "no host/"], ["--what"]])
def test_wrong_words_make_nothing(words: list[str], tmp_path: Path) -> None:
    command = [str(ROOT / "deploy/make-secrets"), "--dir", str(tmp_path / "none"), *words]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert not (tmp_path / "none").exists()


# --- images -----------------------------------------------------------------------------------------------------------


def test_the_dockerfile_has_no_known_fault() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hadolint")), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_images_are_built_from_what_is_kept_and_let_in() -> None:
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    for source in {**copied_into("build"), **copied_into("proxy")}:
        assert any(name == source or name.startswith(f"{source}/") for name in kept), source
        parents = [source, *map(str, Path(source).parents)]
        assert any(fnmatch.fnmatch(name, pattern) for name in parents for pattern in let_in), source
    assert not any(fnmatch.fnmatch("deploy/secrets", pattern) for pattern in let_in)


def test_users_of_images_services_and_files_are_the_same() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    script = (ROOT / "deploy/make-secrets").read_text(encoding="utf-8")
    for name, service in (
        ("hub", "api"),
        ("proxy", "proxy"),
        ("postgres", "postgres"),
        ("elasticsearch", "elasticsearch"),
    ):
        user = re.search(rf"\b{name}=(\d+)", script)
        assert user is not None
        assert SERVICES[service]["user"].partition(":")[0] == user[1]
        if "build" in SERVICES[service]:
            assert f"USER {user[1]}:{user[1]}" in dockerfile


def test_the_proxy_refuses_in_the_hubs_own_words() -> None:
    for language, place in (("zh", 0), ("en", 1)):
        said = dict(re.findall(rf'"{language} ([a-z.]+_?[a-z_.]*)" "([^"]+)"', NGINX))
        assert said == {code: TITLES[code][place] for code in said}
        assert set(said) == set(re.findall(r"^    (?:\d+|default) ([a-z_]+\.[a-z_]+);", NGINX, re.MULTILINE))


# --- units, alerts, dashboard -----------------------------------------------------------------------------------------


def test_units_are_understood(tmp_path: Path) -> None:
    systemd = program("systemd-analyze", "systemd")
    hub_here = ROOT / ".venv/bin/hub"
    units = [*UNITS, ROOT / "docs/operations/systemd/hub-doctor.timer"]
    for unit in units:
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(text.replace("/opt/hub/.venv/bin/hub", str(hub_here)), encoding="utf-8")
    command = [systemd, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "hub-" in line]


def test_units_run_what_the_compose_file_runs() -> None:
    text = {unit.stem: unit.read_text(encoding="utf-8") for unit in UNITS}
    for name in ("api", "worker", "migrate"):
        words = " ".join(SERVICES[name]["command"]).replace("0.0.0.0", "127.0.0.1")
        assert f"ExecStart=/opt/hub/.venv/bin/hub {words}\n" in text[f"hub-{name}"]
    assert "ExecStart=/opt/hub/.venv/bin/hub doctor\n" in text["hub-doctor"]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """All names in /metrics of a hub that has been used."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("metrics") / "data")
    initialise(settings)
    with open_parts(settings) as parts:
        app = create_app(parts)
        metrics = Metrics(lambda: gauges(parts, app.state.lanes))
        metrics.count("GET", "/", 200, 0.1)
        lines = metrics.text().decode().splitlines()
        for lane in app.state.lanes.values():
            lane.close()
    names = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    return names | {"hub_worker_silent_seconds"}


def test_alerts_are_rules_about_what_is_measured(exposed: set[str]) -> None:
    path = ROOT / "docs/operations/alerts.yml"
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rules = [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(METRIC.findall(rule["expr"])) <= exposed, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        for text in rule["annotations"].values():
            assert re.search(r"[\u4e00-\u9fff]", text)
            assert re.search(r"[a-z]{3}", text)


def test_the_dashboard_shows_what_is_measured(exposed: set[str], tmp_path: Path) -> None:
    board = json.loads((ROOT / "docs/operations/dashboard.json").read_text(encoding="utf-8"))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in expressions:
        assert set(METRIC.findall(expression)) <= exposed, expression
    shown = {name for expression in expressions for name in METRIC.findall(expression)}
    assert {name for name in exposed if name.startswith("hub_") and not name.endswith(("_count", "_sum"))} <= shown
    rules = {"groups": [{"name": "g", "rules": [{"record": "a:b", "expr": e} for e in expressions]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "rules", "--lint=none", str(tmp_path / "rules.yml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
