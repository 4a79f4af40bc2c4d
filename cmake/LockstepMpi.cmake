# Which MPI a build uses. Programs and libraries must be built with the same: a handle of Open MPI is a pointer, one of
# MPICH a number. Installed beside the package file, which compares its user's MPI with the library's.

set(lockstep_mpi_source ${CMAKE_CURRENT_LIST_DIR}/which_mpi.cpp)

# lockstep_which_mpi(name family): "Open MPI 4.1.4" and "Open MPI", by the mpi.h behind MPI::MPI_CXX. The family is what
# must be the same; MPICH's has all with its binary interface (Intel MPI, MVAPICH, Cray MPICH). Both are empty if mpi.h
# does not say, or cannot be compiled.
function(lockstep_which_mpi name_result family_result)
  set(made_from "${MPI_CXX_COMPILER};${MPI_CXX_INCLUDE_DIRS};${CMAKE_CXX_COMPILER}")
  if(NOT "${LOCKSTEP_MPI_MADE_FROM}" STREQUAL "${made_from}")
    # Compiled, since mpi.h may include others, and compiler wrappers know it without a folder. Not linked, and not run.
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/lockstep_which_mpi)
    try_compile(compiled ${object}_build ${lockstep_mpi_source} LINK_LIBRARIES MPI::MPI_CXX COPY_FILE ${object})
    set(text "")
    if(compiled)
      file(STRINGS ${object} text LIMIT_COUNT 1 REGEX "lockstep_which_mpi{[^}]*}")
      string(REGEX REPLACE ".*lockstep_which_mpi{([^}]*)}.*" "\\1" text "${text}")
    endif()
    set(LOCKSTEP_MPI "${text}" CACHE INTERNAL "Family and name of the MPI that was found")
    set(LOCKSTEP_MPI_MADE_FROM "${made_from}" CACHE INTERNAL "What LOCKSTEP_MPI was found with")
  endif()
  string(REGEX REPLACE ":.*" "" family "${LOCKSTEP_MPI}")
  string(REGEX REPLACE "^[^:]*:" "" name "${LOCKSTEP_MPI}")
  set(${name_result} "${name}" PARENT_SCOPE)
  set(${family_result} "${family}" PARENT_SCOPE)
endfunction()
