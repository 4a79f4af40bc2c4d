#include <lockstep/comm/instruction_set_agreement.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/comm/agreement.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

InstructionSetAgreement agree_on_instruction_set(const Communicator& communicator) {
    std::string forced = "(not set)", fault;
    try {
        if (const auto set = forced_instruction_set()) forced = to_string(*set);
    } catch (const UsageError& error) {
        fault = error.what();
    }
    check_agreement(communicator, "the instruction set", {{"LOCKSTEP_INSTRUCTION_SET", forced}}, fault);

    const auto mine = static_cast<std::uint8_t>(product_instruction_set());
    std::vector<std::uint8_t> all(static_cast<std::size_t>(communicator.size()));
    communicator.all_gather(&mine, all.data(), std::vector<int>(all.size(), 1), "comparing instruction sets");
    const auto [narrowest, widest] = std::ranges::minmax_element(all);
    const auto agreed = static_cast<InstructionSet>(*narrowest);
    limit_product_instruction_set(agreed);
    return {agreed, static_cast<InstructionSet>(*widest), static_cast<int>(narrowest - all.begin())};
}

}  // namespace lockstep
