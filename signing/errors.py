"""The exceptions of this package; no message repeats its input, which may be personal data."""


class SigningError(Exception):
    """Base class of this package's exceptions."""


class KeyMissing(SigningError):  # noqa: N818 - named for the cause
    """The private part of key `kid` is missing or unreadable, so nothing was signed."""

    def __init__(self, kid: str, reason: str = "absent") -> None:
        super().__init__(f"private key {kid}: {reason}")
        self.kid = kid
        self.reason = reason


class WrongPurpose(SigningError):  # noqa: N818
    """A key was used for another purpose than its own."""


class Malformed(SigningError):  # noqa: N818
    """The input does not follow the frozen format; `problem` is a short stable code such as `credential.base64url`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
