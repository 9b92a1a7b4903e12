"""Keys and X.509 certificates: presence, age and location."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.backup import manifest
from hub.db.engines import is_embedded
from hub.domain.dates import from_micros
from hub.keys.generate import base_keys
from hub.ops.doctor.report import DoctorFinding, note, ok, problem
from hub.ops.init import document_keys
from hub.parts import Parts
from hub.settings import Settings
from hub.store import keys as key_store
from hub.store.keys import SigningKey, SigningState, X509Record
from hub.vault import KeyPurpose, KeyState
from signing import x509
from signing.errors import KeyMissing, Malformed
from signing.keys import Purpose

MOST_AGE = timedelta(days=730)
EXPIRES_SOON = timedelta(days=90)
SERVICE_EXPIRES_SOON = timedelta(days=30)
LISTS_GOOD_FOR = timedelta(days=1)
_AUTHORITIES = (Purpose.ROOT, Purpose.ISSUING)
_NAMED_AT_MOST = 3
_BACKUP = Path("data", manifest.NAME)


def master(settings: Settings, now: datetime) -> Iterator[DoctorFinding]:
    """The master key: stored apart from the data, and not too old."""
    path = settings.master_key_path
    if not path.is_file():
        return
    if path.resolve().is_relative_to(settings.data_dir.resolve()):
        beside = note if is_embedded(settings) else problem
        yield beside(
            "master key",
            "主密钥和数据在同一个目录，备份时会一起带走。",
            "The master key is in the data directory; a copy of the directory contains both.",
            "生产环境请把它移到别处，并设置 HUB_MASTER_KEY_FILE。",
            "In production, move it elsewhere and set HUB_MASTER_KEY_FILE.",
        )
    if _is_next_to_a_backup(path):
        yield problem(
            "master key",
            "主密钥和数据备份放在一起。",
            "A backup of the data is stored with the master key.",
            "把其中一个移到别的介质；两者放在一起等于没有加密。",
            "Move one of them to another medium; stored together, the encryption is worthless.",
        )
    former = list(path.parent.glob(f"{path.name}.former-*"))
    if former:
        yield problem(
            "master key",
            f"还有 {len(former)} 个旧的主密钥和现用的放在一起。",
            "Old master keys are stored with the current one.",
            "移到离线保存处；不再需要以前的备份时删除。",
            "Move them offline; delete them together with the backups that need them.",
        )
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if now - made > MOST_AGE:
        yield problem(
            "master key",
            f"主密钥已用 {(now - made).days} 天。",
            "The master key has been in use for more than two years.",
            "运行 hub keys rotate master，然后另存一份。",
            "Run `hub keys rotate master`, and store a copy elsewhere.",
        )
    else:
        yield ok("master key", "主密钥可读，不满两年。", "The master key is readable and less than two years old.")


def _is_next_to_a_backup(path: Path) -> bool:
    """Whether the key's folder, or a subfolder, is a backup made by `hub backup`."""
    try:
        folders = [path.parent, *(folder for folder in path.parent.iterdir() if folder.is_dir())]
        return any((folder / _BACKUP).is_file() for folder in folders)
    except OSError:  # an unreadable folder is not a backup of ours
        return False


def check(parts: Parts) -> Iterator[DoctorFinding]:
    """Check every key in use and every X.509 certificate that still matters."""
    active = [key for key in parts.keyring.all() if key.state is SigningState.ACTIVE]
    yield _present(parts, active)
    yield from _ages(parts, active)
    yield _x509(parts, active)
    yield _lists(parts)


def _present(parts: Parts, active: list[SigningKey]) -> DoctorFinding:
    wanted = [*(item for group in base_keys() for item in group), *document_keys(parts.database)]
    here = {(key.public.purpose, key.public.authority or "") for key in active}
    missing = sorted(item.purpose.value for item in wanted if (item.purpose, item.authority) not in here)
    if missing:
        return problem(
            "keys",
            f"缺少密钥：{_some(missing)}。",
            "Keys are missing.",
            "运行 hub init 补上。",
            "Run `hub init` to create them.",
        )
    away = sorted(
        key.public.purpose.value for key in active if not parts.keyring.folder.has(key.public.kid, key.public.purpose)
    )
    if away:
        return problem(
            "keys",
            f"现用密钥的私钥丢失或读不出：{_some(away)}。",
            "Private parts of keys in use are missing, or not readable by this user.",
            "从备份取回 keys/ 目录；取不回的用 hub keys rotate 更换。",
            "Restore the folder keys/ from a backup; replace lost keys with `hub keys rotate`.",
        )
    return ok("keys", f"现用签名密钥 {len(active)} 个，私钥都在。", f"{len(active)} signing keys in use, all present.")


def _ages(parts: Parts, active: list[SigningKey]) -> Iterator[DoctorFinding]:
    now = parts.clock.now()
    old = [
        f"{key.public.purpose.value} {key.public.authority or ''}".strip()
        for key in active
        if key.public.purpose not in _AUTHORITIES and now - from_micros(key.created_at) > MOST_AGE
    ]
    seals = [k for k in parts.rotation.data_keys() if k.purpose is KeyPurpose.SEAL and k.state is KeyState.ACTIVE]
    old += ["seal" for key in seals if now - from_micros(key.created_at) > MOST_AGE]
    old.sort()
    if old:
        commands = [
            f"hub keys rotate {purpose}" + (f" --authority {authority}" if authority else "")
            for purpose, _, authority in (what.partition(" ") for what in old[:_NAMED_AT_MOST])
        ]
        yield problem(
            "key ages",
            f"已用两年以上的密钥 {len(old)} 个：{_some(old)}。",
            f"{len(old)} keys have been in use for more than two years.",
            ";".join(commands),
            "Rotation is online; old signatures remain valid.",
        )
    else:
        yield ok("key ages", "没有用了两年以上的密钥。", "No key has been in use for more than two years.")


def _x509(parts: Parts, active: list[SigningKey]) -> DoctorFinding:
    """Certificates of keys in use; those of old keys only had to be valid at the time of sealing."""
    now = parts.clock.now()
    kids = {key.public.kid for key in active}
    records = [record for record in key_store.x509_certificates(parts.database.reader) if record.kid in kids]
    if not records:
        return problem("x509", "没有 X.509 证书。", "No X.509 certificates.", "运行 hub init。", "Run `hub init`.")
    ending = [record for record in records if from_micros(record.not_after) - now < EXPIRES_SOON]
    first = min(records, key=lambda record: record.not_after)
    day = from_micros(first.not_after).date().isoformat()
    if not ending:
        return ok("x509", f"最早到期的 X.509 证书：{day}。", f"The first X.509 certificate expires on {day}.")
    return problem(
        "x509",
        f"X.509 证书 {len(ending)} 张已到期或 90 天内到期，最早 {day}。",
        f"{len(ending)} X.509 certificates have expired or expire within 90 days, the first on {day}.",
        _renewal(ending),
        "Seals made after expiry would not be trusted; earlier seals stay valid.",
    )


def _renewal(ending: list[X509Record]) -> str:
    authorities = sorted(record.authority for record in ending if record.authority)
    if not authorities:
        return "平台的根或中间证书将到期：换发办法见 docs/operations.md"
    more = " …" if len(authorities) > _NAMED_AT_MOST else ""
    return ";".join(f"hub keys rotate document --authority {code}" for code in authorities[:_NAMED_AT_MOST]) + more


def _lists(parts: Parts) -> DoctorFinding:
    """Revocation lists are signed on request, so request every one of them."""
    soon = parts.clock.now() + LISTS_GOOD_FOR
    bad = 0
    records = key_store.x509_certificates(parts.database.reader)
    issuers = [r for r in records if any(parts.keyring.public(r.kid, purpose) for purpose in _AUTHORITIES)]
    for record in issuers:
        try:
            der = parts.x509.crl(record.name)
        except KeyMissing:
            bad += 1
            continue
        bad += der is None or x509.next_update(der) < soon
    if bad:
        return problem(
            "crl",
            f"有 {bad} 个吊销列表不能更新。",
            f"{bad} revocation lists cannot be renewed.",
            "根证书和中间证书的私钥要在 keys/ 目录里：请从备份取回。",
            "The private parts of root and issuing CAs must be in keys/: restore them from a backup.",
        )
    return ok("crl", f"吊销列表 {len(issuers)} 个，都是新的。", f"{len(issuers)} revocation lists, all fresh.")


def trusted(settings: Settings, now: datetime) -> Iterator[DoctorFinding]:
    """CA files that are used to authenticate other services."""
    for field in type(settings).model_fields:
        path = getattr(settings, field)
        if not field.endswith("_ca_file") or not isinstance(path, Path):
            continue
        name = f"HUB_{field.upper()}"
        try:
            ends = min(x509.ends_of(path.read_bytes()))
        except (OSError, Malformed):
            yield problem(
                "service certificates",
                f"{name} 不能读，或不是 PEM 证书。",
                f"{name} cannot be read, or is not a PEM certificate.",
                "检查路径；内容应为 -----BEGIN CERTIFICATE----- 开头的文本。",
                "Check the path; the file must contain a PEM certificate.",
            )
            continue
        day = ends.date().isoformat()
        if ends - now < SERVICE_EXPIRES_SOON:
            yield problem(
                "service certificates",
                f"{name} 的证书 {day} 到期。",
                f"The certificate in {name} expires on {day}.",
                "换发后覆盖原文件，再重启服务（docs/operations/deployment.md）。",
                "Renew it, replace the file and restart (docs/operations/deployment.md).",
            )
        else:
            yield ok("service certificates", f"{name} 有效期到 {day}。", f"Valid until {day}.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_AT_MOST]) + (" …" if len(names) > _NAMED_AT_MOST else "")
