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
