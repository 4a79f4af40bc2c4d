#include "agreement.hpp"

#include <lockstep/base/error.hpp>

namespace lockstep::launch {

void check_agreement(const Communicator& communicator,
                     const std::vector<std::pair<std::string, std::string>>& what) {
    std::string mine;
    for (const auto& [name, value] : what) mine += name + "\x1f" + value + "\x1e";
    const auto all = communicator.all_gather(mine, "comparing settings and data");
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
        if (all[rank] == all[0]) continue;
        // The first name, and its two values, at which the texts part.
        std::size_t begin = 0;
        for (std::size_t i = 0; i < std::min(all[0].size(), all[rank].size()) && all[0][i] == all[rank][i];
             ++i)
            if (all[0][i] == '\x1e') begin = i + 1;
        const auto record = [begin](const std::string& text) {
            std::string part = text.substr(begin, text.find('\x1e', begin) - begin);
            const auto separator = part.find('\x1f');
            if (separator != std::string::npos) part.replace(separator, 1, " = ");
            return part.empty() ? std::string("nothing more") : part;
        };
        throw CommunicationError("the ranks do not agree: rank 0 has " + record(all[0]) + ", rank " +
                                 std::to_string(rank) + " has " + record(all[rank]) +
                                 "; start all ranks with the same options and data");
    }
}

}  // namespace lockstep::launch
