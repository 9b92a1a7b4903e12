"""The errors of a directory, the same for all engines. Messages contain no values, keys or secrets."""


class DirectoryUnavailable(Exception):  # noqa: N818
    """The directory cannot be read or written now. Nothing is lost: the repository has everything."""


class DirectoryBroken(DirectoryUnavailable):
    """A generation is gone or was not made by this release: it will not recover and must be replaced."""


class WrongServer(DirectoryUnavailable):
    """The server or its privileges do not match the settings: an operator must change something.

    message: in Chinese; the exception's own text is in English. Each is one sentence that says what to change.
    """

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message
