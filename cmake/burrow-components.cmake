# One function for each optional target; it defines burrow::<name> where the library behind it is found.
# Used by our own build and, installed, by find_package(burrow COMPONENTS ...).

function(burrow_find_onednn)
  find_path(BURROW_ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
  find_library(BURROW_ONEDNN_LIBRARY dnnl)
  mark_as_advanced(BURROW_ONEDNN_INCLUDE_DIR BURROW_ONEDNN_LIBRARY)
  if(BURROW_ONEDNN_INCLUDE_DIR AND BURROW_ONEDNN_LIBRARY AND NOT TARGET burrow::onednn)
    add_library(burrow::onednn INTERFACE IMPORTED GLOBAL)
    target_compile_definitions(burrow::onednn INTERFACE BURROW_WITH_ONEDNN=1)
    target_include_directories(burrow::onednn INTERFACE ${BURROW_ONEDNN_INCLUDE_DIR})
    # gomp: oneDNN's threads, whose number burrow sets.
    target_link_libraries(burrow::onednn INTERFACE ${BURROW_ONEDNN_LIBRARY} gomp)
  endif()
endfunction()

function(burrow_find_cuda)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
  find_package(CUDAToolkit QUIET)
  if(TARGET CUDA::cudart AND TARGET CUDA::cublas AND TARGET CUDA::cublasLt AND NOT TARGET burrow::cuda)
    add_library(burrow::cuda INTERFACE IMPORTED GLOBAL)
    target_link_libraries(burrow::cuda INTERFACE CUDA::cudart CUDA::cublas CUDA::cublasLt)
    # Eigen stays on the host, so that its functions are the same in .cu and .cpp files. CMake 3.25 does not know
    # that nvcc has C++20. 1675, 3189, 186 and 2810: GCC's loop pragmas, variables that are named module, loops
    # over no axes, and assignments of classes that are nodiscard.
    target_compile_definitions(burrow::cuda INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:EIGEN_NO_CUDA>)
    target_compile_options(burrow::cuda INTERFACE
      "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;--diag-suppress=1675,3189,186,2810>")
  endif()
endfunction()

function(burrow_find_nccl)
  burrow_find_cuda()
  find_package(CUDAToolkit QUIET)  # whose folders are known where it was found alone
  find_path(BURROW_NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(BURROW_NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
  mark_as_advanced(BURROW_NCCL_INCLUDE_DIR BURROW_NCCL_LIBRARY)
  if(TARGET burrow::cuda AND BURROW_NCCL_INCLUDE_DIR AND BURROW_NCCL_LIBRARY AND NOT TARGET burrow::nccl)
    add_library(burrow::nccl INTERFACE IMPORTED GLOBAL)
    target_compile_definitions(burrow::nccl INTERFACE BURROW_WITH_NCCL=1)
    target_include_directories(burrow::nccl INTERFACE ${BURROW_NCCL_INCLUDE_DIR})
    target_link_libraries(burrow::nccl INTERFACE burrow::cuda ${BURROW_NCCL_LIBRARY})
  endif()
endfunction()

function(burrow_find_zlib)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
  find_package(ZLIB QUIET)
  if(TARGET ZLIB::ZLIB AND NOT TARGET burrow::zlib)
    add_library(burrow::zlib INTERFACE IMPORTED GLOBAL)
    target_compile_definitions(burrow::zlib INTERFACE BURROW_WITH_ZLIB=1)
    target_link_libraries(burrow::zlib INTERFACE ZLIB::ZLIB)
  endif()
endfunction()

function(burrow_find_mpi)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
  find_package(MPI QUIET COMPONENTS CXX)
  if(TARGET MPI::MPI_CXX AND NOT TARGET burrow::mpi)
    add_library(burrow::mpi INTERFACE IMPORTED GLOBAL)
    target_compile_definitions(burrow::mpi INTERFACE BURROW_WITH_MPI=1 OMPI_SKIP_MPICXX=1)
    target_link_libraries(burrow::mpi INTERFACE MPI::MPI_CXX)
  endif()
endfunction()
