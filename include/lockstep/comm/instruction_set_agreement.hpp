/// Ranks on machines of different kinds agree on the instruction set of matrix products and convolutions.
///
/// The bits of these depend on the set, unlike those of all other kernels: ranks that each took their own
/// would hold replicas that no uniform run has.
#pragma once

#include <lockstep/base/export.hpp>
#include <lockstep/comm/communicator.hpp>
#include <lockstep/simd/instruction_set.hpp>

namespace lockstep {

struct InstructionSetAgreement {
    InstructionSet products;  ///< what all ranks use from now on
    InstructionSet widest;    ///< what some rank would have used alone
    int narrowest_rank;       ///< the first that has nothing wider than `products`

    bool narrowed() const { return products < widest; }
};

/// Limits the products of every process to the narrowest set that any rank would use (see
/// limit_product_instruction_set). Collective; of no effect where all have the same. Throws
/// CommunicationError on every rank if the environment variable LOCKSTEP_INSTRUCTION_SET is not the same for
/// all of them, UsageError if it names no set that there is.
LOCKSTEP_EXPORT InstructionSetAgreement agree_on_instruction_set(const Communicator& communicator);

}  // namespace lockstep
