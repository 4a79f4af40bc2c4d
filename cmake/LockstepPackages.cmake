# What Lockstep needs beside MPI, how it is found, and what is said of it.

# lockstep_need_package(hint package [argument...]): find_package, which fails with the hint how to do without. A macro:
# what find_package sets is for the caller.
macro(lockstep_need_package hint package)
  find_package(${package} ${ARGN})
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "Lockstep did not find ${package}: install it, or name its folder in CMAKE_PREFIX_PATH; ${hint}")
  endif()
endmacro()

# lockstep_find_hdf5(result): finds HDF5's C library as LOCKSTEP_HDF5 asks, and says whether it is to be used. A macro:
# languages are enabled for the folder that calls.
macro(lockstep_find_hdf5 result)
  set(${result} OFF)
  if(LOCKSTEP_HDF5)
    enable_language(C)  # FindHDF5 compiles in it
    # 1.10.7 is the first in which a program can do without file locks, which not every file system has.
    if(LOCKSTEP_HDF5 STREQUAL "AUTO")
      find_package(HDF5 1.10.7 QUIET COMPONENTS C)
    else()
      find_package(HDF5 1.10.7 REQUIRED COMPONENTS C)
    endif()
    if(HDF5_FOUND AND TARGET hdf5::hdf5)
      set(${result} ON)
    endif()
  endif()
endmacro()

# One line of the configuration: what this build folder will have.
function(lockstep_say_what_is_built)
  set(parts "")
  if(TARGET lockstep)
    list(APPEND parts "the library")
  else()
    list(APPEND parts "the batch norm layer alone")
  endif()
  if(TARGET lockstep_launcher)
    list(APPEND parts "the launcher")
  endif()
  if(LOCKSTEP_BUILD_TESTS)
    list(APPEND parts "the tests")
  else()
    list(APPEND parts "no tests (LOCKSTEP_BUILD_TESTS=ON, or a preset, builds them)")
  endif()
  list(JOIN parts ", " parts)
  message(STATUS "Lockstep ${PROJECT_VERSION}: ${parts}")
endfunction()
