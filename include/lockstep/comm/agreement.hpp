/// Ranks make sure that they are about to do the same, before anything depends on it.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/comm/communicator.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

/// Compares settings over all ranks. Collective; one exchange of a few bytes if the ranks agree, and only if
/// they do not a second one of the texts. Throws CommunicationError on every rank, naming each setting that
/// differs with its values and the ranks that have them; the communicator remains usable, since all ranks
/// have taken part. `subject` says whose settings these are: "batch norm", "training".
LOCKSTEP_EXPORT void check_agreement(const Communicator& communicator, std::string_view subject,
                                     const Settings& mine);

/// The same for a caller that has found a fault of its own before: `fault` is the text of that error, empty if there
/// is none. The others learn it instead of waiting for a rank that has gone: CommunicationError names each fault and
/// its ranks. If all ranks have found the same fault this throws UsageError with it. Returns the largest `number`
/// that any rank brings: a count that the ranks keep each for itself is brought into step by the way.
LOCKSTEP_EXPORT std::int64_t check_agreement(const Communicator& communicator, std::string_view subject,
                                             Settings mine, const std::string& fault,
                                             std::int64_t number = 0);

}  // namespace lockstep
