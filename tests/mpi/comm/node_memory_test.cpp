// Memory that the ranks of a node share: all read and write it, all have it or none, and nothing is left of
// it.
#include <lockstep/base/error.hpp>
#include <lockstep/comm/node_memory.hpp>
#include <lockstep/comm/nodes.hpp>

#include "support/file_size_limit.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>

namespace lockstep {
namespace {

using testing::contains;
using testing::error_of;
using testing::world_size;

#ifdef __linux__

std::size_t bytes_of(int rank) {
    return 5000 * static_cast<std::size_t>(rank + 1);
}

std::span<std::byte> block(const NodeMemory& memory, int rank) {
    return {memory.block(rank), bytes_of(rank)};
}

void barrier() {
    MPI_Barrier(MPI_COMM_WORLD);
}

TEST(NodeMemory, IsZeroAtFirstAndReadAndWrittenByAllRanks) {
    const Communicator world(MPI_COMM_WORLD);
    const auto memory = NodeMemory::allocate(world, bytes_of(world.rank()));
    ASSERT_TRUE(memory);
    for (int rank = 0; rank < world.size(); ++rank) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->block(rank)) % 64, 0u);
        EXPECT_EQ(std::ranges::count(block(*memory, rank), std::byte{0}),
                  static_cast<std::ptrdiff_t>(bytes_of(rank)));
    }
    barrier();
    // Each rank writes one byte of each block, the last of them at its end.
    for (int rank = 0; rank < world.size(); ++rank) {
        const auto all = block(*memory, rank);
        all[all.size() - static_cast<std::size_t>(world.size() - world.rank())] =
            static_cast<std::byte>(10 + world.rank());
    }
    barrier();
    for (int rank = 0; rank < world.size(); ++rank)
        for (int writer = 0; writer < world.size(); ++writer) {
            const auto all = block(*memory, rank);
            EXPECT_EQ(all[all.size() - static_cast<std::size_t>(world.size() - writer)],
                      static_cast<std::byte>(10 + writer));
        }
}

TEST(NodeMemory, OutlivesTheRankThatGaveIt) {
    const Communicator world(MPI_COMM_WORLD);
    auto memory = NodeMemory::allocate(world, 100);
    ASSERT_TRUE(memory);
    memory->block(world.rank())[99] = std::byte{7};
    barrier();
    if (world.rank() == 0) memory.reset();
    barrier();
    if (memory) {
        EXPECT_EQ(memory->block(0)[99], std::byte{7});
    }
}

TEST(NodeMemory, LeavesNoFileOpen) {
    const Communicator world(MPI_COMM_WORLD);
    const auto open_files = [] {
        using Iterator = std::filesystem::directory_iterator;
        return std::distance(Iterator("/proc/self/fd"), Iterator());
    };
    const auto before = open_files();
    const auto memory = NodeMemory::allocate(world, 100);
    EXPECT_EQ(open_files(), before);
}

#endif

TEST(NodeMemory, IsHadByAllRanksOrByNone) {
    const Communicator world(MPI_COMM_WORLD);
    for (int greedy = 0; greedy < world.size(); ++greedy)
        for (const std::size_t too_much : {std::size_t{1} << 62, ~std::size_t{0}, ~std::size_t{0} - 64})
            EXPECT_FALSE(NodeMemory::allocate(world, world.rank() == greedy ? too_much : 100));
}

#ifdef __linux__
TEST(NodeMemory, ALimitToTheSizeOfFilesIsARefusalAndNoSignal) {
    const Communicator world(MPI_COMM_WORLD);
    for (int limited = 0; limited < world.size(); ++limited) {
        std::optional<test::FileSizeLimit> limit;
        if (world.rank() == limited) {
            limit.emplace(4096);
            std::signal(SIGXFSZ, SIG_DFL);  // as in a program that knows nothing of it
        }
        EXPECT_FALSE(NodeMemory::allocate(world, 5000));
    }
    EXPECT_TRUE(NodeMemory::allocate(world, 5000));
}
#endif

TEST(NodeMemory, AMissingRankIsAnErrorAfterTheTimeout) {
    if (world_size() == 1) return;
    const Communicator world(MPI_COMM_WORLD, {.timeout_seconds = 0.5});
    nodes_of(world);
    if (world.rank() != 0) {
        const testing::Watch watch;
        const std::string text = error_of<CommunicationError>([&] { NodeMemory::allocate(world, 100); });
        EXPECT_TRUE(contains(text, "sharing memory")) << text;
        EXPECT_LT(watch.seconds(), 5.0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

}  // namespace
}  // namespace lockstep
