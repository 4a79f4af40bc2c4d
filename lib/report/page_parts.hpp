/// What stands around the data in a report: style sheet and script.
#pragma once

namespace lockstep {

extern const char* const page_style;
extern const char* const page_script;

}  // namespace lockstep
