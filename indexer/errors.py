"""What may go wrong with a directory, the same for every engine. No text names a value, a key or a secret."""


class DirectoryUnavailable(Exception):  # noqa: N818
    """The directory cannot answer or be written now; nothing is lost, for the repository has everything."""


class DirectoryBroken(DirectoryUnavailable):
    """A generation is gone or is no directory of this release: it will not come back, and another takes its place."""


class WrongServer(DirectoryUnavailable):
    """Not the server, or not the rights, that the settings promise: an operator has to change something.

    message: Chinese; the exception's own text is English. Each one sentence that says what to change.
    """

    def __init__(self, message: str, message_en: str) -> None:
        super().__init__(message_en)
        self.message = message
