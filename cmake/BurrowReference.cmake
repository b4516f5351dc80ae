# The target `reference`: the headers' documentation as web pages in reference/ of the build folder. It is not
# part of the default build.

set(reference_dir ${PROJECT_BINARY_DIR}/reference)
configure_file(cmake/Doxyfile.in Doxyfile @ONLY)
find_program(DOXYGEN_PROGRAM doxygen)
mark_as_advanced(DOXYGEN_PROGRAM)
if(DOXYGEN_PROGRAM)
  add_custom_target(reference
    COMMAND ${DOXYGEN_PROGRAM} ${PROJECT_BINARY_DIR}/Doxyfile
    COMMAND ${CMAKE_COMMAND} -E echo "Open ${reference_dir}/index.html" VERBATIM)
else()
  add_custom_target(reference
    COMMAND ${CMAKE_COMMAND} -E echo "doxygen was not found: install it and configure again"
    COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
endif()
