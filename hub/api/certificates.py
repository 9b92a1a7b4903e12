"""`GET /certificates/{identifier}`, the credential and the PDF, for the issuing authority."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel

from hub.api.cases import Links
from hub.api.certificate_reply import PDF, FaceReply, StateWord, explained, face, pdf
from hub.domain.dates import from_micros, show_moment
from hub.issuance.outcome import links
from hub.records import Certificate
from hub.store.acts import RecordedAct
from hub.web.endpoint import Answer, Call, Lane, Routes

CREDENTIAL = "application/dc+sd-jwt"
routes = Routes(prefix="/api/v1", tag="certificates 证照")
_SCOPES = ("certificates:manage", "cases:write")


class VersionReply(BaseModel):
    """One version of the certificate (版本)."""

    identifier: str
    version: int
    state: StateWord


class ActReply(BaseModel):
    """One event in the history of the certificate. `version`: the current version after the event."""

    event: Literal["issued", "corrected", "renewed", "suspended", "restored", "revoked", "superseded"]
    version: int
    kind: str | None = None
    reason: str | None = None
    legal_basis: str | None = None
    document_number: str | None = None
    effective_on: date
    recorded_at: str


class CertificateReply(FaceReply):
    """The full record of a certificate; `versions` and `history` start with the oldest."""

    origin: Literal["issued", "collected"]
    recorded_at: str
    source: str
    case_number: str
    versions: list[VersionReply]
    history: list[ActReply]
    links: Links


@routes.add(
    "GET",
    "/certificates/{identifier}",
    scope=_SCOPES,
    lane=Lane.WRITE,
    replies={200: CertificateReply},
    refusals=("certificate.not_found",),
    summary="查询证照 · Read a certificate",
)
def get_certificate(call: Call) -> Answer:
    """Read one version with the list of all versions and the history. Every access is recorded."""
    return Answer(_certificate(call.parts.records.read(call.client, call.path["identifier"])))


@routes.add(
    "GET",
    "/certificates/{identifier}/credential",
    scope=_SCOPES,
    lane=Lane.WRITE,
    replies={200: None},
    produces=(CREDENTIAL,),
    refusals=("certificate.not_found",),
    summary="下载签名数据 · Download the signed credential",
)
def get_credential(call: Call) -> Answer:
    """Download the signed credential (SD-JWT VC) of one version, fully disclosed. Every access is recorded."""
    return Answer(call.parts.records.credential(call.client, call.path["identifier"]), media_type=CREDENTIAL)


@routes.add(
    "GET",
    "/certificates/{identifier}/document.pdf",
    scope=_SCOPES,
    lane=Lane.WRITE,
    replies={200: None},
    produces=(PDF,),
    refusals=("certificate.not_found", "sign.unavailable"),
    summary="下载电子证照文件 · Download the PDF",
)
def get_document(call: Call) -> Answer:
    """Download the sealed PDF of one version (版式文件); always the same bytes. Every access is recorded."""
    version, content = call.parts.records.document(call.client, call.path["identifier"])
    return pdf(content, f"{version.identifier}.pdf")


def _certificate(found: Certificate) -> dict[str, Any]:
    version = found.version
    return {
        **face(version, found.catalogue, found.state, found.why, version.fields),
        "origin": version.origin_word,
        "recorded_at": show_moment(from_micros(version.recorded_at)),
        "source": version.source,
        "case_number": version.case_number,
        "versions": [
            {"identifier": v.identifier, "version": v.version, "state": v.state(found.today).value}
            for v in found.versions
        ],
        "history": [_act(act) for act in found.history],
        "links": links(found.public_url, version.identifier, version.code, version.digits),
    }


def _act(act: RecordedAct) -> dict[str, Any]:
    grounds = {name: act.grounds[name] for name in ("reason", "legal_basis", "document_number") if name in act.grounds}
    return {
        "event": act.kind.name.lower(),
        "version": act.version,
        **explained(act.subkind, None),
        **grounds,
        "effective_on": act.effective_on.isoformat(),
        "recorded_at": show_moment(act.recorded_at),
    }
