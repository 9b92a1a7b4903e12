"""Load a catalogue document: authorities with their keys, certificate types with editions, matters."""

from dataclasses import dataclass

from hub.db.database import Database
from hub.domain.errors import FieldError
from hub.keys.generate import KeyRequest, SigningKeys
from hub.registration import catalogue_document
from hub.registration.catalogue_document import MissingGlyphs
from hub.runtime.clock import Clock
from hub.store import catalogue as catalogue_store
from hub.store.catalogue import CatalogueCache, Written
from signing.keys import Purpose


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load has changed; all 0 if the same document was loaded before."""

    written: Written
    keys_made: int

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        counts = {name: int(getattr(self.written, name)) for name in Written.__slots__}
        return counts | {"document_keys_new": self.keys_made}


class Loading:
    """Checks and loads catalogue documents."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        catalogue: CatalogueCache,
        signing_keys: SigningKeys,
        missing_glyphs: MissingGlyphs,
    ) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = catalogue
        self._signing_keys = signing_keys
        self._missing_glyphs = missing_glyphs

    def check_catalogue(self, content: object) -> list[FieldError]:
        """All problems of a document (a decoded YAML or JSON value), each with its JSON pointer."""
        return list(self._read(content).problems)

    def load_catalogue(self, content: object) -> Loaded:
        """Load a document in one commit (idempotent).

        Types whose fields differ from their newest edition get a new edition that starts today. Raises Refusal
        `schema.invalid` with every problem; then nothing is changed.
        """
        found = self._read(content)
        if found.problems:
            raise catalogue_document.refusal(found.problems)
        authorities = found.content.authorities.values()
        # Keys first, so that a visible authority can issue. A key without the row of its authority does no harm.
        made = self._signing_keys.ensure(KeyRequest(Purpose.DOCUMENT, a.code, a.name) for a in authorities)
        with self._database.write(exclusive=True) as writer:
            written = catalogue_store.write(writer, found.content, self._clock.today())
        self._catalogue.refresh()
        return Loaded(written, made)

    def _read(self, content: object) -> catalogue_document.Read:
        return catalogue_document.read(content, self._catalogue.refresh(), self._missing_glyphs, self._clock.today())
