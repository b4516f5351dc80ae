# The header-only library burrow::burrow and the optional burrow::onednn, burrow::zlib, burrow::cuda,
# burrow::nccl and burrow::mpi.

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(Threads REQUIRED)

add_library(burrow INTERFACE)
add_library(burrow::burrow ALIAS burrow)
target_compile_features(burrow INTERFACE cxx_std_20)
target_include_directories(burrow INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(burrow INTERFACE Eigen3::Eigen Threads::Threads)

include(burrow-components)
if(BURROW_ONEDNN)
  burrow_find_onednn()
  if(NOT TARGET burrow::onednn)
    message(FATAL_ERROR
      "BURROW_ONEDNN=ON, but oneDNN was not found: install libdnnl-dev or set CMAKE_PREFIX_PATH")
  endif()
endif()
burrow_find_zlib()
burrow_find_cuda()
burrow_find_nccl()
burrow_find_mpi()

if(PROJECT_IS_TOP_LEVEL)
  foreach(component zlib cuda nccl mpi)
    if(TARGET burrow::${component})
      message(STATUS "burrow::${component}: found")
    else()
      message(STATUS "burrow::${component}: not found")
    endif()
  endforeach()
endif()
