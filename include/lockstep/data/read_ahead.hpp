/// Whether it pays to say beforehand what will be read: only where reading waits for the disk. Where the pages are in
/// memory already, saying so for each sample would cost more than reading it.
#pragma once

#include <lockstep/base/export.hpp>

namespace lockstep {

class LOCKSTEP_EXPORT ReadAhead {
  public:
    /// For the time of reading a batch.
    class LOCKSTEP_EXPORT Watch {
      public:
        explicit Watch(ReadAhead& owner);
        ~Watch();
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;

      private:
        ReadAhead& owner_;
        long faults_;
    };

    /// Whether one of the last batches had to wait for a page that was not in memory.
    bool pays() const { return batches_left_ > 0; }

  private:
    int batches_left_ = 0;
};

}  // namespace lockstep
