"""Registration: the catalogue (证照类型目录), machine accounts and counter clerks."""

from hub.db.database import Database
from hub.keys.generate import SigningKeys
from hub.registration.accounts import Accounts
from hub.registration.catalogue_document import MissingGlyphs
from hub.registration.loading import Loading
from hub.runtime.clock import Clock
from hub.store.catalogue import CatalogueCache
from hub.vault import Vault

__all__ = ["Registration"]


class Registration:
    """Facade for the catalogue and the accounts; see `Loading` and `Accounts` for the methods."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        vault: Vault,
        catalogue: CatalogueCache,
        signing_keys: SigningKeys,
        missing_glyphs: MissingGlyphs,
    ) -> None:
        loading = Loading(database, clock, catalogue, signing_keys, missing_glyphs)
        self.check_catalogue = loading.check_catalogue
        self.load_catalogue = loading.load_catalogue
        accounts = Accounts(database=database, clock=clock, vault=vault, catalogue=catalogue)
        self.add_client = accounts.add_client
        self.add_client_key = accounts.add_client_key
        self.retire_client_key = accounts.retire_client_key
        self.set_client_disabled = accounts.set_client_disabled
        self.clients = accounts.clients
        self.add_clerk = accounts.add_clerk
        self.set_clerk_disabled = accounts.set_clerk_disabled
        self.clerks = accounts.clerks
