/// Symbol visibility: LOCKSTEP_EXPORT marks what the shared library offers; everything else stays hidden.
///
/// For C and C++.
#ifndef LOCKSTEP_BASE_VISIBILITY_H
#define LOCKSTEP_BASE_VISIBILITY_H

#if defined(__GNUC__) || defined(__clang__)
#define LOCKSTEP_EXPORT __attribute__((visibility("default")))
#else
#define LOCKSTEP_EXPORT
#endif

#endif
