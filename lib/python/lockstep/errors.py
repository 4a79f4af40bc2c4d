"""What Lockstep raises. The words are the library's: what, where, on which rank, and what to do."""


class Error(Exception):
    """Whatever goes wrong in Lockstep."""


class UsageError(Error, ValueError):
    """An argument, an option or a call that makes no sense."""


class CommunicationError(Error, RuntimeError):
    """Ranks that disagree, a rank that did not come within the time-out, or a failure of MPI."""
