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

# lockstep_choose_mpi_for(language wrapper): C or Fortran gets the MPI of C++ if that goes by a name of its own: mpicxx.mpich
# has a mpifort.mpich beside it. FindMPI would take the first mpifort in PATH, and a program would be linked with two MPIs.
# To be called when MPI was found for C++; who has named a wrapper for the language, or found MPI for it, keeps that.
function(lockstep_choose_mpi_for language wrapper)
  if(MPI_${language}_COMPILER OR NOT MPI_CXX_COMPILER)
    return()
  endif()
  get_filename_component(name ${MPI_CXX_COMPILER} NAME)
  get_filename_component(folder ${MPI_CXX_COMPILER} DIRECTORY)
  string(REGEX REPLACE "^mpi(cxx|c\\+\\+|CC)" "${wrapper}" name ${name})
  if(name MATCHES "^${wrapper}" AND EXISTS ${folder}/${name})
    set(MPI_${language}_COMPILER ${folder}/${name} CACHE FILEPATH "MPI compiler for ${language}")
  endif()
endfunction()

# lockstep_mpi_of_another(language result): the MPI library that was found for that language if it is certain that it is not
# the one of C++, or nothing.
function(lockstep_mpi_of_another language result)
  set(theirs ${MPI_${language}_LIBRARIES})
  set(ours ${MPI_CXX_LIBRARIES})
  list(FILTER theirs INCLUDE REGEX "/lib(mpi|mpich)\\.[^/]*$")
  list(FILTER ours INCLUDE REGEX "/lib(mpi|mpich)\\.[^/]*$")
  set(${result} "" PARENT_SCOPE)
  foreach(library IN LISTS theirs)
    foreach(own IN LISTS ours)
      file(REAL_PATH ${library} library_file)
      file(REAL_PATH ${own} own_file)
      if(NOT library_file STREQUAL own_file)
        set(${result} ${library} PARENT_SCOPE)
      endif()
    endforeach()
  endforeach()
endfunction()
