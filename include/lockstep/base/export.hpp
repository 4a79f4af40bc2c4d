/// What every public C++ header begins with: symbol visibility, and the language that Lockstep is written in.
#pragma once

#include <lockstep/base/visibility.h>

// MSVC keeps __cplusplus at 199711 unless it is asked not to.
#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) <= 201703L
// An #error would let the compiler go on, with dozens of errors about std::span that hide it. A header that cannot be
// found ends it, with this one line.
#include <Lockstep needs C++20: compile with -std=c++20>
#endif
