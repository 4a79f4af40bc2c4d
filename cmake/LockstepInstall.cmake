# Installs the libraries, their headers, the launcher, and the package files for CMake and pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)

# lockstep_install_component(name target): a target, for users lockstep::name. Each has an export set of its own, so that a
# user of `norm` need not find what only the rest needs; lockstepConfig.cmake.in has a line for each.
function(lockstep_install_component name target)
  install(TARGETS ${target} EXPORT lockstep-${name}-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT lockstep-${name}-targets NAMESPACE lockstep:: DESTINATION ${package_folder})
endfunction()

lockstep_install_component(norm lockstep_norm)
foreach(floor base simd comm norm)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lockstep/${floor} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/include/lockstep/lockstep.h ${PROJECT_SOURCE_DIR}/include/lockstep/norm.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)

if(lockstep_builds_all)
  lockstep_install_component(lockstep lockstep)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lockstep DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endif()

if(TARGET lockstep_launcher)
  file(RELATIVE_PATH libraries_from_programs
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(lockstep_launcher PROPERTIES INSTALL_RPATH "$ORIGIN/${libraries_from_programs}")
  install(TARGETS lockstep_launcher)
endif()
if(BUILD_SHARED_LIBS AND TARGET lockstep)
  set_target_properties(lockstep PROPERTIES INSTALL_RPATH "$ORIGIN")
endif()

# --- CMake ------------------------------------------------------------------------------------------------------

lockstep_which_mpi(lockstep_mpi lockstep_mpi_family)
set(lockstep_users_packages "")
if(NOT BUILD_SHARED_LIBS)
  set(lockstep_users_packages ZLIB)
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/lockstepConfig.cmake.in lockstepConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(lockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/lockstepConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/lockstepConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/LockstepMpi.cmake
  ${PROJECT_SOURCE_DIR}/cmake/which_mpi.cpp
  DESTINATION ${package_folder})

# --- pkg-config -------------------------------------------------------------------------------------------------

# Relative to the .pc file, so that the folder may be moved, and `cmake --install --prefix` may choose another.
set(pkg_config_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pkg_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH pkg_prefix /prefix/${pkg_config_folder} /prefix)
  string(REGEX REPLACE "/$" "" pkg_prefix "\${pcfiledir}/${pkg_prefix}")
endif()
foreach(kind LIB INCLUDE)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(pkg_${kind}_folder ${CMAKE_INSTALL_${kind}DIR})
  else()
    set(pkg_${kind}_folder "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()

# MPI libraries ship no pkg-config file of a common name, so the ones that were found are spelled out.
set(pkg_mpi_flags "")
foreach(folder IN LISTS MPI_CXX_INCLUDE_DIRS)
  string(APPEND pkg_mpi_flags " -I${folder}")
endforeach()
foreach(definition IN LISTS MPI_CXX_COMPILE_DEFINITIONS)
  string(APPEND pkg_mpi_flags " -D${definition}")
endforeach()
list(JOIN MPI_CXX_LIBRARIES " " pkg_mpi_libraries)

# A shared library brings along what it needs itself. Users of a static one link that, too: those of C and Fortran also the
# library of C++. Here rather than under Libs.private, for who forgets pkg-config's --static gets pages of linker errors.
set(pkg_norm_needs "")
set(pkg_lockstep_needs "")
set(pkg_lockstep_packages "")
if(NOT BUILD_SHARED_LIBS)
  set(pkg_norm_needs "-lstdc++ -lm")
  if("c++" IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
    set(pkg_norm_needs "-lc++ -lm")
  endif()
  set(pkg_lockstep_packages ", zlib")
  set(pkg_lockstep_needs ${lockstep_hdf5_library})  # nothing without HDF5
endif()

set(packages lockstep-norm)
if(lockstep_builds_fortran)
  list(APPEND packages lockstep-fortran)
endif()
if(lockstep_builds_all)
  list(APPEND packages lockstep)
endif()
foreach(package IN LISTS packages)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc DESTINATION ${pkg_config_folder})
endforeach()
