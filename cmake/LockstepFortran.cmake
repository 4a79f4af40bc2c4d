# The Fortran module: whether it is built, and MPI's own modules for its tests. To be included by the top-level file,
# since CMake wants a language to be enabled there.

set(LOCKSTEP_FORTRAN AUTO CACHE STRING "Build the Fortran module lockstep: ON, OFF, or AUTO: if there is a compiler for it")
set_property(CACHE LOCKSTEP_FORTRAN PROPERTY STRINGS AUTO ON OFF)

# In another project AUTO follows that project: it is not made to look for a compiler that it does not use. Nor is it built
# with the sanitizers: a main program in Fortran leaves its arrays to the system, which they take for leaks. They see the C
# interface beneath.
set(lockstep_builds_fortran OFF)
if(LOCKSTEP_FORTRAN STREQUAL "AUTO")
  if(lockstep_top_level AND NOT LOCKSTEP_SANITIZE)
    include(CheckLanguage)
    check_language(Fortran)
  endif()
  if(CMAKE_Fortran_COMPILER AND NOT LOCKSTEP_SANITIZE)
    set(lockstep_builds_fortran ON)
  endif()
elseif(LOCKSTEP_FORTRAN)
  set(lockstep_builds_fortran ON)
endif()

if(lockstep_builds_fortran)
  enable_language(Fortran)
  include(CheckSourceCompiles)
  # Fortran 2018: arrays of any rank. gfortran has them since 10.
  check_source_compiles(Fortran "
    subroutine look_at(array, known)
      real, dimension(..), intent(in), target, asynchronous :: array
      logical, intent(out) :: known
      select rank (array)
      rank (1)
        known = is_contiguous(array)
      rank default
        error stop 1, quiet=.true.
      end select
    end subroutine
    program check
    end program" LOCKSTEP_FORTRAN_COMPILER_WORKS SRC_EXT f90)
  if(NOT LOCKSTEP_FORTRAN_COMPILER_WORKS)
    if(LOCKSTEP_FORTRAN STREQUAL "AUTO")
      message(STATUS "The Fortran module is left out: ${CMAKE_Fortran_COMPILER} does not know enough of Fortran 2018")
      set(lockstep_builds_fortran OFF)
    else()
      message(FATAL_ERROR "LOCKSTEP_FORTRAN is ON, but ${CMAKE_Fortran_COMPILER} does not know enough of Fortran 2018 "
        "(assumed rank); use gfortran 10 or newer, or set LOCKSTEP_FORTRAN=OFF")
    endif()
  endif()
endif()

set(lockstep_fortran_flags $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-std=f2018>
  $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-Wall> $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-Wextra>)
if(LOCKSTEP_WERROR)
  list(APPEND lockstep_fortran_flags $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-Werror>)
endif()

# As lockstep_optimization, for projects without a build type.
set(lockstep_fortran_optimization "")
if(NOT CMAKE_Fortran_FLAGS MATCHES "(^| )-O")
  set(lockstep_fortran_optimization $<$<STREQUAL:$<CONFIG>,>:-O2>)
endif()

# Programs take their MPI::MPI_Fortran where they like, also a parent project; of the MPI that the library is built with.
if(lockstep_builds_fortran)
  lockstep_choose_mpi_for(Fortran mpifort)
endif()

# Warnings for programs that let assignments allocate their arrays: gfortran takes the descriptors that these look at for
# uninitialized.
set(lockstep_fortran_program_flags ${lockstep_fortran_flags}
  $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-Wno-uninitialized> $<$<COMPILE_LANG_AND_ID:Fortran,GNU>:-Wno-maybe-uninitialized>)

# lockstep_add_fortran_executable(target source...): a test or an example that uses the modules lockstep and mpi_f08.
function(lockstep_add_fortran_executable target)
  add_executable(${target} ${ARGN})
  target_compile_options(${target} PRIVATE ${lockstep_fortran_program_flags} ${lockstep_sanitizers})
  target_link_options(${target} PRIVATE ${lockstep_sanitizers})
  if(LOCKSTEP_SANITIZE)
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/sanitizers.cpp)
    target_link_options(${target} PRIVATE -Wl,--export-dynamic-symbol=dlclose)
  endif()
  target_link_libraries(${target} PRIVATE lockstep::fortran MPI::MPI_Fortran)
  set_target_properties(${target} PROPERTIES Fortran_MODULE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${target}.modules)
endfunction()
