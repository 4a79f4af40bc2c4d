/// Whether MPI's functions are those of the mpi.h that the library was compiled with.
///
/// They are not if a program brings along another MPI (Python's mpi4py does, with RTLD_GLOBAL): the linker then gives the
/// library the functions of that one, to which its handles mean nothing, and the first call with one ends in a crash.
#pragma once

namespace lockstep {

/// Throws UsageError if they are certainly not. May be called at any time: MPI need not be initialized.
void require_own_mpi();

}  // namespace lockstep
