/// A folder that rank 0 makes and all ranks know.
#pragma once

#include <support/scratch_folder.hpp>

#include <lockstep/comm/communicator.hpp>

#include <mpi.h>

#include <filesystem>
#include <optional>
#include <string_view>

namespace lockstep::test {

class SharedFolder {
  public:
    SharedFolder() {
        const Communicator world(MPI_COMM_WORLD);
        if (world.rank() == 0) folder_.emplace();
        path_ = world.all_gather(folder_ ? folder_->path().string() : "", "sharing a folder")[0];
    }
    ~SharedFolder() { barrier(); }
    SharedFolder(const SharedFolder&) = delete;
    SharedFolder& operator=(const SharedFolder&) = delete;

    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
    static void barrier() { MPI_Barrier(MPI_COMM_WORLD); }

  private:
    std::optional<ScratchFolder> folder_;
    std::filesystem::path path_;
};

}  // namespace lockstep::test
