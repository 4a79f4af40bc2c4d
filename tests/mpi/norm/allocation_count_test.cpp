// After the first call of a shape, forward and backward allocate nothing: every operator new of this program
// counts.
#include <lockstep/norm/sync_batch_norm.hpp>

#include "support/global_batch.hpp"
#include "support/mpi_values.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> allocations{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
    ++allocations;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* const memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes > 0 ? bytes : 1)
                                                                : std::aligned_alloc(alignment, rounded);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
    return allocate(bytes, 1);
}
void* operator new[](std::size_t bytes) {
    return allocate(bytes, 1);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<std::size_t>(alignment));
}
// With sanitizers the default of this one, which std::stable_partition calls, does not end up in the others.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate(bytes, 1);
}
// Both sides of each pair are replaced here, which GCC 12 overlooks where it inlines only one of them.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}

namespace lockstep {
namespace {

using testing::GlobalBatch;

TEST(AllocationCount, TheCounterCounts) {
    const long before = allocations;
    const AlignedVector<float> vector(100);
    EXPECT_GT(allocations.load(), before);
    EXPECT_EQ(vector.size(), 100u);
}

void expect_no_allocation(const Communicator& communicator, int replicas, int group) {
    const GlobalBatch<float> batch(300, std::vector<Index>(static_cast<std::size_t>(replicas), 3), 4);
    SyncBatchNorm<float> layer(300, communicator, {}, {.replicas = replicas, .group = group});
    const ReplicaRange hosted = ReplicaMap(replicas, communicator.size()).block(communicator.rank());
    std::vector<float> z(batch.x.size()), dx(z.size()), gradients(600);
    std::vector<ForwardSlice<float>> forward;
    std::vector<BackwardSlice<float>> backward;
    for (int r = hosted.begin; r < hosted.end; ++r) {
        const std::size_t at = batch.begin(r);
        forward.push_back({batch.x.data() + at, z.data() + at, batch.shape(r)});
        backward.push_back({batch.x.data() + at, batch.dz.data() + at, dx.data() + at, batch.shape(r),
                            gradients.data(), gradients.data() + 300});
    }
    BatchMoments saved;
    long before = 0;
    for (int step = 0; step < 4; ++step) {
        if (step == 1) before = allocations;
        layer.forward(forward, saved);
        layer.backward(backward, saved);
    }
    EXPECT_EQ(allocations - before, 0) << replicas << " replicas in groups of " << group;
}

TEST(AllocationCount, PassesAllocateNothingAfterTheFirst) {
    const Communicator world(MPI_COMM_WORLD);
    for (const int group : {1, 2, world.size(), 2 * world.size()})
        expect_no_allocation(world, 2 * world.size(), group);
    expect_no_allocation(Communicator::self(), 1, 1);
}

TEST(AllocationCount, NorDoOtherShapesOfABatchThatOneLayerHasSeen) {
    // What is per channel was allocated on construction; nothing is as large as a batch.
    const Communicator world(MPI_COMM_WORLD);
    SyncBatchNorm<double> layer(7, world);
    std::vector<double> x(7 * 1000, 1.0), z(x.size());
    BatchMoments saved;
    layer.forward(x.data(), z.data(), {1, 1}, saved);
    layer.backward(x.data(), z.data(), z.data(), {1, 1}, saved);
    const long before = allocations;
    for (const Index batch : {0, 10, 1000, 3}) {
        layer.forward(x.data(), z.data(), {batch, 1}, saved);
        layer.backward(x.data(), z.data(), z.data(), {batch, 1}, saved);
    }
    EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace lockstep
