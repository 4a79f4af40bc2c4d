/// MPI_Init and MPI_Finalize as an object: whoever owns MPI already keeps owning it.
#pragma once

#include <lockstep/base/export.hpp>

namespace lockstep {

/// Initializes MPI if nobody has, and finalizes it at the end of its life only if it did the former.
class LOCKSTEP_EXPORT Session {
  public:
    Session(int& argc, char**& argv);
    /// The same without a command line, and with MPI_THREAD_MULTIPLE if it can be had: for libraries that other
    /// languages load. Throws UsageError after MPI_Finalize, CommunicationError if MPI cannot be initialized.
    Session();
    ~Session();

    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

  private:
    bool owner_ = false;
};

}  // namespace lockstep
