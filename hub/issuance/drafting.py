"""Step 3: build the exact bytes of a version, credential and QR digits, to be signed with the active key."""

import os
from dataclasses import dataclass, replace
from datetime import datetime

from hub.domain import masking
from hub.domain.case import PushedCertificate
from hub.domain.certificate import ActKind
from hub.domain.dates import to_micros
from hub.domain.errors import Refusal
from hub.domain.issuing import Ending, Planned
from hub.domain.values import Value
from hub.keys.keyring import Keyring
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault
from signing import credential, identifier, qr, status
from signing.encoding.compact_json import JSON
from signing.errors import Malformed
from signing.keys import Purpose
from signing.ledger_leaf import SALT_BYTES


@dataclass(frozen=True, slots=True)
class Draft:
    """The identity of a version; `parties` are in the order of its holders."""

    kind: ActKind
    home: int
    certificate: int
    version: int
    serial: str
    parties: tuple[int, ...]
    endings: tuple[Ending, ...]


class Drafting:
    """Builds the bytes to sign."""

    def __init__(self, vault: Vault, keyring: Keyring, catalogue: CatalogueCache) -> None:
        self._vault = vault
        self._keyring = keyring
        self._catalogue = catalogue

    def draft(
        self,
        draft: Draft,
        pushed: PushedCertificate,
        *,
        authority: str,
        version_key: int,
        code: str,
        at: datetime,
        pointer: str,
    ) -> Planned:
        """One version, ready to sign.

        Raises Refusal for fields that are too large to sign, KeyMissing without an active key.
        """
        planned = Planned(
            kind=draft.kind,
            home=draft.home,
            certificate=draft.certificate,
            version=draft.version,
            version_key=version_key,
            serial=draft.serial,
            identifier=identifier.build(pushed.type_code, authority, draft.serial, draft.version),
            code=code,
            type_code=pushed.type_code,
            authority=authority,
            edition=pushed.edition,
            number=pushed.number,
            holders=pushed.holders,
            parties=draft.parties,
            fields=pushed.fields,
            issued_on=pushed.issued_on,
            valid_from=pushed.valid_from,
            valid_until=pushed.valid_until,
            salt=os.urandom(SALT_BYTES),
            kid="",
            signing_input=b"",
            disclosures=(),
            qr_to_be_signed=b"",
            qr_protected=b"",
            qr_payload=b"",
            endings=draft.endings,
        )
        try:
            return self.for_active_key(planned, at)
        except Malformed:
            raise Refusal("schema.invalid", "证照内容太长，放不进签名数据或二维码，请缩短", pointer=pointer) from None

    def for_active_key(self, planned: Planned, at: datetime) -> Planned:
        """Rebuild the bytes of a version for the key that is active now.

        Raises KeyMissing without an active key, Malformed for fields that are too large to sign.
        """
        kid = self._keyring.active(Purpose.CREDENTIAL).kid
        status_list, status_index = status.index_of(planned.version_key, self._vault.status_key)
        claims = credential.Claims(
            issuer=self._keyring.public_url(),
            type_code=planned.type_code,
            edition=planned.edition,
            iat=to_micros(at) // 1_000_000,
            identifier=planned.identifier,
            version=planned.version,
            authority_code=planned.authority,
            issued_on=planned.issued_on,
            valid_from=planned.valid_from,
            valid_until=planned.valid_until,
            origin="issued",
            status_list=status_list,
            status_index=status_index,
            number=planned.number,
            holders=tuple(credential.Holder(h.name, h.id_type, h.id_number) for h in planned.holders),
            fields={name: _plain(value) for name, value in planned.fields.items()},
        )
        face = qr.Face(
            identifier=planned.identifier,
            number=self._masked_number(planned),
            holders=tuple(masking.holder_name(h.name, h.id_type) for h in planned.holders),
            issued_on=planned.issued_on,
            valid_from=planned.valid_from,
            valid_until=planned.valid_until,
            status_list=status_list,
            status_index=status_index,
        )
        signed = credential.prepare(claims, kid)
        digits = qr.prepare(face, planned.code, kid)
        return replace(
            planned,
            kid=kid,
            signing_input=signed.signing_input,
            disclosures=signed.disclosures,
            qr_to_be_signed=digits.to_be_signed,
            qr_protected=digits.protected,
            qr_payload=digits.payload,
        )

    def _masked_number(self, planned: Planned) -> str:
        kind = self._catalogue(planned.type_code).types[planned.type_code]
        return masking.face_number(planned.number, planned.holders, personal=kind.number_personal)


def _plain(value: Value) -> JSON:
    """A value as the credential's JSON."""
    return value if isinstance(value, str | int) else [dict(row) for row in value]
