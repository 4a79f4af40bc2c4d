// Part of every executable of a sanitizer build (LOCKSTEP_SANITIZE): its options, and what is not our leak.
#define SANITIZER_HOOK extern "C" __attribute__((visibility("default"), used))

/// Open MPI's parts leave memory behind and are unloaded before the leak check, which then cannot tell whose
/// it was. So nothing is ever unloaded. CMake exports this symbol, for Open MPI to find it first.
SANITIZER_HOOK int dlclose(void*) {
    return 0;
}

/// The slow unwinder finds its way through libraries without frame pointers, which suppressions by library
/// need. GCC before 14 takes some blocks of thread-local memory for those of an early glibc, by their addresses
/// alone, and then the leak check crashes: "Tracer caught signal 11" (google/sanitizers#1353).
SANITIZER_HOOK const char* __asan_default_options() {
    return "detect_leaks=1:fast_unwind_on_malloc=0:intercept_tls_get_addr=0";
}

SANITIZER_HOOK const char* __ubsan_default_options() {
    return "print_stacktrace=1";
}

SANITIZER_HOOK const char* __lsan_default_options() {
    return "print_suppressions=0";
}

SANITIZER_HOOK const char* __lsan_default_suppressions() {
    return "leak:ompi_mpi_init\n"  // and not all of libmpi.so: a request that we leak is ours
           // A communicator that has failed, or outlives MPI, may never be freed; that
           // all others are, mpi_exchange_count tests.
           "leak:ompi_comm_idup_with_info\n"
           "leak:libopen-rte.so\n"
           "leak:libopen-pal.so\n"
           "leak:/mca_\n"
           "leak:libpmix.so\n"
           "leak:libhwloc.so\n"
           "leak:libevent\n"
           "leak:libfabric.so\n"
           "leak:libucp.so\n"
           "leak:libpciaccess.so\n"
           "leak:libudev.so\n";
}
