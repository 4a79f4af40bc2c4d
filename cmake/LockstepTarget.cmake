# How every target of Lockstep is set up, and how the floors add their sources.

set(lockstep_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 takes the deliberately undefined registers of its own AVX-512 intrinsics, which Eigen calls, for a mistake,
  # and sees an overlong memcmp where two vectors of bytes are compared, and overlap in "text" + std::string.
  list(APPEND lockstep_warnings
    -Wno-maybe-uninitialized -Wno-uninitialized -Wno-stringop-overread -Wno-restrict)
endif()
if(LOCKSTEP_WERROR)
  list(APPEND lockstep_warnings -Werror)
endif()

# Fused multiply-add rounds once where multiply and add round twice. Left to the compiler, one of two paths that
# must agree to the bit would be fused and the other not, and differently on each instruction set.
# errno: without this flag sqrt is a call that may set it, and no loop with a square root is vectorized.
# A parent project's -ffast-math would reorder sums.
set(lockstep_arithmetic -fno-fast-math -ffp-contract=off -fno-math-errno)

# The kernels are compiled alike in every build type, also in a parent project's: unoptimized they are up to 20 times
# slower. LOCKSTEP_DEBUG_KERNELS leaves them to the build type; so do the sanitizers.
set(lockstep_kernel_optimization "")
if(NOT LOCKSTEP_DEBUG_KERNELS AND NOT LOCKSTEP_SANITIZE)
  set(lockstep_kernel_optimization -O3 -DNDEBUG)
endif()

# A project without a build type has asked for nothing, and would get code that is not optimized.
set(lockstep_optimization "")
if(NOT CMAKE_CXX_FLAGS MATCHES "(^| )-O")
  set(lockstep_optimization $<$<STREQUAL:$<CONFIG>,>:-O2>)
endif()

set(lockstep_instruction_set "")
if(LOCKSTEP_NATIVE)
  set(lockstep_instruction_set -march=native)
endif()

set(lockstep_sanitizers "")
if(LOCKSTEP_SANITIZE)
  set(lockstep_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
endif()

set(lockstep_coverage "")
if(LOCKSTEP_COVERAGE)
  set(lockstep_coverage --coverage)
endif()

# Language, warnings, arithmetic and sanitizers, for libraries and executables alike. All private.
function(lockstep_set_common_flags target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_options(${target} PRIVATE
    ${lockstep_warnings} ${lockstep_arithmetic} ${lockstep_optimization} ${lockstep_sanitizers})
  target_link_options(${target} PRIVATE ${lockstep_sanitizers})
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    UNITY_BUILD OFF)  # sources of a floor may use the same names for what is theirs alone
endfunction()

# lockstep_set_up_library(target name): a library, known to users as lockstep::name.
function(lockstep_set_up_library target name)
  add_library(lockstep::${name} ALIAS ${target})
  lockstep_set_common_flags(${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE ${lockstep_coverage})
  target_link_options(${target} PUBLIC ${lockstep_coverage})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    OUTPUT_NAME ${target}
    DEFINE_SYMBOL ""  # nothing asks for it, and without it a shared library's objects are those of a static one
    VERSION ${PROJECT_VERSION}
    # Before 1.0 every minor version may change the interface.
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()

# An executable of the project: launcher or test.
function(lockstep_set_up_executable target)
  lockstep_set_common_flags(${target})
  target_compile_options(${target} PRIVATE ${lockstep_instruction_set})
  if(LOCKSTEP_SANITIZE)
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/sanitizers.cpp)
    target_link_options(${target} PRIVATE -Wl,--export-dynamic-symbol=dlclose)
  endif()
endfunction()

# For what takes longer to compile than to run, as tests do, and the launcher beside the library: this optimization, such
# as -O1, in place of the build type's. With the sanitizers' code in it, optimizing takes half of the compiler's time.
function(lockstep_compile_quickly target optimization)
  if(LOCKSTEP_SANITIZE)
    set(optimization -O0)
  endif()
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:${optimization}>)
endfunction()

# What kernels are compiled for.
set(lockstep_instruction_sets portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(lockstep_instruction_sets portable avx2 avx512)
endif()

# lockstep_add_instruction_sets(target name [option...]): the target's sources name_portable.cpp and, on x86-64,
# name_avx2.cpp and name_avx512.cpp in the calling folder, all with these options; which one runs is chosen at run time
# (lib/simd/tables.hpp). Their flags come after those of the build type, and after -march=native, if that is on, and win
# over them: what is portable and what is fast is the same in every build.
function(lockstep_add_instruction_sets target name)
  if("avx2" IN_LIST lockstep_instruction_sets)
    set(flags_portable -march=x86-64 -mtune=generic)
    set(flags_avx2 -march=x86-64-v3 -mtune=generic)
    set(flags_avx512 -march=x86-64-v4 -mtune=generic -mprefer-vector-width=512)
    target_compile_definitions(${target} PRIVATE LOCKSTEP_X86_INSTRUCTION_SETS)
    if(LOCKSTEP_SANITIZE)
      # A look at every pointer before each load and store of a vector takes GCC minutes to compile. The portable kernels,
      # of the same source, keep it; elsewhere AddressSanitizer sees where pointers lead. All other checks are everywhere.
      list(APPEND flags_avx2 -fno-sanitize=null,alignment,pointer-overflow)
      list(APPEND flags_avx512 -fno-sanitize=null,alignment,pointer-overflow)
    endif()
  endif()
  foreach(set IN LISTS lockstep_instruction_sets)
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${name}_${set}.cpp)
    set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/${name}_${set}.cpp
      TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "${flags_${set}};${lockstep_kernel_optimization};${ARGN}")
  endforeach()
endfunction()

# Each floor lists its sources in lib/FLOOR/CMakeLists.txt with target_sources().
function(lockstep_add_floors)
  foreach(floor IN LISTS ARGN)
    if(EXISTS ${PROJECT_SOURCE_DIR}/lib/${floor}/CMakeLists.txt)
      add_subdirectory(${PROJECT_SOURCE_DIR}/lib/${floor} ${PROJECT_BINARY_DIR}/lib/${floor})
    endif()
  endforeach()
endfunction()

function(lockstep_any_floor_exists result)
  set(${result} OFF PARENT_SCOPE)
  foreach(floor IN LISTS ARGN)
    if(EXISTS ${PROJECT_SOURCE_DIR}/lib/${floor}/CMakeLists.txt)
      set(${result} ON PARENT_SCOPE)
    endif()
  endforeach()
endfunction()
