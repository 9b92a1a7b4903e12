"""Keys: bound to one purpose and one signature form; a deleted key file cannot sign."""

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from signing.errors import KeyMissing, Malformed, SigningError, WrongPurpose
from signing.keys import ORDER, KeyFolder, PublicKey, Purpose, kid_bytes, kid_of, spki_of
from tests.support.published_keys import public_key_of

PASSPHRASE = b"correct horse"


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys", PASSPHRASE)


def path_of(tmp_path: Path, key: PublicKey) -> Path:
    return tmp_path / "keys" / f"{key.purpose.value}-{key.kid}.pem"


def test_what_is_signed_again_comes_out_the_same(folder: KeyFolder, tmp_path: Path) -> None:
    """In another process, after a crash, from a backup: the signature is always the recorded one."""
    key = folder.generate(Purpose.CREDENTIAL)
    again = KeyFolder(tmp_path / "keys", PASSPHRASE)
    texts = [os.urandom(n) for n in range(0, 200, 7)]
    signatures = [folder.sign(key.kid, Purpose.CREDENTIAL, text) for text in texts]
    assert [again.sign(key.kid, Purpose.CREDENTIAL, text) for text in texts] == signatures
    assert len(set(signatures)) == len(texts)


def test_the_file_of_a_key_is_given_to_a_backup_only_where_it_opens(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.STATUS)
    content = folder.file(key.kid, Purpose.STATUS)
    assert content == path_of(tmp_path, key).read_bytes()
    assert b"ENCRYPTED PRIVATE KEY" in content
    path_of(tmp_path, key).write_bytes(content[:-40])
    with pytest.raises(KeyMissing):
        folder.file(key.kid, Purpose.STATUS)
    path_of(tmp_path, key).unlink()
    with pytest.raises(KeyMissing):
        folder.file(key.kid, Purpose.STATUS)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_key_signs_and_verifies_for_its_purpose_only(folder: KeyFolder, purpose: Purpose) -> None:
    key = folder.generate(purpose, authority="11430000006122244L")
    signature = folder.sign(key.kid, purpose, b"data")
    assert len(signature) == 64
    assert key.verify(purpose, b"data", signature)
    assert not key.verify(purpose, b"Data", signature)
    assert folder.has(key.kid, purpose)
    for other in Purpose:
        if other is not purpose:
            assert not key.verify(other, b"data", signature)
            assert not folder.has(key.kid, other)
            with pytest.raises(WrongPurpose):
                folder.sign(key.kid, other, b"data")


def test_only_x509_keys_leave_the_folder(folder: KeyFolder) -> None:
    for purpose in Purpose:
        key = folder.generate(purpose)
        if purpose in {Purpose.ROOT, Purpose.ISSUING, Purpose.DOCUMENT}:
            assert kid_of(folder.private_key(key.kid, purpose).public_key()) == key.kid
        else:
            with pytest.raises(WrongPurpose):
                folder.private_key(key.kid, purpose)


def test_the_file_is_private_encrypted_and_alone(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    path = path_of(tmp_path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    with pytest.raises(TypeError):
        load_pem_private_key(path.read_bytes(), None)
    assert load_pem_private_key(path.read_bytes(), PASSPHRASE)


def test_a_second_process_finds_the_key(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.STATUS)
    again = KeyFolder(tmp_path / "keys", PASSPHRASE)
    assert key.verify(Purpose.STATUS, b"x", again.sign(key.kid, Purpose.STATUS, b"x"))


def test_signing_stops_when_the_file_goes_and_resumes_when_it_is_back(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    path = path_of(tmp_path, key)
    path.rename(tmp_path / "away")
    with pytest.raises(KeyMissing) as caught:
        folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    assert caught.value.kid == key.kid
    assert not folder.has(key.kid, Purpose.CREDENTIAL)
    (tmp_path / "away").rename(path)
    assert key.verify(Purpose.CREDENTIAL, b"x", folder.sign(key.kid, Purpose.CREDENTIAL, b"x"))


def test_retiring_deletes_for_good(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    signature = folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    folder.retire(key.kid, Purpose.CREDENTIAL)
    folder.retire(key.kid, Purpose.CREDENTIAL)
    assert not path_of(tmp_path, key).exists()
    with pytest.raises(KeyMissing):
        folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    assert key.verify(Purpose.CREDENTIAL, b"x", signature)
    KeyFolder(tmp_path / "nothing", PASSPHRASE).retire(key.kid, Purpose.CREDENTIAL)


def other_keys() -> dict[str, bytes]:
    def pem(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))

    return {
        "another P-256 key": pem(ec.generate_private_key(ec.SECP256R1())),
        "another curve": pem(ec.generate_private_key(ec.SECP384R1())),
        "another algorithm": pem(ed25519.Ed25519PrivateKey.generate()),
        "not encrypted": ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
        "nothing": b"",
        "garbage": os.urandom(300),
    }


@pytest.mark.parametrize("content", other_keys().values(), ids=other_keys())
def test_a_replaced_file_is_missing_even_when_the_key_was_loaded(
    folder: KeyFolder, tmp_path: Path, content: bytes
) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    path_of(tmp_path, key).write_bytes(content)
    with pytest.raises(KeyMissing):
        folder.sign(key.kid, Purpose.CREDENTIAL, b"x")


def test_another_passphrase_is_missing(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    with pytest.raises(KeyMissing, match="passphrase"):
        KeyFolder(tmp_path / "keys", b"wrong").sign(key.kid, Purpose.CREDENTIAL, b"x")
    with pytest.raises(ValueError, match="passphrase"):
        KeyFolder(tmp_path / "keys", b"")


def test_an_unreadable_file_is_missing(folder: KeyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    folder.sign(key.kid, Purpose.CREDENTIAL, b"x")
    if os.geteuid() == 0:  # root may read everything, so the system call is asked to say what others hear
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    else:
        path_of(tmp_path, key).chmod(0)
    with pytest.raises(KeyMissing, match="unreadable"):
        folder.sign(key.kid, Purpose.CREDENTIAL, b"x")


def test_a_folder_in_place_of_the_file_is_missing(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    path = path_of(tmp_path, key)
    path.unlink()
    path.mkdir()
    with pytest.raises(KeyMissing):
        folder.sign(key.kid, Purpose.CREDENTIAL, b"x")


@pytest.mark.parametrize("kid", ["", "../../../ab", "/etc/passwd", "A" * 11 + "=", "A" * 12, "AAAAAAAAAA\n"])
def test_a_key_id_is_never_a_path(folder: KeyFolder, kid: str) -> None:
    for attempt in (folder.has, folder.retire, lambda kid, purpose: folder.sign(kid, purpose, b"")):
        with pytest.raises(Malformed):
            attempt(kid, Purpose.CREDENTIAL)


def test_many_threads_sign_with_one_folder(folder: KeyFolder, tmp_path: Path) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    fresh, wrong = KeyFolder(tmp_path / "keys", PASSPHRASE), []

    def work() -> None:
        for turn in range(50):
            data = str(turn).encode()
            if not key.verify(Purpose.CREDENTIAL, data, fresh.sign(key.kid, Purpose.CREDENTIAL, data)):
                wrong.append(turn)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_signature_has_one_form(folder: KeyFolder) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    for turn in range(40):
        data = str(turn).encode()
        signature = folder.sign(key.kid, Purpose.CREDENTIAL, data)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        assert s <= ORDER // 2
        # The other form satisfies plain ECDSA, so refusing it is this package's own rule.
        key.key.verify(encode_dss_signature(r, ORDER - s), data, ec.ECDSA(hashes.SHA256()))
        assert not key.verify(Purpose.CREDENTIAL, data, signature[:32] + (ORDER - s).to_bytes(32, "big"))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 72])
def test_a_signature_has_64_bytes(folder: KeyFolder, length: int) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    assert not key.verify(Purpose.CREDENTIAL, b"x", b"\x01" * length)


def test_every_flipped_bit_of_a_signature_is_seen(folder: KeyFolder) -> None:
    key = folder.generate(Purpose.LEDGER)
    signature = folder.sign(key.kid, Purpose.LEDGER, b"x")
    for place in range(512):
        changed = bytearray(signature)
        changed[place // 8] ^= 1 << place % 8
        assert not key.verify(Purpose.LEDGER, b"x", bytes(changed))


def test_a_record_must_fit_its_key_id(folder: KeyFolder) -> None:
    one, two = folder.generate(Purpose.STATUS), folder.generate(Purpose.STATUS)
    with pytest.raises(Malformed, match=r"key\.kid"):
        PublicKey(one.kid, Purpose.STATUS, two.spki)
    other_curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    for spki in (b"", one.spki[:-1], one.spki + b"\0", spki_of(other_curve)):
        with pytest.raises(Malformed, match=r"key\.spki"):
            PublicKey(one.kid, Purpose.STATUS, spki)
    compressed = one.key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    with pytest.raises(Malformed):
        PublicKey(one.kid, Purpose.STATUS, one.spki[:26] + compressed)
    assert len(kid_bytes(one.kid)) == 8
    assert len(one.kid) == 11


def test_published_keys_are_read_back(folder: KeyFolder) -> None:
    key = folder.generate(Purpose.CREDENTIAL)
    assert public_key_of(key.jwk(), Purpose.CREDENTIAL) == key


def test_refusals_have_one_root() -> None:
    assert all(issubclass(kind, SigningError) for kind in (KeyMissing, WrongPurpose, Malformed))
