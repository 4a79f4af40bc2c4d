/// Many nodes on one machine: see nodes_of.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace lockstep::testing {

/// As long as it lives, communicators find nodes of so many ranks.
class RanksPerNode {
  public:
    explicit RanksPerNode(int ranks) {
        if (const char* const value = std::getenv(variable)) before_ = value;
        ::setenv(variable, std::to_string(ranks).c_str(), 1);
    }
    ~RanksPerNode() {
        if (before_)
            ::setenv(variable, before_->c_str(), 1);
        else
            ::unsetenv(variable);
    }
    RanksPerNode(const RanksPerNode&) = delete;
    RanksPerNode& operator=(const RanksPerNode&) = delete;

  private:
    static constexpr const char* variable = "LOCKSTEP_RANKS_PER_NODE";
    std::optional<std::string> before_;
};

}  // namespace lockstep::testing
