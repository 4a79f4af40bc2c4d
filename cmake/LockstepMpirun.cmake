# The mpirun that belongs to the MPI that programs are linked with: build/mpirun.
#
# MPIEXEC_EXECUTABLE may be another MPI's, if several are installed, and under that one every rank believes that it is
# alone: tests on several ranks would test nothing. So a candidate has to start two ranks that see each other.
# build/mpirun is tests/support/mpirun with the one that does.
set(LOCKSTEP_MPIRUN "" CACHE STRING "The mpirun of the MPI in use; if empty, it is looked for")

# Beside the compiler wrapper, beside the library, in PATH. Debian's mpicxx.mpich has a mpirun.mpich, and its mpicxx
# leads to mpicxx.mpich or mpic++.openmpi from link to link: such names come first, for links may be changed later.
function(lockstep_list_mpiruns result)
  set(candidates "")
  set(wrapper ${MPI_CXX_COMPILER})
  if(NOT wrapper)
    set(wrapper ${CMAKE_CXX_COMPILER})
  endif()
  while(wrapper)
    get_filename_component(folder ${wrapper} DIRECTORY)
    get_filename_component(name ${wrapper} NAME)
    string(REGEX MATCH "\\.[a-z].*$" suffix ${name})
    set(beside ${folder}/mpirun${suffix} ${folder}/mpiexec${suffix})
    if(suffix)
      list(PREPEND candidates ${beside})
    else()
      list(APPEND candidates ${beside})
    endif()
    list(APPEND folders ${folder})
    set(next "")
    if(IS_SYMLINK ${wrapper})
      file(READ_SYMLINK ${wrapper} next)
      get_filename_component(next ${next} ABSOLUTE BASE_DIR ${folder})
    endif()
    set(wrapper ${next})
  endwhile()
  foreach(library IN LISTS MPI_CXX_LIBRARIES)
    get_filename_component(folder ${library} DIRECTORY)
    get_filename_component(folder ${folder}/../bin ABSOLUTE)
    list(APPEND candidates ${folder}/mpirun ${folder}/mpiexec)
  endforeach()
  list(APPEND candidates ${MPIEXEC_EXECUTABLE})
  foreach(folder IN LISTS folders)
    file(GLOB others ${folder}/mpirun ${folder}/mpirun.* ${folder}/mpiexec.*)
    list(APPEND candidates ${others})
  endforeach()
  list(REMOVE_DUPLICATES candidates)
  set(${result} "${candidates}" PARENT_SCOPE)
endfunction()

# Runs the probe on two ranks: which MPI they say they have, or nothing if they do not see each other.
function(lockstep_try_mpirun candidate probe result)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env LOCKSTEP_MPIRUN=${candidate}
      ${PROJECT_SOURCE_DIR}/tests/support/mpirun --seconds 60 -n 2 ${probe}
    OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE code)
  if(code EQUAL 0 AND said MATCHES "2 ranks of ([^\n]+)")
    string(REPLACE " Version:" "" library ${CMAKE_MATCH_1})  # MPICH's
    set(${result} ${library} PARENT_SCOPE)
  else()
    set(${result} "" PARENT_SCOPE)
  endif()
endfunction()

# Sets lockstep_mpirun_program, empty if there is none, and lockstep_mpirun_library. Looks again only if the MPI is
# another than the last time.
function(lockstep_find_mpirun)
  set(found_for "${LOCKSTEP_MPIRUN};${MPI_CXX_COMPILER};${MPI_CXX_LIBRARIES}")
  if(lockstep_mpirun_program AND lockstep_mpirun_found_for STREQUAL found_for)
    return()
  endif()
  set(probe ${PROJECT_BINARY_DIR}/CMakeFiles/lockstep_mpirun_probe)
  try_compile(compiled ${PROJECT_BINARY_DIR}/CMakeFiles/lockstep_mpirun SOURCES ${PROJECT_SOURCE_DIR}/cmake/mpirun_probe.cpp
    LINK_LIBRARIES MPI::MPI_CXX COPY_FILE ${probe} OUTPUT_VARIABLE errors)
  if(NOT compiled)
    message(FATAL_ERROR "A program of a few lines cannot be built with MPI:\n${errors}")
  endif()
  if(LOCKSTEP_MPIRUN)
    set(candidates ${LOCKSTEP_MPIRUN})
  else()
    lockstep_list_mpiruns(candidates)
  endif()
  set(program "")
  foreach(candidate IN LISTS candidates)
    if(LOCKSTEP_MPIRUN OR EXISTS ${candidate})
      lockstep_try_mpirun(${candidate} ${probe} library)
      if(library)
        set(program ${candidate})
        message(STATUS "Found mpirun: ${program} (${library})")
        break()
      endif()
    endif()
  endforeach()
  if(NOT program)
    list(JOIN candidates " " tried)
    message(WARNING "No mpirun starts two ranks of the MPI in use that see each other. Name one with "
      "-DLOCKSTEP_MPIRUN=PROGRAM; tried were ${tried}")
    set(program ${LOCKSTEP_MPIRUN})  # It may work elsewhere: on the nodes of a cluster, say.
    set(library "an MPI that did not start here")
  endif()
  set(lockstep_mpirun_program "${program}" CACHE INTERNAL "")
  set(lockstep_mpirun_library "${library}" CACHE INTERNAL "")
  set(lockstep_mpirun_found_for "${found_for}" CACHE INTERNAL "")
endfunction()

lockstep_find_mpirun()
set(lockstep_mpirun ${PROJECT_BINARY_DIR}/mpirun)
if(lockstep_mpirun_program)
  file(WRITE ${lockstep_mpirun} "#!/bin/sh
# The mpirun of ${lockstep_mpirun_library}, which this build is linked with. Written by CMake.
export LOCKSTEP_MPIRUN='${lockstep_mpirun_program}'
exec '${PROJECT_SOURCE_DIR}/tests/support/mpirun' \"$@\"
")
else()
  file(WRITE ${lockstep_mpirun} "#!/bin/sh
echo 'mpirun: none was found that belongs to the MPI of this build; configure it with -DLOCKSTEP_MPIRUN=PROGRAM' >&2
exit 1
")
endif()
file(CHMOD ${lockstep_mpirun}
  PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
