/// Text that is safe in XML and HTML.
#pragma once

#include <lockstep/base/export.hpp>

#include <string>
#include <string_view>

namespace lockstep {

/// Replaces & < > " ' by their entities, and control characters that XML forbids by a question mark.
LOCKSTEP_EXPORT std::string escape_markup(std::string_view text);

}  // namespace lockstep
