# The Python package: pure Python over the C interface, by ctypes.
#   build/python         importable from the build folder: PYTHONPATH=build/python python3 -c "import lockstep"
#   LOCKSTEP_PYTHON_FOLDER   where it is installed, below the prefix
# It loads a shared library. If lockstep_norm is none, its objects are linked once more, into a module that lies within
# the package and shows nothing but the C interface.
include(GNUInstallDirs)
# Not in CMAKE_INSTALL_LIBDIR, which may be lib64 or end with an architecture: Python's are for all of them.
set(LOCKSTEP_PYTHON_FOLDER lib/python3/site-packages CACHE STRING
  "Where the Python package is installed: what users add to PYTHONPATH")

set(lockstep_python_source ${PROJECT_SOURCE_DIR}/lib/python/lockstep)
set(lockstep_python_build ${PROJECT_BINARY_DIR}/python)

if(BUILD_SHARED_LIBS)
  set(lockstep_python_library lockstep_norm)
  set(built_library "$<TARGET_SONAME_FILE:lockstep_norm>")
  file(RELATIVE_PATH installed_library
    ${CMAKE_INSTALL_PREFIX}/${LOCKSTEP_PYTHON_FOLDER}/lockstep ${CMAKE_INSTALL_FULL_LIBDIR})
  set(installed_library "${installed_library}/$<TARGET_SONAME_FILE_NAME:lockstep_norm>")
else()
  set(lockstep_python_library lockstep_norm_python)
  add_library(lockstep_norm_python MODULE $<TARGET_OBJECTS:lockstep_norm>)
  target_link_libraries(lockstep_norm_python PRIVATE $<TARGET_PROPERTY:lockstep_norm,LINK_LIBRARIES>)
  target_link_options(lockstep_norm_python PRIVATE
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/lib/python/exports.map)
  set_target_properties(lockstep_norm_python PROPERTIES
    LINKER_LANGUAGE CXX
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/lib/python/exports.map
    LIBRARY_OUTPUT_DIRECTORY $<1:${lockstep_python_build}/lockstep>)
  set(built_library "$<TARGET_FILE_NAME:lockstep_norm_python>")
  set(installed_library "$<TARGET_FILE_NAME:lockstep_norm_python>")
endif()

# The package's files are links in the build folder: what is edited is what is imported.
file(GLOB_RECURSE python_files CONFIGURE_DEPENDS RELATIVE ${lockstep_python_source} ${lockstep_python_source}/*.py)
foreach(file IN LISTS python_files)
  get_filename_component(folder ${lockstep_python_build}/lockstep/${file} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(CREATE_LINK ${lockstep_python_source}/${file} ${lockstep_python_build}/lockstep/${file} SYMBOLIC)
endforeach()
set(location "\"\"\"Where the library is, from this folder: written by the build.\"\"\"\n\nLIBRARY = ")
file(GENERATE OUTPUT ${lockstep_python_build}/lockstep/_location.py CONTENT "${location}\"${built_library}\"\n")

if(LOCKSTEP_INSTALL)
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/python-install/_location.py CONTENT "${location}\"${installed_library}\"\n")
  install(DIRECTORY ${lockstep_python_source} DESTINATION ${LOCKSTEP_PYTHON_FOLDER} FILES_MATCHING PATTERN "*.py"
    PATTERN "__pycache__" EXCLUDE)
  install(FILES ${PROJECT_BINARY_DIR}/python-install/_location.py DESTINATION ${LOCKSTEP_PYTHON_FOLDER}/lockstep)
  if(TARGET lockstep_norm_python)
    install(TARGETS lockstep_norm_python DESTINATION ${LOCKSTEP_PYTHON_FOLDER}/lockstep)
  endif()
endif()
