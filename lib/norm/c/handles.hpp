/// What the handles of the C interface hold, and how its functions end: no exception crosses into C.
#pragma once

#include <lockstep/lockstep.h>
#include <lockstep/base/error.hpp>
#include <lockstep/base/executor.hpp>
#include <lockstep/norm/sync_batch_norm.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

struct lockstep_communicator {
    lockstep::Communicator communicator;
};

struct lockstep_moments {
    lockstep::BatchMoments moments;
    bool complete = false;  ///< its forward has ended
};

namespace lockstep::c_interface {

/// A C caller's threads.
class CallersExecutor final : public Executor {
  public:
    explicit CallersExecutor(const lockstep_executor& executor) : executor_(executor) {}
    int threads() const override { return std::max(1, executor_.threads(executor_.context)); }
    void run(int tasks, ExecutorTask task) override {
        executor_.run(executor_.context, tasks, task.function, task.argument);
    }

  private:
    lockstep_executor executor_;
};

/// A layer, and what its functions need from one call to the next.
template <class Scalar>
struct Layer {
    explicit Layer(SyncBatchNorm<Scalar> made) : norm(std::move(made)) {}

    // The layer uses it to its end.
    std::unique_ptr<CallersExecutor> executor;
    SyncBatchNorm<Scalar> norm;
    lockstep_moments* saved = nullptr;  ///< of the forward under way
    // The callers' slices in the layer's type. Kept: passes allocate nothing.
    std::vector<ForwardSlice<Scalar>> forward_slices;
    std::vector<BackwardSlice<Scalar>> backward_slices;
};

}  // namespace lockstep::c_interface

struct lockstep_batch_norm {
    std::variant<lockstep::c_interface::Layer<float>, lockstep::c_interface::Layer<double>> layer;
};

namespace lockstep::c_interface {

/// Keeps the text for lockstep_message, and returns the code.
int report(int code, const char* text) noexcept;

/// Runs `action`; turns what it throws into a code and a message.
template <class Action>
int guarded(Action action) noexcept {
    try {
        action();
        return LOCKSTEP_OK;
    } catch (const UsageError& error) {
        return report(LOCKSTEP_USAGE_ERROR, error.what());
    } catch (const CommunicationError& error) {
        return report(LOCKSTEP_COMMUNICATION_ERROR, error.what());
    } catch (const std::exception& error) {
        return report(LOCKSTEP_OTHER_ERROR, error.what());
    } catch (...) {
        return report(LOCKSTEP_OTHER_ERROR, "unknown error");
    }
}

/// What a pointer of the caller's points to; throws UsageError if it is NULL.
template <class Object>
Object& deref(Object* pointer, const char* what) {
    if (pointer == nullptr) throw UsageError(std::string(what) + " is NULL");
    return *pointer;
}

/// Sets the caller's place for a handle to what `make` returns; to NULL if that throws.
template <class Handle, class Make>
int create(Handle** place, const char* what, Make make) noexcept {
    return guarded([&] {
        Handle*& made = deref(place, what);
        made = nullptr;
        made = make();
    });
}

/// Calls action(layer) with the layer (see Layer) in its own type.
template <class Handle, class Action>
int with_layer(Handle* handle, Action action) noexcept {
    return guarded([&] { std::visit(action, deref(handle, "the layer").layer); });
}

/// Writes a result that the caller may not want.
template <class Value>
void write_if_wanted(Value* place, Value value) {
    if (place != nullptr) *place = value;
}

/// Throws UsageError if MPI is not there: `what` needs it.
void require_mpi(const char* what);

}  // namespace lockstep::c_interface
