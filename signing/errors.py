"""What this package refuses with; no message repeats the bytes it is about, because they may be personal."""


class SigningError(Exception):
    """The root of every refusal of this package."""


class KeyMissing(SigningError):  # noqa: N818 - it says what is the matter
    """The private part of key `kid` is not there or cannot be read, so nothing was signed."""

    def __init__(self, kid: str, reason: str = "absent") -> None:
        super().__init__(f"private key {kid}: {reason}")
        self.kid = kid
        self.reason = reason


class WrongPurpose(SigningError):  # noqa: N818
    """A key was asked to do what it was not made for."""


class Malformed(SigningError):  # noqa: N818
    """The input is not of the frozen format; `problem` is a short stable code such as `credential.base64url`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
