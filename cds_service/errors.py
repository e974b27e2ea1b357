"""The errors this project raises on purpose, and who can act on each.

::

    CdsServiceError
    ├── ConfigError        the operator: a setting is missing, unknown or unsafe
    ├── MappingError       the informatician: a table in mappings/ is wrong (file and line)
    ├── TrialFileError     the informatician: the trial file is wrong (file, line, criterion)
    ├── InputError         the caller: the chart, the attestations or the site file cannot be used
    ├── HookError          the EHR: the hook request breaks the CDS Hooks contract
    ├── Unauthenticated    the EHR: its token does not show who calls
    ├── StoreUnavailable   the operator: the store cannot be read or written, so nothing is said
    └── FhirError          the FHIR server's operator
        ├── FhirUnavailable    no usable answer: off, slow, broken, not FHIR
        │   └── FhirRejected   the server does not do what the request asks (400)
        ├── FhirRefused        the server answered, and refused (401, 403)
        └── PatientUnavailable the Patient itself cannot be had: nothing can be said
            └── OtherPatient   the server answered with another Patient

Unknown clinical data is never an error: it is a value of the report.
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """Text as one line in which nothing steers a terminal."""
    shown = "".join(char if char.isprintable() or char.isspace() else "\ufffd" for char in text)
    return " ".join(shown.split())


class CdsServiceError(Exception):
    """Base of every error raised on purpose; its text is one line fit for a terminal.

    Attributes:
        caller: the name in the configuration of whose request it was, where that is certain.
    """

    caller: str | None = None


class ConfigError(CdsServiceError):
    """A setting is missing, unknown or unsafe."""


class LocatedError(CdsServiceError):
    """An error in a reviewed data file, with the place to look at.

    Args:
        message: what is wrong and what would be right.
        file: the file's name as the user knows it.
        line: 1-based line, where known.
    """

    def __init__(self, message: str, *, file: str, line: int | None = None) -> None:
        self.file = file
        self.line = line
        place = file if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {message}")


class MappingError(LocatedError):
    """A mapping table has a duplicate, an unknown column or system, or a bad code."""


class TrialFileError(LocatedError):
    """The trial file does not say what a trial file must say."""


class InputError(CdsServiceError):
    """The chart, attestation file or site file that the caller gave cannot be used."""


class HookError(CdsServiceError):
    """The hook request breaks CDS Hooks.

    Args:
        message: what is wrong, without any value of the request.
        status: the HTTP status to answer with.
        reason: a short code of ours for log and metrics; None for the usual one of the status.
    """

    def __init__(self, message: str, *, status: int = 400, reason: str | None = None) -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


class Unauthenticated(CdsServiceError):
    """A caller did not show who it is.

    Args:
        reason: a short code of ours for log and metrics (``expired``, ``unknown-key``, …); never a
            part of the token, and never sent to the caller.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"not authenticated: {reason}")


class StoreUnavailable(CdsServiceError):
    """The store cannot be read or written: what must be kept cannot be kept now.

    Args:
        message: the same for a person.
        reason: a short code of ours for log and metrics (``locked``, ``full``, …); no SQL, no path.
    """

    def __init__(self, message: str, *, reason: str = "failing") -> None:
        self.reason = reason
        super().__init__(message)


class FhirError(CdsServiceError):
    """The FHIR server gave no usable answer."""


class FhirUnavailable(FhirError):
    """Off, slow, broken, or not speaking FHIR."""


class FhirRefused(FhirError):
    """The server answered 401 or 403: this service may not read that."""


class FhirRejected(FhirUnavailable):
    """The server answered 400: it does not do what the request asks, and a retry would not help."""


class PatientUnavailable(FhirError):
    """The Patient cannot be had, neither as prefetch nor from the server."""


class OtherPatient(PatientUnavailable):
    """The server answered with another Patient than the one that was asked for."""
