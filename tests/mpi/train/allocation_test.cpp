// A training step allocates nothing once a few have been made: C++ memory on any number of ranks, and on one
// rank, where MPI has nothing to do, no memory at all.
#include <support/training.hpp>

#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

// What C++ asks for is counted apart from what C does: MPI's own allocations are none of ours.
namespace {

std::atomic<long> cxx_allocations = 0, c_allocations = 0;

void* allocate(std::size_t size, std::size_t alignment) {
    ++cxx_allocations;
    void* memory = nullptr;
    if (posix_memalign(&memory, std::max(alignment, sizeof(void*)), size) != 0) throw std::bad_alloc();
    return memory;
}

}  // namespace

// The other forms end up here by default; with sanitizers the one that std::stable_partition calls does not.
void* operator new(std::size_t size) {
    return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
// Both sides of each pair are replaced here, which GCC 12 overlooks where it inlines only one of them.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}

// The sanitizers replace these themselves; there, only C++ is counted.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#pragma GCC visibility push(default)  // for a shared library's calls, too
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
    ++c_allocations;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++c_allocations;
    return __libc_calloc(count, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
    ++c_allocations;
    *memory = __libc_memalign(alignment, size);
    return *memory == nullptr ? ENOMEM : 0;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
    ++c_allocations;
    return __libc_memalign(alignment, size);
}
}
#pragma GCC visibility pop
#endif

namespace lockstep::test {
namespace {

const char* const dense_model =
    "batchnorm, linear 400, relu, batchnorm, linear 300, relu, dropout 0.2, linear 5";
const char* const image_model =
    "conv 20 3x3 pad 1, batchnorm, relu, maxpool 2, residual { conv 17 3x3 stride 2 pad 1, batchnorm, relu "
    "}, "
    "residual { batchnorm, relu, conv 17 3x3 pad 1 }, relu, avgpool 2, flatten, linear 5";

void expect_steps_without_allocation(const char* model) {
    const Images data = noisy_columns(101);
    for (const char* mode : {"local", "group:2", "sync"})
        for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
            SCOPED_TRACE(mode);
            TrainerOptions options = small_options(4, mode);
            options.optimizer.kind = optimizer;
            options.augmentation = {.crop_padding = 1, .horizontal_flip = true};
            options.model = model;
            const long allocated_before = cxx_allocations;
            Trainer<float> trainer(options, data, Communicator(MPI_COMM_WORLD));
            EXPECT_GT(cxx_allocations, allocated_before) << "the counter does not count";
            trainer.run_epoch();
            const bool mpi_is_idle = Communicator(MPI_COMM_WORLD).size() == 1;
            trainer.begin_epoch();
            for (Index step = 0; step < trainer.steps_per_epoch(); ++step) {
                const long cxx_before = cxx_allocations, c_before = c_allocations;
                trainer.step(step);
                const long cxx_after = cxx_allocations, c_after = c_allocations;
                EXPECT_EQ(cxx_after - cxx_before, 0) << "step " << step;
                if (mpi_is_idle) {
                    EXPECT_EQ(c_after - c_before, 0) << "step " << step;
                }
            }
        }
}

TEST(Step, AllocatesNothingAfterTheFirstFew) {
    expect_steps_without_allocation(dense_model);
}

TEST(Step, OfConvolutionsAllocatesNothingAfterTheFirstFew) {
    expect_steps_without_allocation(image_model);
}

}  // namespace
}  // namespace lockstep::test
