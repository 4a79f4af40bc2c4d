# Installs the libraries, their headers, the launcher, and the package files for CMake and pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)

# One export set per component, so that a user of `norm` need not find what only the rest needs.
install(TARGETS lockstep_norm EXPORT lockstep-norm-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT lockstep-norm-targets NAMESPACE lockstep:: DESTINATION ${package_folder})
foreach(floor base simd comm norm)
  if(EXISTS ${PROJECT_SOURCE_DIR}/include/lockstep/${floor})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lockstep/${floor}
      DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)
  endif()
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/include/lockstep/lockstep.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep)

if(lockstep_builds_all)
  install(TARGETS lockstep EXPORT lockstep-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT lockstep-targets NAMESPACE lockstep:: DESTINATION ${package_folder})
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

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/lockstepConfig.cmake.in lockstepConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(lockstepConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/lockstepConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/lockstepConfigVersion.cmake
  DESTINATION ${package_folder})

# --- pkg-config -------------------------------------------------------------------------------------------------

# MPI libraries ship no pkg-config file of a common name, so the ones that were found are spelled out.
set(pkg_mpi_flags "")
foreach(folder IN LISTS MPI_CXX_INCLUDE_DIRS)
  string(APPEND pkg_mpi_flags " -I${folder}")
endforeach()
foreach(definition IN LISTS MPI_CXX_COMPILE_DEFINITIONS)
  string(APPEND pkg_mpi_flags " -D${definition}")
endforeach()
list(JOIN MPI_CXX_LIBRARIES " " pkg_mpi_libraries)
set(pkg_hdf5_library ${lockstep_hdf5_library})  # nothing without HDF5

set(packages lockstep-norm)
if(lockstep_builds_all)
  list(APPEND packages lockstep)
endif()
foreach(package IN LISTS packages)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
