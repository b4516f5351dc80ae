# How our own programs are compiled; nothing here reaches those who use the library.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  find_program(CCACHE_PROGRAM ccache)
  mark_as_advanced(CCACHE_PROGRAM)
  if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  endif()
endif()

add_library(burrow_programs INTERFACE)
target_compile_options(burrow_programs INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # It may use 1 GB before it looks for memory to use again: a tenth of its time.
  target_compile_options(burrow_programs INTERFACE --param=ggc-min-heapsize=1000000)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(burrow_programs INTERFACE -Wno-restrict)  # g++ 12 sees overlaps in std::string that are not
endif()
# Which product meets which sum in one instruction is otherwise chosen anew in every instantiation, and the same
# formula rounds differently fused and alone. The library asks for such instructions where it wants them.
target_compile_options(burrow_programs INTERFACE -ffp-contract=off)
target_include_directories(burrow_programs INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(burrow_programs INTERFACE burrow::burrow)
foreach(component onednn zlib)
  if(TARGET burrow::${component})
    target_link_libraries(burrow_programs INTERFACE burrow::${component})
  endif()
endforeach()
if(BURROW_NATIVE)
  target_compile_options(burrow_programs INTERFACE -march=native)
endif()
if(BURROW_SANITIZE)
  target_compile_options(burrow_programs INTERFACE
    -fsanitize=${BURROW_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -O1 -UNDEBUG)
  target_link_options(burrow_programs INTERFACE -fsanitize=${BURROW_SANITIZE})
elseif(BURROW_WERROR)  # instrumented code makes g++ warn of values that are never unset
  target_compile_options(burrow_programs INTERFACE -Werror)
endif()

# burrow_precompile(<name> <headers>...): headers that are read once for all targets that are compiled with the same
# options and call burrow_use_precompiled(<target> <name>).
function(burrow_precompile name)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  file(GENERATE OUTPUT ${source} CONTENT "")
  add_library(${name} OBJECT ${source})
  target_link_libraries(${name} PRIVATE burrow_programs)
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

# g++ forgets which headers are the system's and what they silence: what its optimiser warns of, it finds there alone.
function(burrow_use_precompiled target name)
  target_precompile_headers(${target} REUSE_FROM ${name})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -Wno-ignored-attributes -Wno-uninitialized -Wno-maybe-uninitialized
      -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds)
  endif()
endfunction()

burrow_precompile(program_headers <burrow/burrow.hpp>)

# burrow_add_program(<target> <sources>...): a program of ours, with the model where a source includes it.
function(burrow_add_program target)
  add_executable(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE burrow_programs)
  foreach(source ${ARGN})
    file(STRINGS ${source} model_includes REGEX "^#include \"gopher_model/")
    if(model_includes AND TARGET gopher_model)
      target_link_libraries(${target} PRIVATE gopher_model)
    endif()
  endforeach()
endfunction()

# 80: the oldest architecture whose tensor cores multiply bf16; later ones take it as well, compiled for them at
# the first start. Set CMAKE_CUDA_ARCHITECTURES to compile for a GPU at hand.
if(TARGET burrow::cuda)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80)
    endif()
    set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that burrow::cuda links
    enable_language(CUDA)
  endif()
endif()
