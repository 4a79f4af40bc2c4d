/// What one rank alone throws, made known to the ranks that would wait for it: whatever it is, a user's own exception
/// or ours.
#pragma once

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>
#include <lockstep/comm/communicator.hpp>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace lockstep {

/// The text of the exception that is being handled; never empty.
inline std::string text_of_current_exception() {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return "out of memory";
    } catch (const std::exception& error) {
        const std::string text = error.what();
        return text.empty() ? "an exception without a text" : text;
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

/// The text of what `action` throws, for check_agreement; empty where it throws nothing.
template <class Action>
std::string fault_of(Action&& action) {
    try {
        std::forward<Action>(action)();
    } catch (...) {
        return text_of_current_exception();
    }
    return {};
}

/// Collective: runs what each rank does by itself. Where it throws on some ranks it throws on all, and the communicator
/// remains usable: the exception itself where it was thrown, elsewhere a CommunicationError with its text.
template <class Action>
void together(const Communicator& communicator, std::string_view what, Action&& action) {
    std::exception_ptr thrown;
    const std::string fault = fault_of([&] {
        try {
            std::forward<Action>(action)();
        } catch (...) {
            thrown = std::current_exception();
            throw;
        }
    });
    try {
        check_agreement(communicator, what, {}, fault);
    } catch (const Error&) {
        if (thrown) std::rethrow_exception(thrown);
        throw;
    }
}

/// Runs what other ranks will wait for. Where it throws they get a CommunicationError that says so, at once, and the
/// caller gets the exception as it is. For what may fail on one rank alone: the communicator is of no use after.
template <class Action>
decltype(auto) or_announce(const Communicator& communicator, Action&& action) {
    try {
        return std::forward<Action>(action)();
    } catch (...) {
        communicator.announce_failure(text_of_current_exception());
        throw;
    }
}

}  // namespace lockstep
