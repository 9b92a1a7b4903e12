"""`hub verify` in a separate process: the API's verdicts in the terminal and as exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hub.domain.certificate import State
from hub.verification import problems
from signing import qr
from tests.support import drawings, pdf_files
from tests.support.city import URL, City, load_city, open_copy
from tests.support.paths import ROOT
from tests.support.verified import kill, personal, versions
from tests.test_docs import rows


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("verify")
    load_city(folder / "template")
    with open_copy(folder / "template", folder / "city") as found:
        yield found


def run(city: City, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "verify", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "HUB_DATA_DIR": str(city.folder)},
        timeout=60,
        check=False,
    )


def test_text_file_and_stdin_give_one_verdict(city, tmp_path):
    version = personal(city)
    text = qr.text(URL, version.code, version.digits)
    file = tmp_path / "二维码.txt"
    file.write_text(text + "\n", encoding="utf-8-sig")
    for done in (run(city, text), run(city, str(file)), run(city, "-", stdin=text.encode()), run(city, version.code)):
        assert (done.returncode, done.stderr) == (0, b"")
        told = done.stdout.decode()
        assert told.startswith("✓ 证照有效  Valid\n")
        for said in (
            "核验时间 Checked at: ",
            "内容完好，未被修改：是  Not altered since it was issued: yes",
            version.identifier,
        ):
            assert said in told
        assert version.holders[0].name not in told
        assert version.holders[0].id_number not in told


def test_json_is_that_of_the_api(city, tmp_path):
    version = versions(city, State.REVOKED)[0]
    file = tmp_path / "credential.txt"
    file.write_text(version.credential)
    done = run(city, str(file), "--json")
    told = json.loads(done.stdout)
    asked = city.parts.verification.verify_credential(version.credential).as_json()
    assert done.returncode == 1
    assert {**told, "checked_at": ""} == {**asked, "checked_at": ""}
    assert (told["state"], told["presented"]) == ("revoked", "credential")


def test_every_other_verdict_is_exit_code_1(city):
    version, other = versions(city, State.VALID)[:2]
    suspended = versions(city, State.SUSPENDED)[0]
    for text, title in (
        (suspended.code, "‖ 证照暂停使用"),
        (qr.text(URL, version.code, other.digits), "⚠ 内容与签名不一致"),
        (f"https://evil.example/v/{version.code}", "⚠ 不是本平台签发"),
        ("0000-0000-0000-0000", "? 未查到此证照"),
        ("a.b.c~", "⚠ 内容与签名不一致"),
    ):
        done = run(city, text)
        assert done.returncode == 1
        assert done.stdout.decode().startswith(title)
    assert "登记状态 Recorded state: 有效 valid" in run(city, qr.text(URL, version.code, other.digits)).stdout.decode()


def test_a_picture_is_to_be_compared(city, tmp_path):
    version = personal(city)
    file = tmp_path / "照片.jpg"
    file.write_bytes(drawings.overpainted(city.parts.rendition.of_version(version), "JPEG"))
    done = run(city, str(file))
    told = done.stdout.decode()
    assert (done.returncode, done.stderr) == (1, b"")
    assert told.startswith("◫ 请逐项核对  Compare every line\n  图片不能自证，请与下面逐项核对。\n")
    assert "登记状态 Recorded state: 有效 valid" in told
    assert json.loads(run(city, str(file), "--json").stdout)["presented"] == "picture"


def test_what_is_no_text_at_all(city, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe%PDF")
    (tmp_path / "empty").write_bytes(b" \n")
    (tmp_path / "huge").write_bytes(b"1" * 300_000)
    for name in ("binary", "empty", "huge"):
        done = run(city, str(tmp_path / name))
        assert (done.returncode, done.stdout) == (1, b"")
        assert len(done.stderr.decode().splitlines()) == 1
    assert run(city, "x" * 5000).returncode == 1
    assert run(city).returncode == 2


def test_what_cannot_be_checked_is_not_valid(tmp_path, city):
    version = personal(city)
    with open_copy(city.folder.parent / "template", tmp_path / "city") as own:
        with own.parts.database.write() as writer:
            writer.run("DELETE FROM handles WHERE value = :code", {"code": version.code})
        done = run(own, qr.text(URL, version.code, version.digits))
        assert (done.returncode, done.stdout.decode().splitlines()[0]) == (
            1,
            "⟳ 暂时无法核验  Verification unavailable",
        )
        kill(own)
        assert run(own, version.code).returncode in {1, 4, 5}


def test_every_problem_is_explained():
    """docs/verification.md lists the hub's own problems, in the order of the code."""
    assert [name for name in rows("docs/verification.md") if name in problems.MEANINGS] == list(problems.MEANINGS)


def test_a_file_is_a_pdf_a_photo_or_a_text(city, tmp_path):
    version = personal(city)
    pdf = city.parts.rendition.of_version(version)
    revoked = city.parts.rendition.of_version(versions(city, State.REVOKED)[0])
    for data, code, title in (
        (pdf, 0, "✓ 证照有效  Valid"),
        (revoked, 1, "✕ 证照已"),
        (pdf + b"\n", 1, "⚠ 内容与签名不一致"),
        *((drawings.overpainted(pdf, form), 1, "◫ 请逐项核对") for form in drawings.FORMS),
        (b"%PDF-1.7\n", 1, "? 文件未能核验"),
    ):
        file = tmp_path / "证照.pdf"
        file.write_bytes(data)
        for done in (run(city, str(file)), run(city, "-", stdin=data)):
            assert (done.returncode, done.stderr) == (code, b""), title
            told = done.stdout.decode()
            assert told.startswith(title)
            assert version.holders[0].id_number not in told
    told = json.loads(run(city, str(file), "--json").stdout)
    assert (told["presented"], told["state"]) == ("picture", "unknown")


def test_a_copy_is_recognised(city, tmp_path):
    receipt, _ = pdf_files.taken(city)
    file = tmp_path / "copy.pdf"
    file.write_bytes(city.parts.rendition.of_copy(receipt))
    for done in (run(city, str(file)), run(city, receipt.code)):
        told = done.stdout.decode()
        assert done.returncode == 0
        for said in ("✓ 证照有效（加注件）", receipt.number, "义务教育阶段入学报名", str(receipt.expires_on)):
            assert said in told
