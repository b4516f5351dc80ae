# Headers, the CMake package, the pkg-config file and the changelog.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/burrow)

install(DIRECTORY include/burrow DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS burrow EXPORT burrow-targets)
install(EXPORT burrow-targets NAMESPACE burrow:: DESTINATION ${package_dir})

configure_package_config_file(cmake/burrow-config.cmake.in burrow-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(burrow-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  ${PROJECT_BINARY_DIR}/burrow-config.cmake ${PROJECT_BINARY_DIR}/burrow-config-version.cmake
  cmake/burrow-components.cmake
  DESTINATION ${package_dir})

configure_file(cmake/burrow.pc.in burrow.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/burrow.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(FILES CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
