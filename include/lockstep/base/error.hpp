/// The exceptions that Lockstep throws. Each text says what went wrong, where, and what to do about it.
#pragma once

#include <lockstep/base/export.hpp>

#include <stdexcept>
#include <string>

namespace lockstep {

/// What every exception of the library derives from.
class LOCKSTEP_EXPORT Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// An option, argument or model that does not make sense. Thrown alike on all ranks, before any exchange.
class LOCKSTEP_EXPORT UsageError : public Error {
  public:
    using Error::Error;
};

/// A file that is missing, truncated, corrupt, or cannot be written.
class LOCKSTEP_EXPORT FileError : public Error {
  public:
    using Error::Error;
};

/// Ranks that disagree, a rank that does not come, or an MPI call that failed.
class LOCKSTEP_EXPORT CommunicationError : public Error {
  public:
    using Error::Error;
};

/// Training that has diverged: a loss that is no longer finite.
class LOCKSTEP_EXPORT NumericalError : public Error {
  public:
    using Error::Error;
};

}  // namespace lockstep
