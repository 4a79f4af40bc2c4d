# One line registers a test:
#   lockstep_add_unit_test(unit_base random_test.cpp shape_test.cpp)
#   lockstep_add_mpi_test(replica_sum replica_sum_test.cpp [RANKS 1 2 3 4] [SECONDS 120] [ARGUMENTS ...]
#                        [RELEASE_ONLY] [EACH_INSTRUCTION_SET] [BRIEF])
#
# `tests/run --brief` builds the target lockstep_brief_tests and runs what has the label brief, to try another MPI
# library: lockstep_brief is ON in folders whose tests belong to it; others say BRIEF.
include(GoogleTest)

# `tests/run --quick` does so with the labels quick and unit, for a developer's many runs: the unit tests, what runs on 1
# and 3 ranks, and those of the launcher's tests that say QUICK.
add_custom_target(lockstep_quick_tests)
set(lockstep_quick_ranks 1 3)
add_custom_target(lockstep_brief_tests)
set(lockstep_brief OFF)
set(lockstep_brief_ranks 2 3)

# Scripts that run programs on several ranks find mpirun through their environment; all other tests call
# ${lockstep_mpirun} (cmake/LockstepMpirun.cmake).
set(lockstep_mpirun_environment LOCKSTEP_MPIRUN=${lockstep_mpirun_program})
# The sanitizers slow a program down by a small factor; so do the time-outs stretch.
if(LOCKSTEP_SANITIZE)
  set(lockstep_time_factor 4)
else()
  set(lockstep_time_factor 1)
endif()

function(lockstep_add_test_executable target)
  add_executable(${target} ${ARGN})
  lockstep_set_up_executable(${target})
  lockstep_compile_quickly(${target} -O0)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(TARGET lockstep)
    target_link_libraries(${target} PRIVATE lockstep::lockstep nlohmann_json::nlohmann_json)
  else()
    target_link_libraries(${target} PRIVATE lockstep::norm)
  endif()
endfunction()

# Tests that need no mpirun. Every TEST() is a ctest entry of its own, named EXECUTABLE.Suite.Name.
function(lockstep_add_unit_test name)
  lockstep_add_test_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE GTest::gtest_main)
  math(EXPR seconds "180 * ${lockstep_time_factor}")
  gtest_discover_tests(${name}
    TEST_PREFIX ${name}.
    NO_PRETTY_VALUES  # each set of parameters has a name already, without "# GetParam() = …" behind it
    DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${seconds} LABELS unit)
  add_dependencies(lockstep_quick_tests ${name})
endfunction()

# Tests that run alike on several ranks; one ctest entry for each number of ranks, named EXECUTABLE.ranks_N.
# SECONDS is the time after which a test that hangs is ended and has failed. RELEASE_ONLY leaves a test out where the
# sanitizers would make it too slow, such as a whole training run. EACH_INSTRUCTION_SET adds entries on 3 ranks that
# force each of the instruction sets in turn; they are skipped where the processor lacks it.
function(lockstep_add_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "RELEASE_ONLY;EACH_INSTRUCTION_SET;BRIEF" "SECONDS" "RANKS;ARGUMENTS")
  if(test_RELEASE_ONLY AND LOCKSTEP_SANITIZE)
    return()
  endif()
  if(NOT test_RANKS)
    set(test_RANKS 1 2 3 4)
  endif()
  # What sanitizers look for hardly depends on how many ranks there are, and Release runs all numbers.
  if(LOCKSTEP_SANITIZE AND 3 IN_LIST test_RANKS)
    set(test_RANKS 3)
  endif()
  if(NOT test_SECONDS)
    set(test_SECONDS 120)
  endif()
  lockstep_add_test_executable(${name} ${test_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE lockstep_mpi_main)

  math(EXPR watchdog "${test_SECONDS} * ${lockstep_time_factor}")
  math(EXPR last_resort "${watchdog} + 30")  # ctest's own time-out would leave ranks behind
  if(lockstep_brief)
    set(test_BRIEF ON)
  endif()
  if(test_BRIEF)
    add_dependencies(lockstep_brief_tests ${name})
  endif()
  add_dependencies(lockstep_quick_tests ${name})
  foreach(ranks IN LISTS test_RANKS)
    set(labels mpi ranks_${ranks})
    if(test_BRIEF AND ranks IN_LIST lockstep_brief_ranks)
      list(APPEND labels brief)
    endif()
    if(ranks IN_LIST lockstep_quick_ranks)
      list(APPEND labels quick)
    endif()
    add_test(NAME ${name}.ranks_${ranks}
      COMMAND ${lockstep_mpirun} --seconds ${watchdog} -n ${ranks} $<TARGET_FILE:${name}> ${test_ARGUMENTS})
    set_tests_properties(${name}.ranks_${ranks} PROPERTIES
      TIMEOUT ${last_resort} PROCESSORS ${ranks} LABELS "${labels}")
  endforeach()
  if(test_EACH_INSTRUCTION_SET)
    set(sets portable avx2 avx512)
    if(LOCKSTEP_SANITIZE)
      set(sets portable)  # beside the widest, which is what runs without being named
    endif()
    foreach(set IN LISTS sets)
      add_test(NAME ${name}.${set}
        COMMAND ${lockstep_mpirun} --seconds ${watchdog} -n 3 $<TARGET_FILE:${name}> ${test_ARGUMENTS})
      set_tests_properties(${name}.${set} PROPERTIES
        ENVIRONMENT LOCKSTEP_INSTRUCTION_SET=${set} SKIP_RETURN_CODE 77
        TIMEOUT ${last_resort} PROCESSORS 3 LABELS "mpi;ranks_3")
    endforeach()
  endif()
endfunction()
